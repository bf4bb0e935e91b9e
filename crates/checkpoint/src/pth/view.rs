//! What a tensor claims of its storage, compared with what the storage holds.

use std::collections::btree_map::{BTreeMap, Entry};

use super::{
    archive::Archive,
    pickle::{Data, View, element},
};
use crate::{Element, Problem, Tensor};

/// Tensors may share storages, as tied weights do; all of them together hold at most so many times the values of the
/// storages, so that a small file cannot become a large model.
const MOST_SHARED: usize = 8;

/// The values of all tensors.
pub(super) fn values(
    data: &Data,
    named: &[(&str, &View)],
    archive: &mut Archive<'_>,
) -> Result<Vec<Tensor>, Problem> {
    let mut storages: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let (mut held, mut made) = (0usize, 0usize);
    let mut tensors = Vec::with_capacity(named.len());
    for &(name, view) in named {
        let wrong = |message: String| Problem::Tensor { name: name.into(), message };
        let (kind, key, values) = data.storage(view).ok_or_else(|| wrong("it lies in no storage".into()))?;
        let stored = element(kind).ok_or_else(|| Problem::Type { name: name.into(), found: kind.into() })?;
        let bytes = match storages.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let bytes = archive.optional(&format!("data/{key}"))?;
                let bytes = bytes.ok_or_else(|| wrong(format!("its storage `{key}` is not there")))?;
                held += bytes.len();
                new.insert(bytes)
            }
        };
        let (size, length) = (stored.size(), bytes.len());
        if usize::try_from(values).ok().and_then(|values| values.checked_mul(size)) != Some(length) {
            let claimed = format!("its storage `{key}` claims {values} values of {size} bytes");
            return Err(wrong(format!("{claimed} and holds {length} bytes")));
        }
        let placed = Placed::new(view, length / size).map_err(wrong)?;
        made += placed.values * size;
        if made > MOST_SHARED * held {
            let message = format!("with it the tensors take {made} bytes of storages that hold {held}");
            return Err(wrong(message));
        }
        tensors.push(placed.tensor(name, stored, bytes));
    }
    Ok(tensors)
}

/// A tensor of which every value lies in its storage.
struct Placed {
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    /// How many there are.
    values: usize,
}

impl Placed {
    /// Checks a view into a storage of so many values; what is wrong, in words.
    fn new(view: &View, held: usize) -> Result<Self, String> {
        let (shape, strides) = (&view.shape, &view.strides);
        if shape.len() != strides.len() {
            return Err(format!("it has {} dimensions and {} strides", shape.len(), strides.len()));
        }
        let unsigned = |numbers: &[i64]| -> Option<Vec<usize>> {
            numbers.iter().map(|&number| usize::try_from(number).ok()).collect()
        };
        let (Some(sizes), Some(steps), Ok(offset)) =
            (unsigned(shape), unsigned(strides), usize::try_from(view.offset))
        else {
            return Err(format!(
                "its sizes {shape:?}, strides {strides:?} and offset {} are not all at least 0",
                view.offset
            ));
        };
        let values = if sizes.contains(&0) {
            Some(0)
        } else {
            sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
        };
        // The place of the last value: offset + Σ (size − 1) · stride.
        let last = sizes.iter().zip(&steps).try_fold(offset, |place, (&size, &step)| {
            place.checked_add(size.saturating_sub(1).checked_mul(step)?)
        });
        match (values, last) {
            (Some(0), _) => Ok(Self { shape: sizes, strides: steps, offset, values: 0 }),
            (Some(values), Some(last)) if last < held && values <= held => {
                Ok(Self { shape: sizes, strides: steps, offset, values })
            }
            _ => Err(format!(
                "its sizes {shape:?} with strides {strides:?} from {offset} do not lie in a storage of {held} values"
            )),
        }
    }

    fn tensor(self, name: &str, stored: Element, bytes: &[u8]) -> Tensor {
        let Self { shape, strides, offset, values } = self;
        let values = match values {
            0 => stored.values(bytes, 0..0),
            _ if is_contiguous(&shape, &strides) => stored.values(bytes, offset..offset + values),
            _ => stored.values(bytes, places(&shape, &strides, offset, values)),
        };
        Tensor { name: name.into(), shape, stored, values }
    }
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let next = size == 1 || stride == step;
        step *= size;
        next
    })
}

/// The places of all values in row-major order.
fn places<'a>(
    shape: &'a [usize],
    strides: &'a [usize],
    offset: usize,
    values: usize,
) -> impl Iterator<Item = usize> + 'a {
    (0..values).map(move |mut index| {
        let mut place = offset;
        for (size, stride) in shape.iter().zip(strides).rev() {
            place += index % size * stride;
            index /= size;
        }
        place
    })
}
