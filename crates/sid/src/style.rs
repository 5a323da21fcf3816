//! How a code is written as a token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::notation::letter;
use crate::{Code, NotationError, SemanticId, SidSpec};

/// Stand for the level's letter and the code's number in a template.
const LEVEL: &str = "{level}";
const CODE: &str = "{code}";

/// How the codes of a Semantic ID are written: a template for one token, and optional marks around
/// them all.
///
/// | style | `[12, 5]` |
/// |---|---|
/// | [`TokenStyle::default`]: `MiniOneRec`, LC-Rec, LETTER | `<a_12><b_5>` |
/// | [`TokenStyle::open_one_rec`] | `<\|sid_begin\|><s_a_12><s_b_5><\|sid_end\|>` |
/// | [`TokenStyle::new`] | any template with a letter for the level and a number for the code |
///
/// ```
/// use sidereal_sid::{SemanticId, SidSpec, TokenStyle};
///
/// let style = TokenStyle::new("[{level}:{code}]")?.with_marks("[sid]", "[/sid]")?;
/// let spec = SidSpec::new(vec![16, 16], 0)?.with_style(style);
/// let sid = SemanticId::from([12, 5]);
/// assert_eq!(spec.text(&sid), "[sid][a:12][b:5][/sid]");
/// assert_eq!(spec.parse("[sid][a:12][b:5][/sid]")?, sid);
///
/// // `a1` followed by `2…` would read as `a12`.
/// let error = TokenStyle::new("{level}{code}").unwrap_err().to_string();
/// assert!(error.contains("needs text after `{code}`"), "{error}");
/// # Ok::<(), sidereal_sid::NotationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawStyle", into = "RawStyle")]
pub struct TokenStyle {
    open: String,
    middle: String,
    close: String,
    marks: Option<[String; 2]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStyle {
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marks: Option<[String; 2]>,
}

impl TokenStyle {
    /// The style of a template that has `{level}`, the letter of the level from `a` on, and then
    /// `{code}`, the number of the code from 0 on, without marks.
    ///
    /// # Errors
    /// [`NotationError::Style`] for a template in which tokens could be read in more than one way:
    /// without a place for level or code, with nothing before the level or after the code, with a
    /// digit right after the code, or in which a token could begin inside another.
    pub fn new(template: &str) -> Result<Self, NotationError> {
        let refuse = |problem| Err(NotationError::Style { style: template.to_owned(), problem });
        if template.matches(LEVEL).count() != 1 || template.matches(CODE).count() != 1 {
            return refuse("needs `{level}` once and `{code}` once");
        }
        let parts = template.split_once(LEVEL).and_then(|(open, rest)| {
            let (middle, close) = rest.split_once(CODE)?;
            Some([open, middle, close].map(str::to_owned))
        });
        let Some([open, middle, close]) = parts else {
            return refuse("needs `{level}` before `{code}`");
        };
        if close.is_empty() {
            return refuse("needs text after `{code}`: otherwise `1` begins `12`");
        }
        if close.starts_with(|c: char| c.is_ascii_digit()) {
            return refuse("has a digit right after `{code}`, which reads as part of the code");
        }
        if open.is_empty() {
            return refuse("needs text before `{level}`, by which tokens are found in a text");
        }
        let style = Self { open, middle, close, marks: None };
        let begins_inside = |letter: char, code: Code| {
            let text = format!("{}{}", style.token(letter, code), style.open);
            (1..text.len() - style.open.len())
                .any(|at| text.is_char_boundary(at) && text[at..].starts_with(&style.open))
        };
        if ('a'..='z').any(|letter| (0..10).any(|code| begins_inside(letter, code))) {
            return refuse(
                "has what stands before `{level}` a second time: a token could begin inside another",
            );
        }
        Ok(style)
    }

    /// `OpenOneRec`'s style: `<|sid_begin|><s_a_340><s_b_6566><|sid_end|>`.
    #[must_use]
    pub fn open_one_rec() -> Self {
        let marks = Some(["<|sid_begin|>", "<|sid_end|>"].map(str::to_owned));
        Self { open: "<s_".to_owned(), marks, ..Self::default() }
    }

    /// The styles of published projects: the default one, then that of `OpenOneRec`.
    #[must_use]
    pub fn published() -> [Self; 2] {
        [Self::default(), Self::open_one_rec()]
    }

    /// The published style of a list of tokens, as an index file holds it: that of the first code, with
    /// marks where the list has both of them.
    ///
    /// # Errors
    /// [`NotationError::Tokens`], which quotes the tokens, for any other notation.
    pub fn of_tokens<S: AsRef<str>>(tokens: &[S]) -> Result<Self, NotationError> {
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        let styles = Self::published().into_iter();
        let mut styles = styles.flat_map(|style| [style.clone(), style.without_marks()]);
        let reads = |style: &Self| {
            let codes = style.codes(&tokens);
            codes.is_some_and(|codes| codes.first().is_none_or(|token| style.is_code(token)))
        };
        styles.find(reads).ok_or_else(|| NotationError::tokens(&tokens))
    }

    /// The Semantic ID of a list of tokens in this style, whatever the codebooks' sizes.
    ///
    /// # Errors
    /// [`NotationError::Tokens`], which quotes the tokens, for a list in another style or without the
    /// marks; [`NotationError::Letter`], [`NotationError::Levels`] and [`NotationError::Range`] for
    /// tokens that make no Semantic ID.
    pub fn sid_of_tokens<S: AsRef<str>>(&self, tokens: &[S]) -> Result<SemanticId, NotationError> {
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        let unread = || NotationError::tokens(&tokens);
        let codes = self.codes(&tokens).ok_or_else(unread)?;
        if !codes.iter().all(|token| self.is_code(token)) {
            return Err(unread());
        }
        let spec = SidSpec::new(vec![usize::from(Code::MAX) + 1; codes.len()], 0)?;
        match spec.with_style(self.clone().without_marks()).parse(&codes.concat()) {
            Err(NotationError::Syntax { .. }) => Err(unread()),
            read => read,
        }
    }

    /// The tokens of a Semantic ID in this style, its marks included: what
    /// [`sid_of_tokens`](Self::sid_of_tokens) reads.
    #[must_use]
    pub fn tokens(&self, sid: &SemanticId) -> Vec<String> {
        let [begin, end] = self.marks().map_or([None, None], |marks| marks.map(Some));
        let codes = sid.iter().enumerate().map(|(l, code)| self.token(letter(l), *code));
        begin.map(str::to_owned).into_iter().chain(codes).chain(end.map(str::to_owned)).collect()
    }

    /// Whether a text is the token of a code.
    #[must_use]
    pub fn is_code(&self, token: &str) -> bool {
        self.read_code(token).is_some_and(str::is_empty)
    }

    /// The token, of a code or a mark, that `text` begins with.
    #[must_use]
    pub fn first_token<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mark = self.marks().into_iter().flatten().find(|mark| text.starts_with(mark));
        let len = match mark {
            Some(mark) => mark.len(),
            None => text.len() - self.read_code(text)?.len(),
        };
        text.get(..len)
    }

    /// Whether a token begins a Semantic ID: the mark before the codes or, in a style without marks, a
    /// code of the first level.
    #[must_use]
    pub fn begins(&self, token: &str) -> bool {
        match self.marks() {
            Some([begin, _]) => token == begin,
            None => self.read(token).is_some_and(|(found, ..)| found == letter(0)),
        }
    }

    /// The tokens between the marks; `None` for a list without them.
    fn codes<'t, 's>(&self, tokens: &'t [&'s str]) -> Option<&'t [&'s str]> {
        match self.marks() {
            None => Some(tokens),
            Some([begin, end]) => match tokens {
                [first, codes @ .., last] if *first == begin && *last == end => Some(codes),
                _ => None,
            },
        }
    }

    /// The same style with a token before the first code and one after the last.
    ///
    /// # Errors
    /// [`NotationError::Style`] for a mark that is empty, or that begins the other mark or a token,
    /// or is begun by one.
    pub fn with_marks(self, begin: &str, end: &str) -> Result<Self, NotationError> {
        for (mark, other) in [(begin, end), (end, begin)] {
            let problem = if mark.is_empty() {
                "has an empty mark: leave both marks out, or give both a text"
            } else if other.starts_with(mark) {
                "has a mark that is the beginning of the other"
            } else if self.meets_a_token(mark) {
                "has a mark that begins a token, or is begun by one"
            } else {
                continue;
            };
            return Err(NotationError::Style { style: self.with(begin, end).to_string(), problem });
        }
        Ok(self.with(begin, end))
    }

    fn with(mut self, begin: &str, end: &str) -> Self {
        self.marks = Some([begin.to_owned(), end.to_owned()]);
        self
    }

    /// The same style without marks.
    #[must_use]
    pub fn without_marks(mut self) -> Self {
        self.marks = None;
        self
    }

    /// The tokens before the first code and after the last, if there are any.
    #[must_use]
    pub fn marks(&self) -> Option<[&str; 2]> {
        self.marks.as_ref().map(|marks| marks.each_ref().map(String::as_str))
    }

    /// The template of a token: `<{level}_{code}>`.
    #[must_use]
    pub fn template(&self) -> String {
        let Self { open, middle, close, .. } = self;
        format!("{open}{LEVEL}{middle}{CODE}{close}")
    }

    /// What the codes of a Semantic ID look like, for messages.
    pub(crate) fn example(&self) -> String {
        let [begin, end] = self.marks().unwrap_or_default();
        format!("{begin}{}{}{end}", self.token('a', 12), self.token('b', 5))
    }

    /// Text of one token.
    pub(crate) fn token(&self, letter: char, code: Code) -> String {
        let Self { open, middle, close, .. } = self;
        format!("{open}{letter}{middle}{code}{close}")
    }

    /// Letter and digits of the token that `text` begins with, and what follows it.
    pub(crate) fn read<'t>(&self, text: &'t str) -> Option<(char, &'t str, &'t str)> {
        let rest = text.strip_prefix(&self.open)?;
        let letter = rest.chars().next()?;
        let rest = rest[letter.len_utf8()..].strip_prefix(&self.middle)?;
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at(len);
        let rest = rest.strip_prefix(&self.close)?;
        (len > 0).then_some((letter, digits, rest))
    }

    /// What follows the code, of some level, that `text` begins with.
    fn read_code<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (found, _, rest) = self.read(text)?;
        found.is_ascii_lowercase().then_some(rest)
    }

    /// Whether `mark` begins a token or a token begins `mark`.
    fn meets_a_token(&self, mark: &str) -> bool {
        let either = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        let Some(rest) = mark.strip_prefix(&self.open) else { return self.open.starts_with(mark) };
        let Some(rest) = rest.strip_prefix(|c: char| c.is_ascii_lowercase()) else {
            return rest.is_empty();
        };
        let Some(rest) = rest.strip_prefix(&self.middle) else {
            return self.middle.starts_with(rest);
        };
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.is_empty() || (after.len() < rest.len() && either(after, &self.close))
    }
}

impl Default for TokenStyle {
    /// `<a_12><b_5>`, without marks.
    fn default() -> Self {
        let [open, middle, close] = ["<", "_", ">"].map(str::to_owned);
        Self { open, middle, close, marks: None }
    }
}

/// The template, between the marks.
impl fmt::Display for TokenStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [begin, end] = self.marks().unwrap_or_default();
        write!(f, "{begin}{}{end}", self.template())
    }
}

impl TryFrom<RawStyle> for TokenStyle {
    type Error = NotationError;

    fn try_from(raw: RawStyle) -> Result<Self, NotationError> {
        let style = Self::new(&raw.token)?;
        match raw.marks {
            Some([begin, end]) => style.with_marks(&begin, &end),
            None => Ok(style),
        }
    }
}

impl From<TokenStyle> for RawStyle {
    fn from(style: TokenStyle) -> Self {
        Self { token: style.template(), marks: style.marks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_templates_are_refused_with_the_reason() {
        for (template, problem) in [
            ("<{level}>", "`{code}` once"),
            ("<{level}_{code}_{code}>", "`{code}` once"),
            ("<{code}_{level}>", "`{level}` before `{code}`"),
            ("<{level}_{code}", "otherwise `1` begins `12`"),
            ("<{level}_{code}0>", "a digit right after"),
            ("{level}_{code}>", "text before `{level}`"),
            ("a{level}_{code}>", "begin inside another"), // at level a: `aa_1>`
            ("1{level}_{code}>", "begin inside another"), // at code 1: `1a_1>`
            ("<{level}<{code}>", "begin inside another"),
            ("x{level}_{code}xa_1x", "begin inside another"),
        ] {
            let error = TokenStyle::new(template).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(template), "{template}: {error}");
        }
        assert_eq!(TokenStyle::new("<{level}_{code}>").unwrap(), TokenStyle::default());
    }

    #[test]
    fn ambiguous_marks_are_refused_with_the_reason() {
        let marks = |begin, end| TokenStyle::default().with_marks(begin, end);
        for (begin, end, problem) in [
            ("", "</s>", "empty"),
            ("[s]", "", "empty"),
            ("[s]", "[s]", "beginning of the other"),
            ("[", "[/", "beginning of the other"),
            ("<", "[/s]", "begins a token"),
            ("[s]", "<b", "begins a token"),
            ("<b_", "[/s]", "begins a token"),
            ("<b_1", "[/s]", "begins a token"),
            ("<b_12>", "[/s]", "begins a token"),
            ("<b_12>]", "[/s]", "begins a token"),
        ] {
            let error = marks(begin, end).unwrap_err().to_string();
            assert!(error.contains(problem), "{begin} {end}: {error}");
        }
        for (begin, end) in [("<s>", "</s>"), ("<|a_1|>", "<b_x>"), ("<b_>", "<B_1>")] {
            assert_eq!(marks(begin, end).unwrap().marks(), Some([begin, end]));
        }
        let style = TokenStyle::default().with_marks("<s>", "</s>").unwrap();
        assert_eq!(style.without_marks(), TokenStyle::default());
    }

    #[test]
    fn a_style_in_a_file_is_checked() {
        let text = r#"{"token":"<s_{level}_{code}>","marks":["<|sid_begin|>","<|sid_end|>"]}"#;
        assert_eq!(serde_json::from_str::<TokenStyle>(text).unwrap(), TokenStyle::open_one_rec());
        assert_eq!(serde_json::to_string(&TokenStyle::open_one_rec()).unwrap(), text);
        assert!(serde_json::from_str::<TokenStyle>(r#"{"token":"{level}{code}"}"#).is_err());
        assert!(
            serde_json::from_str::<TokenStyle>(r#"{"token":"<{level}_{code}>","marks":["<","x"]}"#)
                .is_err()
        );
    }
}
