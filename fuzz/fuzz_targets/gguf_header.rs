//! Any bytes as a GGUF file: read or refused, never a panic, and every place told lies within the file.

#![no_main]

use std::io::Cursor;

use carnet_inspect::{Limits, gguf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let len = bytes.len() as u64;
    match gguf::read(&mut Cursor::new(bytes), len, &Limits::default()) {
        Ok(header) => {
            for tensor in header.tensors() {
                assert!(tensor.bytes.start <= tensor.bytes.end && tensor.bytes.end <= len);
            }
        }
        Err(finding) => assert!(finding.offset <= len),
    }
});
