//! Small model files, written by the tests that need them.

/// A GGUF file without tensors and with these texts as its metadata.
pub(crate) fn gguf(entries: &[(&str, &str)]) -> Vec<u8> {
    const STRING: u32 = 8;
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend((entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        file.extend(text(key));
        file.extend(STRING.to_le_bytes());
        file.extend(text(value));
    }
    file
}

/// A safetensors file without tensors and with these texts as its metadata.
pub(crate) fn safetensors(entries: &[(&str, &str)]) -> Vec<u8> {
    let texts: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let header = serde_json::json!({ "__metadata__": texts }).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file
}
