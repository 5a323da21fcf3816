//! The last part of a reasoning: the history without what does not matter.

/// What the last line of a text of [`EnrichmentKind::Reasoning`](crate::EnrichmentKind::Reasoning)
/// begins with: the Semantic IDs of the history that matter, earliest first.
pub const REWRITING: &str = "Rewriting:";

/// The text before the label and the text after it; `None` without a line that begins with it.
pub(crate) fn split_rewriting(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.rsplit_once(REWRITING)?;
    let begins_a_line = before.ends_with('\n');
    begins_a_line.then(|| (before.trim_end(), after.trim().trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reasoning_is_split_at_the_line_of_its_last_label() {
        for (text, parts) in [
            ("Step 1: tea\nRewriting: <a_1> <a_2>", Some(("Step 1: tea", "<a_1> <a_2>"))),
            ("x\nRewriting: a\n\nRewriting: <a_1>.\n", Some(("x\nRewriting: a", "<a_1>"))),
            ("Rewriting: <a_1>", None), // nothing before it
            ("tea Rewriting: <a_1>", None),
            ("tea", None),
        ] {
            assert_eq!(split_rewriting(text), parts, "{text}");
        }
    }
}
