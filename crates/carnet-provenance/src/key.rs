//! The canonical key of a model name: what is left when spelling is taken away.
//!
//! Nothing that may change the lineage is ever stripped: only letter case, the organisation in
//! front, quantisation at the end, and the marks between parts.

/// Words at the end of a name that say how the weights are stored, not which they are.
const STORED: &[&str] = &[
    "2bit",
    "3bit",
    "4bit",
    "5bit",
    "6bit",
    "8bit",
    "awq",
    "bf16",
    "bnb",
    "exl2",
    "exl3",
    "f16",
    "f32",
    "fp16",
    "fp32",
    "fp4",
    "fp8",
    "fp8-dynamic",
    "ggml",
    "gguf",
    "gptq",
    "i1",
    "imatrix",
    "int4",
    "int8",
    "mlx",
    "mxfp4",
    "mxfp8",
    "nf4",
    "nvfp4",
    "quantized",
    "ud",
    "w4a16",
    "w4a8",
    "w8a16",
    "w8a8",
];

/// The key of a name. Computing the key of a key changes nothing.
pub(crate) fn key(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit('/').next().unwrap_or_default();
    let mut key = spelled(without_storage(last));
    loop {
        let shorter = spelled(without_storage(&key));
        if shorter == key {
            return key;
        }
        key = shorter;
    }
}

/// A key without a date at its end (`20250131`, `2025-01-31`).
pub(crate) fn without_date(key: &str) -> Option<&str> {
    let within = |text: &str, digits: usize, least: u32, most: u32| {
        text.len() == digits
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text
                .parse()
                .is_ok_and(|number: u32| (least..=most).contains(&number))
    };
    let is_date = |year: &str, month: &str, day: &str| {
        within(year, 4, 2000, 2099) && within(month, 2, 1, 12) && within(day, 2, 1, 31)
    };
    let (rest, last) = key.rsplit_once('-')?;
    if let Some((year, day)) = last.split_at_checked(4)
        && let Some((month, day)) = day.split_at_checked(2)
        && is_date(year, month, day)
    {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    is_date(year, month, last).then_some(rest)
}

/// A lower-case name without quantisation at its end. Something is always left.
pub(crate) fn without_storage(name: &str) -> &str {
    let mut name = name;
    while let Some(shorter) = storage_at_end(name) {
        name = shorter;
    }
    name
}

/// Every word that says how weights are stored.
pub(crate) fn storage_words() -> impl Iterator<Item = &'static str> {
    STORED.iter().copied()
}

fn storage_at_end(name: &str) -> Option<&str> {
    // The longest word first, so that `q4_k_m` goes as a whole.
    let marks = name
        .char_indices()
        .filter(|(_, c)| matches!(c, '-' | '_' | '.' | ':'));
    for (at, _) in marks {
        let (before, word) = name.split_at(at);
        if !before.is_empty() && word.get(1..).is_some_and(is_storage) {
            return Some(before);
        }
    }
    None
}

fn is_storage(word: &str) -> bool {
    STORED.contains(&word) || is_k_quant(word)
}

/// `q4`, `q4_0`, `q4_k_m`, `iq2_xxs` … as llama.cpp names them, also with other marks between.
fn is_k_quant(word: &str) -> bool {
    let mut parts = word.split(['_', '-']);
    let Some(bits) = parts
        .next()
        .map(|first| first.strip_prefix('i').unwrap_or(first))
    else {
        return false;
    };
    let mut first = bits.chars();
    // A key has a border between letter and digit: `q-4-k-m`.
    let bits = match (first.next(), first.as_str()) {
        (Some('q'), "") => parts.next().unwrap_or_default(),
        (Some('q'), rest) => rest,
        _ => return false,
    };
    let size = |part: &str| {
        matches!(
            part,
            "0" | "1" | "k" | "xxs" | "xs" | "s" | "m" | "l" | "xl" | "nl"
        )
    };
    bits.len() == 1 && bits.bytes().all(|byte| byte.is_ascii_digit()) && parts.all(size)
}

/// One mark between parts, a border between letters and digits, and `4p5` as `4.5`.
pub(crate) fn spelled(name: &str) -> String {
    let mut out = String::with_capacity(name.len().saturating_add(8));
    let chars: Vec<char> = name.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(at);
        let after = at(index.saturating_add(1));
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let point = c == 'p' && digit(before) && digit(after);
        if point || matches!(c, '.' | '_' | ' ' | '-' | ':') {
            push_mark(&mut out);
            continue;
        }
        if before.is_some_and(|b| {
            (b.is_ascii_digit() && c.is_ascii_alphabetic())
                || (b.is_ascii_alphabetic() && c.is_ascii_digit())
        }) {
            push_mark(&mut out);
        }
        out.push(c);
    }
    if out.ends_with('-') {
        out.pop();
    }
    out
}

fn push_mark(out: &mut String) {
    if !out.is_empty() && !out.ends_with('-') {
        out.push('-');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for name in [
            "Maker/Alpha-3.2-70B",
            "alpha-3p2-70b",
            "alpha_3.2_70b",
            "ALPHA3-2-70B",
            "alpha-3.2-70b-fp8",
            "Alpha-3.2-70B-Q4_K_M",
        ] {
            assert_eq!(key(name), "alpha-3-2-70-b", "{name}");
        }
    }

    #[test]
    fn what_may_change_the_lineage_stays() {
        for word in [
            "distill-alpha",
            "chimera",
            "abliterated",
            "1776",
            "thinking",
            "turbo",
            "instruct",
        ] {
            assert_ne!(key(&format!("beta-r1-{word}")), key("beta-r1"), "{word}");
        }
    }

    #[test]
    fn only_a_whole_date_goes() {
        assert_eq!(without_date("alpha-20250131"), Some("alpha"));
        assert_eq!(without_date("alpha-2025-01-31"), Some("alpha"));
        for name in [
            "alpha-0528",
            "alpha-1776",
            "alpha-2-5-1",
            "alpha-2024-13-40",
            "alpha-20241340",
        ] {
            assert_eq!(without_date(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(name in ".{0,60}") {
            let once = key(&name);
            prop_assert_eq!(key(&once), once);
        }

        #[test]
        fn a_key_of_usual_signs_is_its_own_key(name in "[a-zA-Z0-9._:/ -]{0,40}") {
            let once = key(&name);
            prop_assert_eq!(key(&once), once);
        }

        #[test]
        fn letter_case_does_not_matter(name in "[a-zA-Z0-9._-]{1,40}") {
            prop_assert_eq!(key(&name.to_uppercase()), key(&name.to_lowercase()));
        }
    }
}
