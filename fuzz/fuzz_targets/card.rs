//! Any text as a model card and as a JSON configuration: read or refused, never a panic.

#![no_main]

use carnet_inspect::{card, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = json::read(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = card::read(text, true);
        let _ = card::read(&format!("---\n{text}\n---\n"), true);
    }
});
