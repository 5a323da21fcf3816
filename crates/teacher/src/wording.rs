//! Texts as lists of words, to find one in another.

/// Words in lower case, without the characters between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wording(Vec<String>);

impl Wording {
    pub(super) fn of(text: &str) -> Self {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Self(words.map(str::to_lowercase).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether the text contains these words, in this order with nothing between.
    pub(super) fn contains(&self, words: &[String]) -> bool {
        !words.is_empty() && self.0.windows(words.len()).any(|window| window == words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_stands_between_them_and_parts_of_words_are_not() {
        let text = Wording::of("It holds a Red-Pen, and more: ÉCLAIR.");
        for (words, there) in [
            ("red pen", true),
            ("RED, PEN", true),
            ("ed pen", false),
            ("pen red", false),
            ("éclair", true),
            ("", false),
        ] {
            assert_eq!(text.contains(Wording::of(words).words()), there, "{words}");
        }
    }
}
