//! A currency by its ISO 4217 code. Amounts in different currencies are never added or compared here.

use crate::letters::letters;

letters! {
    /// Three upper-case letters.
    Currency of 3,
    /// A text that has not the form of a currency's code.
    CurrencyError = "`{0}` is not a currency's code of three upper-case letters (ISO 4217)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_upper_case_letters_are_a_code() {
        assert_eq!("QXA".parse::<Currency>().unwrap().to_string(), "QXA");
        for text in ["", "QX", "qxa", "QXAB", "Q1A", "ÄQ"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }
}
