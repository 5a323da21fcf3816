//! Finds pieces of text that a tokenizer would read as control tokens, where they are not allowed.

use sidereal_sid::TokenStyle;

/// Tags that frame reasoning and its answer.
const TAGS: [&str; 4] = ["think", "/think", "answer", "/answer"];
/// The characters inside the angle brackets of a chat marker, at both ends.
const BARS: [char; 2] = ['|', '\u{ff5c}'];

/// What a piece of a text is to a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlKind {
    /// A code of a Semantic ID, `<a_12>`, or a mark around its codes, `<|sid_begin|>`.
    Code,
    /// A chat marker, `<|im_end|>`, also with the full-width bars that some families write.
    Marker,
    /// A tag around reasoning or its answer, `<think>`.
    Tag,
}

/// The control tokens of `text`, from left to right, told by their shape. Codes and marks are those of
/// `style` and of every published style.
///
/// ```
/// use sidereal_prompts::{ControlKind, control_tokens};
/// use sidereal_sid::TokenStyle;
///
/// let found: Vec<_> = control_tokens("<think>take <a_1>", &TokenStyle::default()).collect();
/// assert_eq!(found, [(ControlKind::Tag, "<think>"), (ControlKind::Code, "<a_1>")]);
/// ```
pub fn control_tokens<'t>(
    text: &'t str,
    style: &TokenStyle,
) -> impl Iterator<Item = (ControlKind, &'t str)> + use<'t> {
    let mut styles = TokenStyle::published().to_vec();
    if !styles.contains(style) {
        styles.insert(0, style.clone());
    }
    let own = !styles.iter().all(opens_with_angle);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            // What has no angle is a token of a style of one's own alone.
            at += if own { 0 } else { text.get(at..)?.find('<')? };
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let code = styles.iter().find_map(|style| style.first_token(rest));
            let found = match code {
                Some(token) => Some((ControlKind::Code, token)),
                None => marker_or_tag(rest),
            };
            if let Some((kind, token)) = found {
                at += token.len();
                return Some((kind, token));
            }
            at += first.len_utf8();
        }
    })
}

/// Whether all tokens of a style begin with an angle.
fn opens_with_angle(style: &TokenStyle) -> bool {
    style.template().starts_with('<')
        && style.marks().into_iter().flatten().all(|mark| mark.starts_with('<'))
}

/// The chat marker or the tag that a text begins with.
fn marker_or_tag(text: &str) -> Option<(ControlKind, &str)> {
    let rest = text.strip_prefix('<')?;
    let body = rest.get(..rest.find(['<', '>'])?)?;
    rest.get(body.len()..)?.strip_prefix('>')?;
    let marker = BARS.iter().any(|bar| {
        body.strip_prefix(*bar)
            .and_then(|body| body.strip_suffix(*bar))
            .is_some_and(|name| !name.is_empty())
    });
    let kind = match (marker, TAGS.contains(&body)) {
        (true, _) => ControlKind::Marker,
        (_, true) => ControlKind::Tag,
        _ => return None,
    };
    Some((kind, text.get(..body.len() + 2)?))
}

/// A text without the codes of Semantic IDs, and the marks around them, which are tokens of their own: what
/// a tokenizer learns its pieces from.
///
/// ```
/// use sidereal_sid::TokenStyle;
///
/// let text = "after <a_1><b_20>: <think>";
/// assert_eq!(sidereal_prompts::without_codes(text, &TokenStyle::default()), "after : <think>");
/// ```
#[must_use]
pub fn without_codes(text: &str, style: &TokenStyle) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    for (_, token) in control_tokens(text, style).filter(|(kind, _)| *kind == ControlKind::Code) {
        if let Some((before, after)) = rest.split_once(token) {
            left.push_str(before);
            rest = after;
        }
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control_token(text: &str) -> Option<&str> {
        control_tokens(text, &TokenStyle::default()).next().map(|(_, token)| token)
    }

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
        let kinds: Vec<_> = control_tokens("<a_1><b_2> <|x|> <answer>", &TokenStyle::default())
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(
            kinds,
            [ControlKind::Code, ControlKind::Code, ControlKind::Marker, ControlKind::Tag]
        );
    }

    #[test]
    fn codes_and_marks_of_published_styles_and_of_the_own_one_are_codes() {
        let own = TokenStyle::new("[{level}:{code}]").unwrap().with_marks("«", "»").unwrap();
        let marked = TokenStyle::open_one_rec();
        let text = "é <|sid_begin|><s_a_1><s_b_2><|sid_end|> «[a:1]» <a_3> <|im_end|>";
        let codes = |style: &TokenStyle| -> Vec<&str> {
            let found = control_tokens(text, style);
            found.filter(|(kind, _)| *kind == ControlKind::Code).map(|(_, token)| token).collect()
        };
        let published = ["<|sid_begin|>", "<s_a_1>", "<s_b_2>", "<|sid_end|>", "<a_3>"];
        assert_eq!(codes(&marked), published);
        assert_eq!(codes(&TokenStyle::default()), published);
        let with_own = [&published[..4], &["«", "[a:1]", "»", "<a_3>"]].concat();
        assert_eq!(codes(&own), with_own);
        assert_eq!(without_codes(text, &own), "é    <|im_end|>");
        assert_eq!(without_codes(text, &marked), "é  «[a:1]»  <|im_end|>");
    }
}
