//! Safetensors headers: what is read from a valid one, and one small file for each thing that can be wrong.
#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

use std::io::Cursor;

use carnet_inspect::limits::MAX_SAFETENSORS_HEADER;
use carnet_inspect::safetensors::{self, Dtype, Safetensors};
use carnet_inspect::{Code, Finding, Limits};

fn file(json: &str, data: usize) -> Vec<u8> {
    with_length(json.len() as u64, json.as_bytes(), data)
}

fn with_length(length: u64, header: &[u8], data: usize) -> Vec<u8> {
    [&length.to_le_bytes()[..], header, &vec![1; data]].concat()
}

fn read(bytes: &[u8]) -> Result<Safetensors, Finding> {
    read_within(bytes, &Limits::default())
}

fn read_within(bytes: &[u8], limits: &Limits) -> Result<Safetensors, Finding> {
    safetensors::read(&mut Cursor::new(bytes), bytes.len() as u64, limits)
}

fn code(json: &str, data: usize) -> Code {
    read(&file(json, data)).expect_err(json).code
}

const FULL: &str = r#"{"__metadata__":{"format":"pt","note":"a\nb"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
 "a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},"naïve\u0065":{"dtype":"F4","shape":[2,0],"data_offsets":[16,16]}}   "#;

#[test]
fn a_valid_header_is_read() {
    let read = read(&file(FULL, 16)).unwrap();
    let start = 8 + FULL.len() as u64;
    assert_eq!(read.data_start(), start);
    assert_eq!(
        read.metadata().get("note").map(String::as_str),
        Some("a\nb")
    );
    let [b, a, empty] = read.tensors() else {
        panic!("{:?}", read.tensors())
    };
    assert_eq!(
        (b.name.as_str(), b.dtype.name(), b.shape.as_slice()),
        ("b", "BF16", &[2, 3][..])
    );
    assert_eq!(b.bytes, start + 4..start + 16);
    assert_eq!(
        (a.shape.as_slice(), a.bytes.clone()),
        (&[][..], start..start + 4)
    );
    assert_eq!(
        (empty.name.as_str(), empty.bytes.is_empty()),
        ("naïvee", true)
    );
    assert_eq!(Dtype::from_name("F6_E2M3").map(Dtype::bits), Some(6));
}

#[test]
fn valid_headers_of_all_kinds_pass() {
    for (json, data) in [
        ("{}", 0),
        ("{}      ", 0),
        (r#"{"__metadata__":{}}"#, 0),
        (
            r#"{"w":{"dtype":"F4","shape":[2,2],"data_offsets":[0,2]}}"#,
            2,
        ),
        (
            r#"{"w":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,3]}}"#,
            3,
        ),
        (
            r#"{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#,
            8,
        ),
        (
            r#"{"w":{"dtype":"U8","shape":[0,9223372036854775808,2],"data_offsets":[0,0]}}"#,
            0,
        ),
        (
            r#"{"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#,
            1,
        ),
    ] {
        if let Err(finding) = read(&file(json, data)) {
            panic!("{json}: {finding}");
        }
    }
}

#[test]
fn the_length_of_the_header_is_checked() {
    for length in [
        0,
        1,
        3,
        MAX_SAFETENSORS_HEADER,
        MAX_SAFETENSORS_HEADER + 1,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ] {
        let finding = read(&with_length(length, b"{}", 0)).unwrap_err();
        assert_eq!(
            (finding.code, finding.offset),
            (Code::SafetensorsHeaderLength, 0),
            "{length}"
        );
    }
    let stated_large = safetensors::read(
        &mut Cursor::new(with_length(MAX_SAFETENSORS_HEADER + 1, b"{}", 0)),
        u64::MAX,
        &Limits::default(),
    );
    assert_eq!(
        stated_large.unwrap_err().code,
        Code::SafetensorsHeaderLength
    );
    let cut = safetensors::read(
        &mut Cursor::new(with_length(MAX_SAFETENSORS_HEADER, b"{}", 0)),
        u64::MAX,
        &Limits::default(),
    );
    assert_eq!(cut.unwrap_err().code, Code::FileUnreadable);
}

#[test]
fn only_strict_json_passes() {
    for json in [
        "  ",
        " {}",
        "[]",
        "nul",
        "{]",
        "{}}",
        "{}\n",
        "{}\0",
        "{,}",
        r#"{"w"}"#,
        r#"{"w":{}}"#,
        r#"{"w":null}"#,
        r#"{"w":[]}"#,
        r#"{'w':{}}"#,
        "{w:{}}",
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],}}"#,
        r#"{"w":{"dtype":"U8","shape":[1,],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1]"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1]}}"#,
        r#"{"w":{"dtype":"U8","data_offsets":[0,1]}}"#,
        r#"{"w":{"shape":[1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[+1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#,
        r#"{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        r#"{"\x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        "{\"a\nb\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
        r#"{"w"#,
        r#"{"w\"#,
    ] {
        assert_eq!(code(json, 1), Code::SafetensorsJson, "{json}");
    }
    let not_utf8 = with_length(5, b"{\"\xff\"}", 0);
    assert_eq!(read(&not_utf8).unwrap_err().code, Code::SafetensorsJson);
    let nested = "[".repeat(100_000);
    assert_eq!(code(&format!("{{\"w\":{nested}"), 0), Code::SafetensorsJson);
}

#[test]
fn nothing_is_named_twice() {
    let w = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    for json in [
        format!(r#"{{"w":{w},"w":{w}}}"#),
        format!(r#"{{"w":{w},"\u0077":{w}}}"#),
        r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(),
        r#"{"__metadata__":{"a":"1","\u0061":"2"}}"#.to_owned(),
        r#"{"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"w":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}"#.to_owned(),
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}}"#.to_owned(),
    ] {
        assert_eq!(code(&json, 1), Code::SafetensorsDuplicateKey, "{json}");
    }
    let finding = read(&file(&format!(r#"{{"w":{w},"w":{w}}}"#), 1)).unwrap_err();
    assert_eq!(
        finding.to_string(),
        format!("`w` occurs twice (byte {})", 8 + 1 + 4 + w.len() + 1)
    );
}

#[test]
fn metadata_are_texts() {
    for json in [
        r#"{"__metadata__":null}"#,
        r#"{"__metadata__":"text"}"#,
        r#"{"__metadata__":["a"]}"#,
        r#"{"__metadata__":{"a":1}}"#,
        r#"{"__metadata__":{"a":{"b":"c"}}}"#,
        r#"{"__metadata__":{"a":null}}"#,
    ] {
        assert_eq!(code(json, 0), Code::SafetensorsMetadata, "{json}");
    }
}

#[test]
fn each_tensor_is_checked() {
    let tensor = |dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#)
    };
    for dtype in ["f32", "F8", "Q4_0", ""] {
        assert_eq!(
            code(&tensor(dtype, "[1]", 0, 4), 4),
            Code::SafetensorsDtype,
            "{dtype}"
        );
    }
    for (dtype, shape) in [
        ("F32", "[18446744073709551615,2]"),
        ("F32", "[4294967296,4294967296]"),
        ("F32", "[9223372036854775808,2,0]"),
        ("F32", "[18446744073709551615]"),
        ("F4", "[3]"),
        ("F6_E2M3", "[2]"),
        ("U8", "[1,1,1,1,1,1,1,1,1]"),
    ] {
        assert_eq!(
            code(&tensor(dtype, shape, 0, 4), 4),
            Code::SafetensorsShape,
            "{dtype} {shape}"
        );
    }
    for (shape, end) in [("[2]", 4), ("[1]", 8), ("[]", 0), ("[0]", 4)] {
        assert_eq!(
            code(&tensor("F32", shape, 0, end), 8),
            Code::SafetensorsTensorSize,
            "{shape}"
        );
    }
    assert_eq!(
        code(&tensor("F32", "[1]", 4, 0), 4),
        Code::SafetensorsOffsets
    );
    assert_eq!(
        code(&tensor("F32", "[1]", 0, 4), 3),
        Code::SafetensorsTensorOutOfFile
    );
    assert_eq!(
        code(&tensor("F32", "[1]", u64::MAX - 4, u64::MAX), 4),
        Code::SafetensorsTensorOutOfFile
    );
}

#[test]
fn tensors_tile_the_data() {
    let two = |first: (u64, u64), second: (u64, u64)| {
        let tensor = |(begin, end): (u64, u64)| {
            format!(
                r#"{{"dtype":"U8","shape":[{}],"data_offsets":[{begin},{end}]}}"#,
                end - begin
            )
        };
        format!(r#"{{"a":{},"b":{}}}"#, tensor(first), tensor(second))
    };
    assert!(read(&file(&two((2, 4), (0, 2)), 4)).is_ok());
    assert_eq!(
        code(&two((0, 2), (1, 3)), 3),
        Code::SafetensorsTensorOverlap
    );
    assert_eq!(
        code(&two((0, 2), (0, 2)), 2),
        Code::SafetensorsTensorOverlap
    );
    assert_eq!(
        code(&two((0, 3), (1, 1)), 3),
        Code::SafetensorsTensorOverlap,
        "an empty one within another"
    );
    assert_eq!(code(&two((0, 2), (3, 4)), 4), Code::SafetensorsTensorHole);
    assert_eq!(
        code(&two((1, 2), (2, 4)), 4),
        Code::SafetensorsTensorHole,
        "before the first"
    );
    assert_eq!(code(&two((0, 2), (2, 4)), 5), Code::SafetensorsTrailingData);
    assert_eq!(code("{}", 1), Code::SafetensorsTrailingData);
}

#[test]
fn every_limit_holds() {
    let bytes = file(FULL, 16);
    let default = Limits::default();
    for (what, limits) in [
        (
            "header",
            Limits {
                header_bytes: FULL.len() as u64 - 1,
                ..default.clone()
            },
        ),
        (
            "tensors",
            Limits {
                tensors: 2,
                ..default.clone()
            },
        ),
        (
            "metadata",
            Limits {
                metadata_entries: 1,
                ..default.clone()
            },
        ),
    ] {
        let finding = read_within(&bytes, &limits).expect_err(what);
        assert_eq!(finding.code, Code::SafetensorsLimit, "{what}: {finding}");
    }
    let exact = Limits {
        header_bytes: FULL.len() as u64,
        tensors: 3,
        metadata_entries: 2,
        dims: 2,
        ..default.clone()
    };
    read_within(&bytes, &exact).unwrap();
    let flat = Limits { dims: 1, ..default };
    assert_eq!(
        read_within(&bytes, &flat).unwrap_err().code,
        Code::SafetensorsShape
    );
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let bytes = file(FULL, 16);
    for len in 0..bytes.len() {
        let finding = read(&bytes[..len]).expect_err("the file is cut");
        let wanted = match len {
            0..8 => Code::SafetensorsTruncated,
            _ if len < 8 + FULL.len() => Code::SafetensorsHeaderLength,
            _ => Code::SafetensorsTensorOutOfFile,
        };
        assert_eq!(finding.code, wanted, "{len}");
    }
    // The header cut with a length that says so.
    for len in 2..FULL.trim_end().len() {
        let finding = read(&with_length(len as u64, &FULL.as_bytes()[..len], 16)).unwrap_err();
        // Where a value was to come, what is missing is told by the name of what it should have been.
        let told = [Code::SafetensorsJson, Code::SafetensorsMetadata];
        assert!(told.contains(&finding.code), "{len}: {finding}");
        assert!(finding.offset <= 8 + len as u64, "{len}: {finding}");
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    let original = file(FULL, 16);
    for at in 0..original.len() {
        for bit in 0..8 {
            let mut changed = original.clone();
            changed[at] ^= 1 << bit;
            if let Err(finding) = read(&changed) {
                assert!(finding.offset <= original.len() as u64, "{finding}");
            }
        }
        for byte in *b"\0\"\\{}[],:0 \x80\xff" {
            let mut changed = original.clone();
            changed[at] = byte;
            drop(read(&changed));
        }
    }
}
