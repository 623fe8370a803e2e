//! Names for runs that nobody named.

use tracker_model::RunPath;

const ADJECTIVES: [&str; 32] = [
    "amber", "brave", "calm", "clear", "crisp", "deep", "eager", "early", "fair", "fine", "fresh",
    "gentle", "golden", "grand", "green", "happy", "keen", "light", "lively", "lucky", "mellow",
    "misty", "noble", "proud", "quick", "quiet", "rapid", "silver", "smooth", "steady", "sunny",
    "wise",
];
const NOUNS: [&str; 32] = [
    "aspen", "bay", "birch", "breeze", "brook", "canyon", "cedar", "cliff", "cloud", "comet",
    "coral", "creek", "dune", "ember", "falcon", "fern", "field", "fjord", "glade", "harbor",
    "heron", "island", "lagoon", "meadow", "moon", "otter", "peak", "pine", "reef", "river",
    "summit", "valley",
];

/// Two words and the run's number in its project: short, and the same for the same run.
pub(crate) fn name_for(path: &RunPath, number: u64) -> String {
    let hash = blake3::hash(path.to_string().as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    let pick = |words: &[&'static str; 32], byte: u8| {
        words.get(usize::from(byte % 32)).copied().unwrap_or("run")
    };
    format!("{}-{}-{number}", pick(&ADJECTIVES, a), pick(&NOUNS, b))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_two_words_and_a_number() {
        let name = super::name_for(&"e/p/r".parse().unwrap(), 7);
        assert_eq!(name.split('-').count(), 3, "{name}");
        assert!(name.ends_with("-7"));
    }
}
