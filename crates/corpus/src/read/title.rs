//! Titles as shops publish them: entities, tags and stray white space.

use std::borrow::Cow;

/// The first tag or entity of a title.
pub(super) fn markup(title: &str) -> Option<&str> {
    (0..title.len()).filter(|at| title.is_char_boundary(*at)).find_map(|at| {
        let rest = &title[at..];
        let len = match rest.as_bytes().first() {
            Some(b'<') => tag(rest),
            Some(b'&') => entity(rest),
            _ => None,
        };
        rest.get(..len?)
    })
}

/// A title on one line, without tags, its entities as the characters that they name.
pub(super) fn clean(title: &str) -> String {
    let mut plain = String::with_capacity(title.len());
    let mut rest = title;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(len) = tag(from) {
            plain.push(' ');
            rest = &from[len..];
        } else {
            plain.push('<');
            rest = &from[1..];
        }
    }
    plain.push_str(rest);
    // Once: `&amp;lt;` names the text `&lt;`.
    one_line(&html_escape::decode_html_entities(&plain))
}

/// White space as single spaces, none at the ends.
pub(super) fn one_line(title: &str) -> String {
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Length of the tag or comment that `text` begins with: `<` is plain unless a name, `/` or `!`
/// follows.
fn tag(text: &str) -> Option<usize> {
    let next = *text.as_bytes().get(1)?;
    let opens = next.is_ascii_alphabetic()
        || next == b'!'
        || (next == b'/' && text.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic));
    // What looks like `<a_12>` is a Semantic ID's token, to be refused later, not hidden here.
    let end = text.find('>').filter(|_| opens)?;
    let name = text[1..end].trim_start_matches('/');
    let plain = name.starts_with('!')
        || name
            .split([' ', '/', '\t', '\n'])
            .next()
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    plain.then_some(end + 1)
}

/// Length of the entity that `text` begins with.
fn entity(text: &str) -> Option<usize> {
    let end = text.bytes().take(40).position(|b| b == b';')? + 1;
    let decoded = html_escape::decode_html_entities(&text[..end]);
    matches!(decoded, Cow::Owned(decoded) if decoded != text[..end]).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_entities_are_found_and_plain_characters_are_not() {
        assert_eq!(markup("A <b>bold</b> claim"), Some("<b>"));
        assert_eq!(markup("Salt &amp; pepper"), Some("&amp;"));
        assert_eq!(markup("x &#39; y"), Some("&#39;"));
        assert_eq!(markup("a<!-- x -->b"), Some("<!-- x -->"));
        for plain in
            ["i <3 this", "a < b > c", "Black & Decker", "AT&T; x", "5 > 3", "<a_12>", "é<"]
        {
            assert_eq!(markup(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_cleaned_title_is_one_line_of_plain_text() {
        assert_eq!(
            clean("<span class=\"x\">Salt</span>\n &amp; pepper&nbsp;&#x27;n "),
            "Salt & pepper 'n"
        );
        assert_eq!(clean("&amp;lt;b&gt;"), "&lt;b>");
        assert_eq!(clean("a <3 b <i>c"), "a <3 b c");
        assert_eq!(clean("<br/>"), "");
    }
}
