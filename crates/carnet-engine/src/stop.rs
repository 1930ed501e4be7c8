//! Finds stop strings in an answer, also across the borders of tokens.

use crate::codes::Code;
use crate::limits::{STOP_BYTES_MAX, STOPS_MAX};
use crate::refusal::Refusal;

/// Looks for stop strings and holds back text that may be the beginning of one.
#[derive(Debug)]
pub(crate) struct Stops {
    stops: Vec<String>,
    held: String,
}

impl Stops {
    pub(crate) fn new(stops: &[String]) -> Result<Stops, Refusal> {
        let wrong = |reason: String| {
            let fix = "give fewer or shorter stop strings, none of them empty";
            Refusal::new(Code::SettingInvalid, "stop", reason, fix)
        };
        if stops.len() > STOPS_MAX {
            return Err(wrong(format!(
                "has {} strings; it can have {STOPS_MAX}",
                stops.len()
            )));
        }
        let possible = |stop: &String| (1..=STOP_BYTES_MAX).contains(&stop.len());
        if !stops.iter().all(possible) {
            return Err(wrong(format!("a string has 1 to {STOP_BYTES_MAX} bytes")));
        }
        Ok(Stops {
            stops: stops.to_vec(),
            held: String::new(),
        })
    }

    /// Takes more text; gives what is certain to be part of the answer, and whether it ends here.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        // Of several, the one that is complete first counts, as if letters came one by one; so it does
        // not matter how the text is cut.
        let found = |stop: &String| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        };
        if let Some((_, start)) = self.stops.iter().filter_map(found).min() {
            self.held.truncate(start);
            return (std::mem::take(&mut self.held), true);
        }
        let doubtful = self.stops.iter().map(|stop| begun(&self.held, stop)).max();
        let certain = self.held.len().saturating_sub(doubtful.unwrap_or(0));
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, now that nothing follows.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that `word` begins with, without being the whole word.
pub(crate) fn begun(text: &str, word: &str) -> usize {
    let lengths = word.char_indices().map(|(at, _)| at).rev();
    lengths
        .filter(|len| word.get(..*len).is_some_and(|start| text.ends_with(start)))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text before the stop and whether one was found, for any way of cutting.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut finder = Stops::new(&stops).unwrap();
        let mut all = String::new();
        for piece in pieces {
            let (text, hit) = finder.push(piece);
            all.push_str(&text);
            if hit {
                return (all, true);
            }
        }
        all.push_str(&finder.finish());
        (all, false)
    }

    #[test]
    fn every_cut_gives_the_same() {
        let text = "aab — END, über ENDE";
        for stops in [
            &["ENDE"][..],
            &["END", "über"],
            &["ab —", "zz"],
            &["none"],
            &["b — E", " — "],
        ] {
            let whole = run(stops, &[text]);
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for a in &cuts {
                for b in cuts.iter().filter(|b| *b >= a) {
                    let pieces = [&text[..*a], &text[*a..*b], &text[*b..]];
                    assert_eq!(run(stops, &pieces), whole, "{stops:?} {pieces:?}");
                }
            }
        }
    }

    #[test]
    fn the_stop_that_is_complete_first_wins() {
        assert_eq!(run(&["cd", "b"], &["abcd"]), ("a".into(), true));
        assert_eq!(run(&["abcd", "c"], &["abcd"]), ("ab".into(), true));
        assert_eq!(run(&["bc", "abc"], &["abcd"]), (String::new(), true));
        assert_eq!(run(&["bcx", "bc"], &["ab", "cd"]), ("a".into(), true));
    }

    #[test]
    fn what_only_begins_like_a_stop_is_given_out_at_the_end() {
        assert_eq!(run(&["STOP"], &["go ST"]), ("go ST".into(), false));
    }

    #[test]
    fn impossible_stops_are_refused() {
        let long = "x".repeat(STOP_BYTES_MAX + 1);
        let many = vec!["x".to_owned(); STOPS_MAX + 1];
        for stops in [vec![String::new()], vec![long], many] {
            let error = Stops::new(&stops).map(|_| ()).map_err(|e| e.code);
            assert_eq!(error, Err(Code::SettingInvalid));
        }
    }
}
