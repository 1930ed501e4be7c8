//! Whatever a request holds is looked through, and its escapes make no difference to what is found.

#![no_main]

use carnet_guard::scan;
use carnet_wire::json::plain_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let found = scan(text);
    let _ = scan(&plain_bytes(text));
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    // Neither quotes nor backslashes, which a reader of escapes sees once and the text has once more.
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7F)) {
        return;
    }
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    assert_eq!(scan(&plain_bytes(escaped.as_bytes())), found);
});
