//! Doc comments as plain text.

/// The first paragraph of a doc comment in one line, without links.
pub(super) fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let paragraph: Vec<&str> =
        lines.take_while(|line| !line.is_empty() && !line.starts_with("```")).collect();
    let text = without_links(&paragraph.join(" "));
    match text.strip_suffix(':') {
        Some(text) => format!("{text}."),
        None => text,
    }
}

/// `[text](target)` and `[text]` as their text, if it is code or the target follows.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_code = false;
    while let Some(at) = rest.find(['[', '`']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('`') {
            in_code = !in_code;
            plain.push('`');
            rest = &rest[1..];
            continue;
        }
        let link = (!in_code).then(|| link(rest)).flatten();
        let (shown, after) = link.unwrap_or(rest.split_at(1));
        plain.push_str(shown);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// The text of a link that `text` begins with, and the rest after the link.
fn link(text: &str) -> Option<(&str, &str)> {
    let (shown, after) = text.strip_prefix('[')?.split_once(']')?;
    if let Some((_, after)) = after.strip_prefix('(').and_then(|target| target.split_once(')')) {
        return Some((shown, after));
    }
    (shown.starts_with('`') && shown.ends_with('`')).then_some((shown, after))
}

/// Removes the sentence that begins with `word` from a text; returns the rest and the
/// content of the sentence.
pub(super) fn take_sentence(text: &str, word: &str) -> (String, Option<String>) {
    let begins = |(at, _): &(usize, &str)| *at == 0 || text[..*at].ends_with(". ");
    let Some((start, _)) = text.match_indices(&format!("{word} ")).find(begins) else {
        return (text.to_owned(), None);
    };
    let sentence = &text[start + word.len() + 1..];
    let end = sentence.find(". ").map_or(sentence.len(), |at| at + 2);
    let said = sentence[..end].trim().trim_end_matches('.').to_owned();
    let rest = format!("{}{}", &text[..start], &sentence[end..]);
    (rest.trim().to_owned(), Some(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_comment_becomes_a_line_of_plain_text() {
        let text = "Losses of [S-DPO](https://a.b/c) as\n[`Sdpo`] has them, in `[0, 1)`:\n\nMore.";
        assert_eq!(first_paragraph(text), "Losses of S-DPO as `Sdpo` has them, in `[0, 1)`.");
        assert_eq!(first_paragraph("One.\n```text\nx\n```"), "One.");
    }

    #[test]
    fn a_sentence_is_taken_out_by_its_first_word() {
        let text = "A share. Range `[0, 1)`, below `b`. More 1.5 text.";
        let (rest, said) = take_sentence(text, "Range");
        assert_eq!(
            (rest.as_str(), said.as_deref()),
            ("A share. More 1.5 text.", Some("`[0, 1)`, below `b`"))
        );
        assert_eq!(take_sentence("The Range is. Wide", "Range").1, None);
        assert_eq!(take_sentence("Codes. Default 1e-3.", "Default").0, "Codes.");
    }
}
