//! GGUF headers: what is read from a valid one, and one small file for each thing that can be wrong.
#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use carnet_inspect::gguf::{self, Array, Gguf, Value};
use carnet_inspect::limits::MAX_GGUF_TENSOR_NAME;
use carnet_inspect::{Code, Finding, Limits};

const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U32: u32 = 4;
const F32_TYPE: u32 = 0;
const Q4_0: u32 = 2;

/// A file written by hand: everything as it should be until a test says otherwise.
#[derive(Clone)]
struct File {
    magic: [u8; 4],
    version: u32,
    tensor_count: Option<u64>,
    entry_count: Option<u64>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    tensors: Vec<Entry>,
    padding: u8,
    data: Vec<u8>,
}

#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    dims: Vec<u64>,
    dims_count: Option<u32>,
    kind: u32,
    offset: u64,
}

fn file() -> File {
    File {
        magic: *b"GGUF",
        version: 3,
        tensor_count: None,
        entry_count: None,
        entries: Vec::new(),
        tensors: Vec::new(),
        padding: 0,
        data: Vec::new(),
    }
}

/// Two tensors of 32 and 36 bytes, and 28 of padding.
fn two_tensors() -> File {
    file()
        .tensor("a", &[8], F32_TYPE, 0)
        .tensor("b", &[32, 2], Q4_0, 32)
        .data(&[1; 68])
        .data(&[0; 28])
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn value(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], bytes].concat()
}

fn array(kind: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat()
}

impl File {
    fn entry(mut self, key: &str, kind: u32, bytes: &[u8]) -> Self {
        self.entries.push((key.into(), value(kind, bytes)));
        self
    }

    fn tensor(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors.push(Entry {
            name: name.into(),
            dims: dims.to_vec(),
            dims_count: None,
            kind,
            offset,
        });
        self
    }

    fn data(mut self, data: &[u8]) -> Self {
        self.data.extend(data);
        self
    }

    fn header(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        let tensor_count = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        out.extend(tensor_count.to_le_bytes());
        let entry_count = self.entry_count.unwrap_or(self.entries.len() as u64);
        out.extend(entry_count.to_le_bytes());
        for (key, value) in &self.entries {
            out.extend(text(key));
            out.extend(value);
        }
        for tensor in &self.tensors {
            out.extend(text(&tensor.name));
            let count = tensor.dims_count.unwrap_or(tensor.dims.len() as u32);
            out.extend(count.to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        if !self.tensors.is_empty() {
            out.resize(out.len().next_multiple_of(32), self.padding);
        }
        out.extend(&self.data);
        out
    }

    fn finding(&self) -> Finding {
        read(&self.bytes()).expect_err("the file is malformed")
    }

    fn code(&self) -> Code {
        self.finding().code
    }
}

fn read(bytes: &[u8]) -> Result<Gguf, Finding> {
    read_within(bytes, &Limits::default())
}

fn read_within(bytes: &[u8], limits: &Limits) -> Result<Gguf, Finding> {
    gguf::read(&mut Cursor::new(bytes), bytes.len() as u64, limits)
}

/// One of everything that a header can have.
fn full() -> File {
    let nested = [array(0, 2, &[1, 2]), array(STRING, 1, &text(b"x"))].concat();
    two_tensors()
        .entry("u8", 0, &[200])
        .entry("i8", 1, &[0xff])
        .entry("u16", 2, &[0, 1])
        .entry("i16", 3, &[0xfe, 0xff])
        .entry("general.alignment", U32, &32_u32.to_le_bytes())
        .entry("i32", 5, &(-3_i32).to_le_bytes())
        .entry("f32", 6, &1.5_f32.to_le_bytes())
        .entry("bool", 7, &[1])
        .entry("general.name", STRING, &text("näme".as_bytes()))
        .entry(
            "tokenizer.ggml.tokens",
            ARRAY,
            &array(STRING, 2, &[text(b"a"), text("Ġb".as_bytes())].concat()),
        )
        .entry("scores", ARRAY, &array(6, 1, &2.5_f32.to_le_bytes()))
        .entry("nested", ARRAY, &array(ARRAY, 2, &nested))
        .entry("u64", 10, &u64::MAX.to_le_bytes())
        .entry("i64", 11, &(-1_i64).to_le_bytes())
        .entry("f64", 12, &0.5_f64.to_le_bytes())
}

#[test]
fn a_valid_header_is_read() {
    let file = full();
    let read = read(&file.bytes()).unwrap();
    assert_eq!((read.version(), read.alignment()), (3, 32));
    let data_start = (file.header().len() as u64).next_multiple_of(32);
    assert_eq!(read.data_start(), data_start);

    let [a, b] = read.tensors() else {
        panic!("{:?}", read.tensors())
    };
    assert_eq!(
        (a.name.as_str(), a.dims.as_slice(), a.kind.name()),
        ("a", &[8_u64][..], "F32")
    );
    assert_eq!(a.bytes, data_start..data_start + 32);
    assert_eq!(
        (b.kind.name(), b.kind.block_elements(), b.kind.block_bytes()),
        ("Q4_0", 32, 18)
    );
    assert_eq!(b.bytes, data_start + 32..data_start + 68);

    assert_eq!(read.metadata().len(), 15);
    for (key, wanted) in [
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-1)),
        ("u16", Value::U16(256)),
        ("i16", Value::I16(-2)),
        ("i32", Value::I32(-3)),
        ("f32", Value::F32(1.5)),
        ("bool", Value::Bool(true)),
        ("general.name", Value::String("näme".into())),
        ("scores", Value::Array(Array::F32(vec![2.5]))),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(-1)),
        ("f64", Value::F64(0.5)),
        (
            "nested",
            Value::Array(Array::Array(vec![
                Array::U8(vec![1, 2]),
                Array::String(vec!["x".into()]),
            ])),
        ),
    ] {
        assert_eq!(read.value(key), Some(&wanted), "{key}");
    }
    let tokens = read
        .value("tokenizer.ggml.tokens")
        .and_then(Value::as_array);
    assert_eq!(
        tokens.and_then(Array::as_strings).map(<[String]>::len),
        Some(2)
    );
    assert_eq!(read.value("u8").and_then(Value::as_u64), Some(200));
    assert_eq!(read.value("i8").and_then(Value::as_u64), None);
    assert_eq!(
        read.value("general.name").and_then(Value::as_str),
        Some("näme")
    );
}

#[test]
fn valid_headers_of_all_kinds_pass() {
    let unpadded = two_tensors();
    let unpadded = File {
        data: unpadded.data[..68].to_vec(),
        ..unpadded
    };
    let wide = file()
        .entry("general.alignment", U32, &8_u32.to_le_bytes())
        .tensor("a", &[1], F32_TYPE, 0)
        .tensor("b", &[1], F32_TYPE, 8)
        .data(&[1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
    for (what, file) in [
        (
            "version 2",
            File {
                version: 2,
                ..two_tensors()
            },
        ),
        ("no entry and no tensor", file()),
        ("a vocabulary alone", file().entry("k", STRING, &text(b""))),
        ("the last tensor is not padded", unpadded),
        ("the file is padded once more", two_tensors().data(&[0; 4])),
        (
            "tensors out of order",
            file()
                .tensor("b", &[8], F32_TYPE, 32)
                .tensor("a", &[8], F32_TYPE, 0)
                .data(&[1; 64]),
        ),
        (
            "a single number",
            file().tensor("a", &[], F32_TYPE, 0).data(&[1; 4]),
        ),
        (
            "four dimensions",
            file().tensor("a", &[32, 1, 1, 2], Q4_0, 0).data(&[1; 36]),
        ),
        (
            "a name of full length",
            file()
                .tensor(
                    &"n".repeat(MAX_GGUF_TENSOR_NAME as usize),
                    &[1],
                    F32_TYPE,
                    0,
                )
                .data(&[1; 4]),
        ),
        (
            "keys as architectures have them",
            file().entry("Some-arch.rope/x y", U32, &[0; 4]),
        ),
        (
            "an empty array",
            file().entry("k", ARRAY, &array(STRING, 0, &[])),
        ),
        ("an alignment of 8", wide),
    ] {
        if let Err(finding) = read(&file.bytes()) {
            panic!("{what}: {finding}");
        }
    }
}

#[test]
fn what_the_file_begins_with_is_checked() {
    let magic = File {
        magic: *b"GGML",
        ..file()
    };
    assert_eq!(magic.code(), Code::GgufMagic);
    for version in [0, 1, 4, u32::MAX] {
        let file = File { version, ..file() };
        assert_eq!(file.code(), Code::GgufVersion, "{version}");
    }
    for version in [2_u32, 3] {
        let file = File {
            version: version.swap_bytes(),
            ..file()
        };
        let finding = file.finding();
        assert_eq!((finding.code, finding.offset), (Code::GgufBigEndian, 4));
        assert!(
            finding.message.contains(&format!("(version {version})")),
            "{finding}"
        );
    }
}

#[test]
fn counts_that_the_file_has_no_room_for_are_refused() {
    for count in [1, 1 << 32, 1 << 63, u64::MAX / 25 + 1, u64::MAX] {
        let entries = File {
            entry_count: Some(count),
            ..file()
        };
        let finding = entries.finding();
        assert_eq!(
            (finding.code, finding.offset),
            (Code::GgufCount, 16),
            "{count}"
        );
        let tensors = File {
            tensor_count: Some(count),
            ..file()
        };
        let finding = tensors.finding();
        assert_eq!(
            (finding.code, finding.offset),
            (Code::GgufCount, 8),
            "{count}"
        );
    }
}

#[test]
fn metadata_entries_are_checked() {
    let key = |key: &[u8]| {
        let mut file = file();
        file.entries.push((key.to_vec(), value(U32, &[0; 4])));
        file
    };
    assert_eq!(key(b"").code(), Code::GgufKey);
    assert_eq!(key(b"a\0").code(), Code::GgufKey);
    assert_eq!(key("é".as_bytes()).code(), Code::GgufKey);
    assert_eq!(key(&[b'k'; 65_536]).code(), Code::GgufKey);
    assert_eq!(key(b"\xff").code(), Code::GgufUtf8);
    assert!(read(&key(&[b'k'; 65_535]).bytes()).is_ok());

    let twice = file().entry("k", U32, &[0; 4]).entry("k", U32, &[0; 4]);
    let finding = twice.finding();
    assert_eq!(
        (finding.code, finding.offset),
        (Code::GgufDuplicateKey, 24 + 17)
    );
    assert_eq!(finding.to_string(), "key `k` occurs twice (byte 41)");

    assert_eq!(file().entry("k", 13, &[0; 8]).code(), Code::GgufValueType);
    assert_eq!(
        file().entry("k", ARRAY, &array(13, 0, &[])).code(),
        Code::GgufValueType
    );
    assert_eq!(file().entry("k", 7, &[2]).code(), Code::GgufBool);
    let truths = file().entry("k", ARRAY, &array(7, 2, &[1, 0xff]));
    assert_eq!(truths.code(), Code::GgufBool);
    let finding = file().entry("k", STRING, &text(b"ab\xffc")).finding();
    assert_eq!(
        (finding.code, finding.offset),
        (Code::GgufUtf8, 24 + 9 + 4 + 8 + 2)
    );
}

#[test]
fn lengths_that_the_file_has_no_room_for_are_refused() {
    for len in [4, 1 << 32, i64::MAX as u64, u64::MAX - 7, u64::MAX] {
        let bytes = [&len.to_le_bytes()[..], b"abc"].concat();
        let finding = file().entry("k", STRING, &bytes).finding();
        assert_eq!(finding.code, Code::GgufStringLength, "{len}");
        for kind in [0, 1, 2, 3, 4, 5, 6, 7, STRING, ARRAY, 10, 11, 12] {
            let file = file().entry("k", ARRAY, &array(kind, len, b"abc"));
            assert_eq!(file.code(), Code::GgufArrayLength, "{len} {kind}");
        }
    }
}

#[test]
fn arrays_are_nested_only_so_deep() {
    let nested = |depth| {
        let inner = array(0, 1, &[7]);
        let bytes = (1..depth).fold(inner, |inner, _| array(ARRAY, 1, &inner));
        file().entry("k", ARRAY, &bytes)
    };
    assert!(read(&nested(4).bytes()).is_ok());
    assert_eq!(nested(5).code(), Code::GgufArrayNesting);
    assert_eq!(nested(100_000).code(), Code::GgufArrayNesting);
}

#[test]
fn the_alignment_is_checked() {
    for alignment in [0_u32, 1, 4, 12, 24, 33, 131_072, u32::MAX] {
        let file = two_tensors().entry("general.alignment", U32, &alignment.to_le_bytes());
        let finding = file.finding();
        assert_eq!(
            (finding.code, finding.offset),
            (Code::GgufAlignment, 24),
            "{alignment}"
        );
    }
    let wide = two_tensors().entry("general.alignment", 10, &32_u64.to_le_bytes());
    assert_eq!(wide.code(), Code::GgufAlignment);
}

#[test]
fn tensor_names_are_checked() {
    let named = |name: &[u8]| {
        let mut file = file().tensor("", &[1], F32_TYPE, 0).data(&[1; 4]);
        file.tensors[0].name = name.to_vec();
        file
    };
    assert_eq!(named(b"").code(), Code::GgufTensorName);
    assert_eq!(named(&[b'n'; 64]).code(), Code::GgufTensorName);
    assert_eq!(named(b"a\0b").code(), Code::GgufTensorName);
    assert_eq!(named(b"a\xff").code(), Code::GgufUtf8);
    let twice = file()
        .tensor("a", &[8], F32_TYPE, 0)
        .tensor("a", &[8], F32_TYPE, 32)
        .data(&[1; 64]);
    assert_eq!(twice.code(), Code::GgufDuplicateTensor);
}

#[test]
fn dimensions_that_overflow_are_refused() {
    for dims in [
        &[0][..],
        &[8, 0],
        &[1 << 32, 1 << 31],
        &[1 << 32, 1 << 32],
        &[1 << 62, 4],
        &[1 << 62, 2, 1 << 62, 1],
        &[u64::MAX],
        &[u64::MAX, u64::MAX, u64::MAX, u64::MAX],
        &[1, 1, 1, 1, 1],
    ] {
        let file = file().tensor("a", dims, F32_TYPE, 0).data(&[1; 32]);
        assert_eq!(file.code(), Code::GgufTensorDims, "{dims:?}");
    }
    let mut many = file().tensor("a", &[1], F32_TYPE, 0).data(&[1; 4]);
    many.tensors[0].dims_count = Some(u32::MAX);
    assert_eq!(many.code(), Code::GgufTensorDims);
}

#[test]
fn sizes_and_types_of_tensors_are_checked() {
    for dims in [&[33_u64][..], &[16, 2], &[]] {
        let file = file().tensor("a", dims, Q4_0, 0).data(&[1; 64]);
        assert_eq!(file.code(), Code::GgufTensorSize, "{dims:?}");
    }
    let many_bytes = file()
        .tensor("a", &[1 << 61, 2], F32_TYPE, 0)
        .data(&[1; 64]);
    assert_eq!(many_bytes.code(), Code::GgufTensorSize);
    for kind in [4, 5, 9, 31, 43, 999, u32::MAX] {
        let file = file().tensor("a", &[32], kind, 0).data(&[1; 64]);
        assert_eq!(file.code(), Code::GgufTensorType, "{kind}");
    }
}

#[test]
fn tensors_tile_the_data() {
    let at = |first, second| {
        file()
            .tensor("a", &[8], F32_TYPE, first)
            .tensor("b", &[8], F32_TYPE, second)
            .data(&[1; 128])
    };
    assert_eq!(at(0, 16).code(), Code::GgufTensorOffset);
    assert_eq!(at(0, 0).code(), Code::GgufTensorOverlap);
    assert_eq!(at(0, 64).code(), Code::GgufTensorHole);
    assert_eq!(at(32, 64).code(), Code::GgufTensorHole, "before the first");
    assert_eq!(at(0, 128).code(), Code::GgufTensorOutOfFile);
    for far in [u64::MAX - 31, 1 << 63] {
        assert_eq!(at(0, far).code(), Code::GgufTensorOutOfFile, "{far}");
    }
    let larger = file()
        .tensor("a", &[16], F32_TYPE, 0)
        .tensor("b", &[8], F32_TYPE, 32)
        .data(&[1; 64]);
    let finding = larger.finding();
    assert_eq!(finding.code, Code::GgufTensorOverlap);
    assert!(finding.message.contains("`a` and `b`"), "{finding}");
    let short = file().tensor("a", &[9], F32_TYPE, 0).data(&[1; 35]);
    assert_eq!(short.code(), Code::GgufTensorOutOfFile);
}

#[test]
fn nothing_hides_outside_of_tensors() {
    let before = File {
        padding: 1,
        ..two_tensors()
    };
    assert_eq!(before.code(), Code::GgufPadding);

    let between = |byte: u8| {
        file()
            .tensor("a", &[7], F32_TYPE, 0)
            .tensor("b", &[8], F32_TYPE, 32)
            .data(&[1; 28])
            .data(&[0, 0, byte, 0])
            .data(&[1; 32])
    };
    assert!(read(&between(0).bytes()).is_ok());
    let finding = between(9).finding();
    assert_eq!(finding.code, Code::GgufPadding);
    assert_eq!(
        finding.offset,
        read(&between(0).bytes()).unwrap().data_start() + 30
    );

    assert_eq!(two_tensors().data(&[0, 1]).code(), Code::GgufTrailingData);
    assert_eq!(
        two_tensors().data(&[0; 5]).code(),
        Code::GgufTrailingData,
        "more than the alignment"
    );
    assert_eq!(file().data(b"PK").code(), Code::GgufTrailingData);
}

#[test]
fn every_limit_holds() {
    let bytes = full().bytes();
    let default = Limits::default();
    for (what, limits) in [
        (
            "header",
            Limits {
                header_bytes: 100,
                ..default.clone()
            },
        ),
        (
            "text",
            Limits {
                string_bytes: 16,
                ..default.clone()
            },
        ),
        (
            "entries",
            Limits {
                metadata_entries: 14,
                ..default.clone()
            },
        ),
        (
            "elements",
            Limits {
                array_items: 7,
                ..default.clone()
            },
        ),
        (
            "tensors",
            Limits {
                tensors: 1,
                ..default.clone()
            },
        ),
    ] {
        let finding = read_within(&bytes, &limits).expect_err(what);
        assert_eq!(finding.code, Code::GgufLimit, "{what}: {finding}");
    }
    let exact = Limits {
        header_bytes: full().header().len() as u64,
        string_bytes: 21,
        metadata_entries: 15,
        array_items: 8,
        array_depth: 2,
        tensors: 2,
        ..default.clone()
    };
    read_within(&bytes, &exact).unwrap();
    let flat = Limits {
        array_depth: 1,
        ..default.clone()
    };
    assert_eq!(
        read_within(&bytes, &flat).unwrap_err().code,
        Code::GgufArrayNesting
    );

    let padded = two_tensors().entry("k", U32, &[0; 4]).bytes();
    let none = Limits {
        padding_bytes: 0,
        ..default
    };
    assert_eq!(
        read_within(&padded, &none).unwrap_err().code,
        Code::GgufLimit
    );
}

#[test]
fn a_header_that_is_cut_anywhere_is_refused() {
    let bytes = full().bytes();
    let header = full().header().len();
    for len in 0..header {
        let finding = read(&bytes[..len]).expect_err("the header is cut");
        assert!(finding.offset <= len as u64, "{len}: {finding}");
        let known = [
            Code::GgufTruncated,
            Code::GgufCount,
            Code::GgufStringLength,
            Code::GgufArrayLength,
        ];
        assert!(known.contains(&finding.code), "{len}: {finding}");
    }
    assert_eq!(read(&bytes[..30]).unwrap_err().code, Code::GgufCount);
    assert_eq!(read(&[]).unwrap_err().code, Code::GgufTruncated);
    let last = file().tensor("a", &[1, 1], F32_TYPE, 0).header();
    assert_eq!(
        read(&last[..last.len() - 1]).unwrap_err().code,
        Code::GgufTruncated
    );
    for len in header..bytes.len() - 28 {
        let finding = read(&bytes[..len]).expect_err("the data are cut");
        assert_eq!(finding.code, Code::GgufTensorOutOfFile, "{len}");
    }
}

#[test]
fn no_changed_byte_makes_it_panic_or_passes_unseen() {
    let original = full().bytes();
    let before = read(&original).unwrap();
    let header = full().header().len();
    for at in 0..original.len() {
        for bit in 0..8 {
            let mut changed = original.clone();
            changed[at] ^= 1 << bit;
            match read(&changed) {
                // Within the header every bit means something, except which of two readable versions it is.
                Ok(after) => assert!(
                    at >= header || after != before || at == 4,
                    "byte {at} bit {bit}"
                ),
                Err(finding) => assert!(finding.offset <= original.len() as u64, "{finding}"),
            }
        }
        for byte in [0, 0x7f, 0x80, 0xff] {
            let mut changed = original.clone();
            changed[at] = byte;
            drop(read(&changed));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_no_pass() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    impl Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    let finding = gguf::read(&mut Broken, 1_000, &Limits::default()).unwrap_err();
    assert_eq!(finding.code, Code::FileUnreadable);
    assert!(finding.message.contains("the disk is gone"), "{finding}");

    // Shorter than it was said to be.
    let bytes = full().bytes();
    let finding = gguf::read(
        &mut Cursor::new(&bytes[..40]),
        bytes.len() as u64,
        &Limits::default(),
    );
    assert_eq!(finding.unwrap_err().code, Code::FileUnreadable);
}

#[test]
fn the_vocabulary_of_a_large_model_fits() {
    let tokens: Vec<u8> = (0..262_144)
        .flat_map(|n| text(format!("token{n}").as_bytes()))
        .collect();
    let merges: Vec<u8> = (0..514_906)
        .flat_map(|n| text(format!("t{n} t").as_bytes()))
        .collect();
    let file = file()
        .entry(
            "tokenizer.ggml.tokens",
            ARRAY,
            &array(STRING, 262_144, &tokens),
        )
        .entry(
            "tokenizer.ggml.merges",
            ARRAY,
            &array(STRING, 514_906, &merges),
        )
        .entry(
            "tokenizer.ggml.scores",
            ARRAY,
            &array(6, 262_144, &[0; 4 * 262_144]),
        )
        .entry(
            "tokenizer.ggml.token_type",
            ARRAY,
            &array(5, 262_144, &[0; 4 * 262_144]),
        );
    let read = read(&file.bytes()).unwrap();
    let merges = read
        .value("tokenizer.ggml.merges")
        .and_then(Value::as_array);
    assert_eq!(merges.map(Array::len), Some(514_906));
}
