//! The part of Python's unpickler that dictionaries of tensors need. It builds plain data and calls nothing.
//!
//! Every value is a node of one list and refers to others by their numbers. So a pickle that nests values ten thousand
//! deep, or into themselves, or a thousand times over, makes as many nodes as it has operations, and nothing here or after
//! follows them without bound. Source: `pickletools.py` of Python 3, and `torch/_weights_only_unpickler.py`.

use std::collections::HashMap;

use crate::{Element, Problem};

/// The most dimensions of a tensor that is read.
const MOST_DIMENSIONS: usize = 16;

/// The longest name of a module with what is in it.
const LONGEST_NAME: usize = 256;

/// The data that a pickle builds.
pub(super) struct Data {
    nodes: Vec<Node>,
    root: Id,
}

/// The number of a node.
pub(super) type Id = usize;

/// A value.
pub(super) enum Node {
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    StorageType(String),
    Storage(Storage),
    Tensor(View),
    /// What is read and not looked at, in words.
    Other(&'static str),
}

/// The functions that a dictionary of tensors calls, each with a meaning here.
#[derive(Clone, Copy)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
}

/// The bytes that tensors lie in.
pub(super) struct Storage {
    kind: Id,
    key: Id,
    values: i64,
}

/// A tensor as the pickle claims it, not checked.
pub(super) struct View {
    pub storage: Id,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

impl Data {
    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The storage of a tensor: the name of its type, such as `FloatStorage`, its entry below `data/`, and the number of
    /// values that the pickle claims.
    pub fn storage(&self, view: &View) -> Option<(&str, &str, i64)> {
        let Node::Storage(Storage { kind, key, values }) = self.node(view.storage) else { return None };
        match (self.node(*kind), self.node(*key)) {
            (Node::StorageType(kind), Node::Text(key)) => Some((kind, key, *values)),
            _ => None,
        }
    }
}

impl Node {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dictionary",
            Self::Callable(_) | Self::StorageType(_) => "a name of PyTorch",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::Other(kind) => kind,
        }
    }
}

/// Runs the operations of a pickle as far as they build data.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Data, Problem> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let begins = machine.at;
        let [code] = machine.take()?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Data { nodes: machine.nodes, root });
        }
        machine.operation(code, begins)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Lengths that the stack had.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn operation(&mut self, code: u8, begins: usize) -> Result<(), Problem> {
        match code {
            // PROTO and FRAME tell nothing that is needed.
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'N' => self.push(Node::Other("None")),
            0x88 | 0x89 => self.push(Node::Other("a truth value")),
            b'K' => {
                let [value] = self.take()?;
                self.push(Node::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Node::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Node::Int(value.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                self.take::<8>()?;
                self.push(Node::Other("a number with a point"));
            }
            0x8c => {
                let [length] = self.take()?;
                self.text(length.into())?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take()?);
                self.text(length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.take()?);
                self.text(length)?;
            }
            b'C' | b'B' => {
                let length =
                    if code == b'C' { self.take::<1>()?[0].into() } else { u32::from_le_bytes(self.take()?) };
                self.slice(length.into())?;
                self.push(Node::Other("bytes"));
            }
            b')' => self.push(Node::Tuple(Vec::new())),
            0x85..=0x87 => {
                let from = self.depth(usize::from(code - 0x84))?;
                let parts = self.stack.split_off(from);
                self.push(Node::Tuple(parts));
            }
            b't' => {
                let parts = self.above_mark()?;
                self.push(Node::Tuple(parts));
            }
            b'(' => self.marks.push(self.stack.len()),
            b']' => self.push(Node::Other("a list")),
            b'a' => drop(self.pop()?),
            b'e' => drop(self.above_mark()?),
            b'}' => self.push(Node::Dict(Vec::new())),
            b's' => {
                let from = self.depth(2)?;
                let pair = self.stack.split_off(from);
                self.set(&pair)?;
            }
            b'u' => {
                let pairs = self.above_mark()?;
                self.set(&pairs)?;
            }
            b'q' => {
                let [key] = self.take()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let [key] = self.take()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    // Kept texts cost nothing to name again; their copies would.
                    (Node::Text(module), Node::Text(name)) if module.len() + name.len() <= LONGEST_NAME => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)?;
                    }
                    _ => return Err(self.damaged("a name is no text, or a very long one")),
                }
            }
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            // Attributes of a dictionary, such as `_metadata`, are of no interest.
            b'b' => {
                self.pop()?;
                let object = self.top()?;
                if !matches!(self.nodes[object], Node::Dict(_)) {
                    return Err(self.damaged("something else than a dictionary is given attributes"));
                }
            }
            code => return Err(Problem::Operation { code, at: begins }),
        }
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn top(&self) -> Result<Id, Problem> {
        let above = self.marks.last().copied().unwrap_or(0);
        self.stack[above..].last().copied().ok_or_else(|| self.damaged("a value is missing"))
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The place on the stack above which there are so many values, all above the last mark.
    fn depth(&self, values: usize) -> Result<usize, Problem> {
        let above = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(values).filter(|&from| from >= above);
        from.ok_or_else(|| self.damaged("a value is missing"))
    }

    /// All values above the last mark, which goes.
    fn above_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("a mark is missing"))?;
        // Nothing pops below a mark.
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn set(&mut self, pairs: &[Id]) -> Result<(), Problem> {
        let (pairs, rest) = pairs.as_chunks::<2>();
        let dictionary = self.top()?;
        match &mut self.nodes[dictionary] {
            Node::Dict(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            Node::Dict(_) => Err(self.damaged("a key has no value")),
            _ => Err(self.damaged("something else than a dictionary is given keys")),
        }
    }

    fn remember(&mut self, key: u32) -> Result<(), Problem> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Problem> {
        let id = self.memo.get(&key).copied();
        self.stack.push(id.ok_or_else(|| self.damaged("a value is recalled that was not kept"))?);
        Ok(())
    }

    /// A whole number of up to 255 bytes; those beyond `i64` are never looked at.
    fn long(&mut self) -> Result<(), Problem> {
        let [length] = self.take()?;
        let bytes = self.slice(length.into())?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut value = if negative { [0xff; 8] } else { [0; 8] };
        let node = match value.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(value))
            }
            None => Node::Other("a very large number"),
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<(), Problem> {
        let bytes = self.slice(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))?;
        self.push(Node::Text(text.to_owned()));
        Ok(())
    }

    /// A name is admitted or refused; nothing is looked up.
    fn global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        let node = match (module, name) {
            ("collections", "OrderedDict") => Node::Callable(Callable::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Node::Callable(Callable::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Node::Callable(Callable::RebuildParameter),
            ("torch", "Size") => Node::Callable(Callable::Size),
            ("torch", name) if name.ends_with("Storage") => Node::StorageType(name.to_owned()),
            _ => return Err(Problem::Global { name: format!("{module}.{name}") }),
        };
        self.push(node);
        Ok(())
    }

    /// What `torch.save` tells of a storage: `("storage", type, key, place, number of values)`.
    fn storage(&mut self) -> Result<(), Problem> {
        let told = self.pop()?;
        let wrong = || self.damaged("what is told of a storage is none");
        let Some(&[word, kind, key, _, values]) = self.tuple(told) else { return Err(wrong()) };
        match (&self.nodes[word], &self.nodes[kind], &self.nodes[key], &self.nodes[values]) {
            (Node::Text(word), Node::StorageType(_), Node::Text(_), &Node::Int(values))
                if word == "storage" =>
            {
                self.push(Node::Storage(Storage { kind, key, values }));
                Ok(())
            }
            _ => Err(wrong()),
        }
    }

    /// What the four functions give, as data.
    fn call(&mut self) -> Result<(), Problem> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let wrong = || self.damaged("something is called that is no function, or with other arguments");
        let Node::Callable(function) = self.nodes[function] else { return Err(wrong()) };
        match (function, self.tuple(arguments).ok_or_else(wrong)?) {
            (Callable::OrderedDict, []) => self.push(Node::Dict(Vec::new())),
            // A size is the tuple of its numbers, and a parameter is its tensor.
            (Callable::Size, &[same]) | (Callable::RebuildParameter, &[same, ..]) => self.stack.push(same),
            (Callable::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let &Node::Int(offset) = &self.nodes[offset] else { return Err(wrong()) };
                let (shape, strides) = (self.integers(shape), self.integers(strides));
                let (shape, strides) = shape.zip(strides).ok_or_else(wrong)?;
                self.push(Node::Tensor(View { storage, offset, shape, strides }));
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::Tuple(parts) => Some(parts),
            _ => None,
        }
    }

    /// The numbers of a tuple that is no longer than a tensor has dimensions.
    fn integers(&self, id: Id) -> Option<Vec<i64>> {
        let number = |&id: &Id| match self.nodes[id] {
            Node::Int(value) => Some(value),
            _ => None,
        };
        self.tuple(id).filter(|parts| parts.len() <= MOST_DIMENSIONS)?.iter().map(number).collect()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let taken = self.bytes[self.at..].first_chunk::<N>().copied();
        let taken = taken.ok_or_else(|| self.damaged("it ends too early"))?;
        self.at += N;
        Ok(taken)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let taken = self.bytes[self.at..].get(..length);
        let taken = taken.ok_or_else(|| self.damaged("it ends too early"))?;
        self.at += length;
        Ok(taken)
    }

    fn line(&mut self) -> Result<String, Problem> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.damaged("a name has no end"))?;
        let line = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn damaged(&self, message: &'static str) -> Problem {
        Problem::Pickle { at: self.at, message }
    }
}

/// The type of the values in a storage, by the name of PyTorch's class.
pub(super) fn element(kind: &str) -> Option<Element> {
    Some(match kind {
        "DoubleStorage" => Element::F64,
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::BF16,
        "LongStorage" => Element::I64,
        "IntStorage" => Element::I32,
        "ShortStorage" => Element::I16,
        "CharStorage" => Element::I8,
        "ByteStorage" => Element::U8,
        "BoolStorage" => Element::Bool,
        _ => return None,
    })
}
