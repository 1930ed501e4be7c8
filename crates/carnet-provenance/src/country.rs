//! A country by its ISO 3166-1 alpha-2 code. Which codes exist is the registry's business.

use crate::letters::letters;

letters! {
    /// Two upper-case letters.
    Country of 2,
    /// A text that has not the form of a country code.
    CountryError = "`{0}` is not a country code of two upper-case letters (ISO 3166-1 alpha-2)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_upper_case_letters_are_a_code() {
        assert_eq!("QX".parse::<Country>().unwrap().to_string(), "QX");
        for text in ["", "Q", "qx", "QXY", "Q1", "ÄÖ", "Ä"] {
            assert!(text.parse::<Country>().is_err(), "{text}");
        }
    }
}
