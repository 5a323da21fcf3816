//! Finds pieces of text that a tokenizer would read as control tokens, where they are not allowed.

/// Tags that frame reasoning and its answer.
const TAGS: [&str; 4] = ["think", "/think", "answer", "/answer"];
/// The characters inside the angle brackets of a chat marker, at both ends.
const BARS: [char; 2] = ['|', '\u{ff5c}'];

/// What a tokenizer reads a `<…>` in a text as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlKind {
    /// A code of a Semantic ID, `<a_12>`.
    Code,
    /// A chat marker, `<|im_end|>`, also with the full-width bars that some families write.
    Marker,
    /// A tag around reasoning or its answer, `<think>`.
    Tag,
}

/// The control tokens of `text`, from left to right, recognised by their shape.
///
/// ```
/// use sidereal_prompts::{ControlKind, control_tokens};
///
/// let found: Vec<_> = control_tokens("<think>take <a_1>").collect();
/// assert_eq!(found, [(ControlKind::Tag, "<think>"), (ControlKind::Code, "<a_1>")]);
/// ```
pub fn control_tokens(text: &str) -> impl Iterator<Item = (ControlKind, &str)> {
    text.match_indices('<').filter_map(|(start, _)| {
        // Up to the next angle bracket of either kind, so that a text of only such brackets is read
        // once.
        let rest = text.get(start + 1..)?;
        let (body, angle) = rest.split_at(rest.find(['<', '>'])?);
        if angle.starts_with('<') {
            return None;
        }
        let marker = BARS.iter().any(|bar| {
            body.strip_prefix(*bar)
                .and_then(|body| body.strip_suffix(*bar))
                .is_some_and(|name| !name.is_empty())
        });
        let code = body.split_once('_').is_some_and(|(level, code)| {
            level.len() == 1
                && level.bytes().all(|b| b.is_ascii_lowercase())
                && !code.is_empty()
                && code.bytes().all(|b| b.is_ascii_digit())
        });
        let kind = match (marker, code, TAGS.contains(&body)) {
            (true, ..) => ControlKind::Marker,
            (_, true, _) => ControlKind::Code,
            (.., true) => ControlKind::Tag,
            _ => return None,
        };
        Some((kind, text.get(start..=start + 1 + body.len())?))
    })
}

/// The first control token of `text`, of whatever kind.
pub(crate) fn control_token(text: &str) -> Option<&str> {
    control_tokens(text).next().map(|(_, token)| token)
}

/// A text without the codes of Semantic IDs, which are tokens of their own: what a tokenizer learns
/// its pieces from.
///
/// ```
/// let text = sidereal_prompts::without_codes("after <a_1><b_20>: <think>");
/// assert_eq!(text, "after : <think>");
/// ```
#[must_use]
pub fn without_codes(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    for (_, token) in control_tokens(text).filter(|(kind, _)| *kind == ControlKind::Code) {
        if let Some((before, behind)) = rest.split_once(token) {
            left.push_str(before);
            rest = behind;
        }
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_tokens_are_found_and_plain_angles_are_not() {
        assert_eq!(control_token("see <a_12>"), Some("<a_12>"));
        assert_eq!(control_token("i <3 it <|im_end|> x"), Some("<|im_end|>"));
        let wide = "<\u{ff5c}end of sentence\u{ff5c}>";
        assert_eq!(control_token(&format!("a {wide}")), Some(wide));
        assert_eq!(control_token("</think>"), Some("</think>"));
        assert_eq!(control_token("a <b <|<c_4>>"), Some("<c_4>"));
        for text in ["i <3 this", "a<b>c", "<a_>", "<A_1>", "<ab_1>", "<|", "<||>", "<", "<thinks>"]
        {
            assert_eq!(control_token(text), None, "{text}");
        }
        let kinds: Vec<_> =
            control_tokens("<a_1><b_2> <|x|> <answer>").map(|(kind, _)| kind).collect();
        assert_eq!(
            kinds,
            [ControlKind::Code, ControlKind::Code, ControlKind::Marker, ControlKind::Tag]
        );
    }
}
