use std::io::{Cursor, Write as _};

use expanse_domain::Seed;
use serde_json::Value;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{Checkpoint, Element, Format, Tensor, Values, from_bytes, to_bytes};

const KINDS: &[u8] = include_bytes!("../../golden/kinds.pth");
const WRAPPED: &[u8] = include_bytes!("../../golden/wrapped.pth");

/// What PyTorch says that a file holds.
fn golden(file: &str) -> Value {
    let golden: Value = serde_json::from_str(include_str!("../../golden/values.json")).unwrap();
    golden[file].clone()
}

#[track_caller]
fn check_golden(checkpoint: &Checkpoint, file: &str) {
    let golden = golden(file);
    let golden = golden.as_object().unwrap();
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| &tensor.name).collect();
    assert_eq!(names, golden.keys().collect::<Vec<_>>());
    for (tensor, expected) in checkpoint.tensors.iter().zip(golden.values()) {
        assert_eq!(serde_json::json!(tensor.shape), expected["shape"], "{}", tensor.name);
        let expected = expected["values"].as_array().unwrap();
        match &tensor.values {
            Values::F32(values) => {
                let expected: Vec<u32> =
                    expected.iter().map(|value| (value.as_f64().unwrap() as f32).to_bits()).collect();
                let values: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
                assert_eq!(values, expected, "{}", tensor.name);
            }
            Values::I64(values) => assert_eq!(serde_json::json!(values), Value::Array(expected.clone())),
        }
    }
}

#[test]
fn every_type_and_form_is_read_as_pytorch_holds_it() {
    let checkpoint = from_bytes(KINDS).unwrap();
    check_golden(&checkpoint, "kinds");
    let stored: Vec<_> = checkpoint.tensors[..10].iter().map(|tensor| tensor.stored).collect();
    use Element::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8};
    assert_eq!(stored, [F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool]);
}

#[test]
fn the_state_in_a_training_checkpoint_is_found_without_its_prefix() {
    check_golden(&from_bytes(WRAPPED).unwrap(), "wrapped");
}

#[test]
fn what_is_written_is_read_again_bit_for_bit_in_both_formats() {
    let about = serde_json::json!({"classes": ["cat", "Möwe"]}).as_object().cloned();
    let written = Checkpoint { about, ..from_bytes(KINDS).unwrap() };
    for format in [Format::Pth, Format::Safetensors] {
        let bytes = to_bytes(format, &written).unwrap();
        assert_eq!(bytes, to_bytes(format, &written).unwrap());
        let read = from_bytes(&bytes).unwrap();
        assert_eq!(read.about, written.about);
        for tensor in &written.tensors {
            let again = read.tensors.iter().find(|other| other.name == tensor.name).unwrap();
            assert_eq!((&again.shape, again.values.to_bytes()), (&tensor.shape, tensor.values.to_bytes()));
        }
        assert_eq!(read.tensors.len(), written.tensors.len());
    }
}

/// An archive with this pickle, and storages by key.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let storages = storages.iter().map(|(key, bytes)| (format!("x/data/{key}"), *bytes));
    for (name, bytes) in std::iter::once(("x/data.pkl".to_owned(), pickle)).chain(storages) {
        archive.start_file(name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A pickle of one dictionary, of the operations between.
fn dictionary(operations: &[u8]) -> Vec<u8> {
    [b"\x80\x02}(", operations, b"u."].concat()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn numbers(numbers: &[i64]) -> Vec<u8> {
    let number = |number: &i64| [&[0x8a, 8][..], &number.to_le_bytes()].concat();
    [b"(", &numbers.iter().flat_map(number).collect::<Vec<u8>>()[..], b"t"].concat()
}

/// A name with a tensor in storage `0`, which claims so many values of a type.
fn entry(name: &str, kind: &str, claimed: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let number = |number: i64| [&[0x8a, 8][..], &number.to_le_bytes()].concat();
    [
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}\n").into_bytes(),
        text("0"),
        text("cpu"),
        number(claimed),
        b"tQ".to_vec(),
        number(offset),
        numbers(shape),
        numbers(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

#[track_caller]
fn refuse(bytes: &[u8], message: &str) {
    let error = from_bytes(bytes).expect_err(message).to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_the_name_of_it() {
    let system = b"\x80\x02cos\nsystem\nX\x09\x00\x00\x00touch pwnd\x85R.";
    refuse(
        &archive(system, &[]),
        "its pickle names `os.system`, which a dictionary of tensors does not need",
    );
    let within = dictionary(&[text("a"), b"cbuiltins\neval\n(".to_vec(), text("1"), b"tR".to_vec()].concat());
    refuse(&archive(&within, &[]), "names `builtins.eval`");
    // Protocol 4 takes the names from the stack.
    refuse(&archive(b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", &[]), "names `posix.system`");
    refuse(&archive(b"\x80\x02c__main__\nResNet\n)\x81.", &[]), "names `__main__.ResNet`");
    // The operations that make and call objects in other ways.
    refuse(&archive(b"\x80\x02(ios\nsystem\n.", &[]), "the operation 0x69 at byte 3");
    refuse(&archive(b"\x80\x02)\x81.", &[]), "the operation 0x81 at byte 3");
}

#[test]
fn a_tensor_that_its_storage_does_not_hold_is_named() {
    let bytes = [0; 24];
    let check = |entry: &[u8], message: &str| {
        refuse(&archive(&dictionary(entry), &[("0", &bytes)]), message);
    };
    let tensor =
        |offset, shape: &[i64], strides: &[i64]| entry("w", "FloatStorage", 6, offset, shape, strides);
    let inside = archive(&dictionary(&tensor(0, &[2, 3], &[3, 1])), &[("0", &bytes)]);
    assert_eq!(from_bytes(&inside).unwrap().tensors[0].values, Values::F32(vec![0.0; 6]));
    check(
        &tensor(1, &[2, 3], &[3, 1]),
        "tensor `w`: its sizes [2, 3] with strides [3, 1] from 1 do not lie in",
    );
    check(&tensor(0, &[2, 3], &[4, 1]), "tensor `w`: its sizes [2, 3] with strides [4, 1]");
    check(
        &tensor(0, &[-2, 3], &[3, 1]),
        "tensor `w`: its sizes [-2, 3], strides [3, 1] and offset 0 are not all",
    );
    check(&tensor(-1, &[1], &[1]), "tensor `w`: its sizes [1], strides [1] and offset -1 are not all");
    check(&tensor(5, &[2], &[-1]), "tensor `w`: its sizes [2], strides [-1]");
    check(&tensor(0, &[1 << 40, 1 << 40], &[0, 0]), "tensor `w`: its sizes");
    check(&tensor(0, &[7], &[0]), "tensor `w`: its sizes [7] with strides [0] from 0 do not lie");
    check(&tensor(0, &[i64::MAX, 2], &[i64::MAX, i64::MAX]), "tensor `w`: its sizes");
    check(&tensor(0, &[2], &[1, 1]), "tensor `w`: it has 1 dimensions and 2 strides");
    check(
        &entry("w", "FloatStorage", 7, 0, &[1], &[1]),
        "tensor `w`: its storage `0` claims 7 values of 4 bytes and",
    );
    check(&entry("w", "FloatStorage", -1, 0, &[1], &[1]), "tensor `w`: its storage `0` claims -1 values");
    check(&entry("w", "FloatStorage", 1 << 62, 0, &[1], &[1]), "tensor `w`: its storage `0` claims");
    check(
        &entry("w", "ComplexFloatStorage", 3, 0, &[1], &[1]),
        "tensor `w` holds ComplexFloatStorage; read are",
    );
    check(&[tensor(0, &[1], &[1]), tensor(0, &[1], &[1])].concat(), "tensor `w` is there twice");
    check(
        &[tensor(0, &[1], &[1]), text("epoch"), b"K\x03".to_vec()].concat(),
        "`epoch` is a number, not a tensor",
    );
    refuse(&archive(&dictionary(&tensor(0, &[1], &[1])), &[]), "tensor `w`: its storage `0` is not there");
    let shared: Vec<u8> =
        (0..9).flat_map(|name| entry(&name.to_string(), "FloatStorage", 6, 0, &[6], &[1])).collect();
    check(&shared, "tensor `8`: with it the tensors take 216 bytes of storages that hold 24");
}

#[test]
fn a_small_file_stays_small() {
    // Compressed, as bombs are.
    let mut packed = archive(&[0; 100], &[]);
    let central = packed.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for method in [8, central + 10] {
        packed[method] = 8;
    }
    refuse(&packed, "`x/data.pkl` in the archive is compressed");
    // Entries that lie over one another hold more than the file.
    let mut large = archive(&[0; 100], &[]);
    large[central + 20..central + 28].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f].repeat(2));
    refuse(&large, "the archive claims 268435455 bytes of content and is ");
    // Nested a hundred thousand times, into itself, and a thousand times over.
    let deep = [b"\x80\x02".as_slice(), &[b')'; 1], &[0x85; 100_000], b"."].concat();
    refuse(&archive(&deep, &[]), "it holds a tuple and no dictionary of tensors");
    let cycle = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.";
    refuse(&archive(cycle, &[]), "it holds a dictionary of `a` and no dictionary of tensors");
    let laughs: Vec<u8> =
        (0..100u8).flat_map(|place| [b'h', place, b'h', place, 0x86, b'q', place + 1]).collect();
    refuse(&archive(&[b"\x80\x02)q\x00", &laughs[..], b"."].concat(), &[]), "it holds a tuple");
    refuse(&archive(&vec![b'('; 5 << 20], &[]), "its pickle of 5242880 bytes is longer than");
    refuse(
        &archive(b"\x80\x02X\xff\xff\xff\xffa.", &[]),
        "its pickle is damaged at byte 7: it ends too early",
    );
}

#[test]
fn other_files_are_told_with_what_to_do() {
    refuse(b"", "it is neither a zip archive of torch.save nor safetensors");
    refuse(b"GIF89a..........", "it is neither a zip archive of torch.save nor safetensors");
    refuse(
        include_bytes!("../../golden/legacy.pth"),
        "the format of PyTorch before 1.6; bring it to today's with",
    );
    refuse(include_bytes!("../../golden/scripted.pth"), "it is a TorchScript program");
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    refuse(&[b"PK\x03\x04", &empty[..]].concat(), "the archive");
    refuse(&archive(b"\x80\x02K\x01.", &[]), "it holds a number and no dictionary of tensors; save");
    refuse(&archive(b"\x80\x02}.", &[]), "it holds an empty dictionary");
    let keyed = [text("a"), b"K\x01".to_vec()].concat();
    refuse(&archive(&dictionary(&keyed), &[]), "it holds a dictionary of `a` and no dictionary of tensors");
}

#[test]
fn every_truncation_is_refused() {
    for whole in [KINDS.to_vec(), to_bytes(Format::Safetensors, &from_bytes(KINDS).unwrap()).unwrap()] {
        for length in 0..whole.len() {
            assert!(from_bytes(&whole[..length]).is_err(), "{length} bytes were accepted");
        }
    }
}

/// What the mutated bytes of a file give: an error, or tensors that hold what their shapes say.
fn survive(bytes: &[u8]) {
    let Ok(Checkpoint { tensors, .. }) = from_bytes(bytes) else { return };
    for Tensor { name, shape, values, .. } in tensors {
        let product = if shape.contains(&0) { 0 } else { shape.iter().product() };
        assert_eq!(values.len(), product, "{name}");
    }
}

#[test]
fn no_change_of_a_file_makes_reading_panic() {
    let mut rng = Seed(7).derive("mutations", &[]).rng();
    let mut archive_of = zip::ZipArchive::new(Cursor::new(WRAPPED)).unwrap();
    let mut content = |name: &str| {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive_of.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let pickle = content("wrapped/data.pkl");
    let storages: Vec<_> =
        (0..8).map(|key| (key.to_string(), content(&format!("wrapped/data/{key}")))).collect();
    let storages: Vec<_> = storages.iter().map(|(key, bytes)| (key.as_str(), &bytes[..])).collect();
    survive(&archive(&pickle, &storages));
    let mut mutated = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for _ in 0..=rng.index(4) {
            let place = rng.index(bytes.len());
            match rng.index(4) {
                0 => bytes[place] = rng.below(256) as u8,
                1 => bytes[place] ^= 1 << rng.index(8),
                2 => drop(bytes.remove(place)),
                _ => {
                    let end = (place + rng.index(40)).min(bytes.len());
                    let part = bytes[place..end].to_vec();
                    let to = rng.index(bytes.len());
                    bytes.splice(to..to, part);
                }
            }
        }
        bytes
    };
    let safe = to_bytes(Format::Safetensors, &from_bytes(KINDS).unwrap()).unwrap();
    for _ in 0..20_000 {
        survive(&mutated(KINDS));
        survive(&mutated(&safe));
        // The checksum would stop most changes of a pickle in its archive: here it is made anew.
        survive(&archive(&mutated(&pickle), &storages));
    }
}
