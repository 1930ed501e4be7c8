//! Names of weight files: free text that anybody chose.

use crate::grammar::{Names, Reading};

const ENDINGS: &[&str] = &[".gguf", ".safetensors"];

pub(super) fn looks_like(id: &str) -> bool {
    ENDINGS.iter().any(|ending| id.ends_with(ending))
}

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Anybodys;
    let name = id.rsplit(['/', '\\']).next().unwrap_or(id);
    reading.form(name);
    let mut rest = name;
    for ending in ENDINGS {
        rest = rest.strip_suffix(ending).unwrap_or(rest);
    }
    rest = without_part(rest);
    reading.form(rest);
    reading.without_storage();
    reading.step("a file's name proves nothing; the evidence is in the file");
}

/// The name without `-00001-of-00005`.
fn without_part(name: &str) -> &str {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = name.rsplit_once("-of-").filter(|(_, count)| digits(count));
    let whole = part
        .and_then(|(before, _)| before.rsplit_once('-'))
        .filter(|(_, number)| digits(number));
    whole.map_or(name, |(whole, _)| whole)
}
