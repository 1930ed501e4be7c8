//! What the conventions call a service: a vocabulary, by the id of the host.

/// Ids of hosts and the words for them, one pair a line.
const WORDS: &str = include_str!("providers.txt");

/// `gen_ai.provider.name` of a host: the word that must be used where there is one, else the host's id.
pub(super) fn name(host: &str) -> &str {
    let pairs = WORDS.lines().filter_map(|line| line.split_once(' '));
    let mut known = pairs.filter(|(id, _)| *id == host);
    known.next().map_or(host, |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_the_words_of_the_conventions() {
        assert_eq!(name("amazon-bedrock"), "aws.bedrock");
        assert_eq!(name("rack"), "rack");
        assert_eq!(name(""), "");
        assert!(WORDS.lines().all(|line| line.split(' ').count() == 2));
    }
}
