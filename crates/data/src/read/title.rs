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

/// Whether a title, or a piece of a description, is a page's script or style sheet: nothing else is
/// left of it (`cleaned`), or what is left is program text. The metadata of 2018 have many of them.
pub(super) fn is_script(raw: &str, cleaned: &str) -> bool {
    (cleaned.is_empty() && element(&raw.to_ascii_lowercase(), 0).is_some()) || is_code(cleaned)
}

/// Whether a text holds what occurs in programs and style sheets but not in titles.
fn is_code(text: &str) -> bool {
    // `(new Date()).getTime()` begins the scripts that were taken for titles.
    let calls = ["getTime()", "document.getElementById(", "P.when(", "window.ue"];
    let function = text.split_once("function").is_some_and(|(_, rest)| {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ';
        let parameters = rest.trim_start_matches(name).strip_prefix('(');
        let body = parameters.and_then(|rest| rest.split_once(')'));
        body.is_some_and(|(_, body)| body.trim_start().starts_with('{'))
    });
    let assigns = ["var ", "let ", "const "].iter().any(|word| {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let rest = text.strip_prefix(word).unwrap_or_default();
        let value = rest.trim_start_matches(name);
        value.len() < rest.len() && value.trim_start().starts_with('=') && value.contains(';')
    });
    // A rule of a style sheet, `.a { b: c; }`.
    let rule =
        text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(body, _)| {
            body.split_once(':').is_some_and(|(_, value)| value.contains(';'))
        });
    calls.iter().any(|call| text.contains(call)) || function || assigns || rule
}

/// A text without its scripts and style sheets, with a space in the place of each. If one is not
/// closed, it goes on to the end.
fn without_elements(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let (mut left, mut at) = (String::new(), 0);
    while let Some((start, name)) = element(&lower, at) {
        let close = lower[start..].find(&format!("</{name}")).map(|found| start + found);
        let end = close.and_then(|close| Some(close + lower[close..].find('>')? + 1));
        left.push_str(&text[at..start]);
        left.push(' ');
        at = end.unwrap_or(text.len());
    }
    if at == 0 { Cow::Borrowed(text) } else { Cow::Owned(left + &text[at..]) }
}

/// The first element from `at` on whose content is no text, in a lower-case text.
fn element(lower: &str, at: usize) -> Option<(usize, &'static str)> {
    lower[at..].match_indices('<').map(|(start, _)| at + start).find_map(|start| {
        let name = ["script", "style"].into_iter().find(|name| {
            let after = lower[start + 1..].strip_prefix(name);
            after.is_some_and(|rest| rest.starts_with(|c: char| c == '>' || c.is_whitespace()))
        });
        name.map(|name| (start, name))
    })
}

/// A title on one line, without scripts, style sheets and tags, its entities as the characters that
/// they name.
pub(super) fn clean(title: &str) -> String {
    let shown = without_elements(title);
    let title: &str = &shown;
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
    // Decoded only once: `&amp;lt;` names the text `&lt;`.
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
    // A text like `<a_12>` is a token of a Semantic ID. It is rejected later and must not be hidden
    // here.
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
        assert_eq!(clean("<b>Salt</b><SCRIPT a=\"b\">x = '<i>';</script> mill"), "Salt mill");
        assert_eq!(clean("Salt <style>.a { b: c; }"), "Salt");
    }

    #[test]
    fn scripts_and_style_sheets_are_told_from_titles() {
        let script = |text: &str| is_script(text, &clean(text));
        for text in [
            "var aPageStart = (new Date()).getTime();\nvar ue_t0=window.ue_t0||+new Date();",
            "<span id=\"p\"><script type=\"text/javascript\">var a = 1;</script>",
            "<script>P.when('A').execute(function(A) { A.on(); });",
            "(function(f) { var g = 1; })(window)",
            "function load(a) { return a; }",
            ".a-section { margin: 0; }",
            "<style>.a { b: c }</style>",
            "var x = 1;",
        ] {
            assert!(script(text), "{text}");
        }
        for text in [
            "",
            "Time function: a watch (blue) {2 pack}",
            "Multi-function tool (12 in 1)",
            "var = let; a poster",
            "Functions (volume 2)",
            "Let it be; let = go",
            "{Brand}: case; blue",
            "<b>Script</b> font; cards",
            "JavaScript: the good parts",
            "get time() back",
        ] {
            assert!(!script(text), "{text}");
        }
    }
}
