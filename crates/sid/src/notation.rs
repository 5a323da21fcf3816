//! The shape of a family of Semantic IDs and its token notation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Code, SemanticId, TokenStyle};

/// Highest number of levels, the suffix included: one lower-case letter names each.
const MAX_LEVELS: usize = 26;

/// Levels, codebook sizes and token text of a family of Semantic IDs.
///
/// Each code is one token: level letter and code, `<a_12>` unless another [`TokenStyle`] is chosen.
/// The last level may be a *suffix*: only Semantic IDs that would otherwise collide carry it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawSpec", into = "RawSpec")]
pub struct SidSpec {
    codebook_sizes: Vec<usize>,
    suffix_size: usize,
    offsets: Vec<usize>,
    style: TokenStyle,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    codebook_sizes: Vec<usize>,
    suffix_size: usize,
    /// Left out where it is the default, as in files of before there was a choice.
    #[serde(default, skip_serializing_if = "is_default")]
    style: TokenStyle,
}

fn is_default(style: &TokenStyle) -> bool {
    *style == TokenStyle::default()
}

/// Why a spec or a token text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum NotationError {
    /// No level, or more than there are letters.
    #[error("a Semantic ID has 1 to {MAX_LEVELS} levels with the suffix, but there are {found}")]
    Levels { found: usize },
    /// A codebook without codes, or with more than a code can number.
    #[error("level {level}: a codebook has 1 to 65536 codes, but this one has {found}")]
    CodebookSize { level: usize, found: usize },
    /// Text that is not a sequence of the style's tokens between its marks.
    #[error(
        "`{text}` is not a Semantic ID: expected tokens like `{expected}`, but byte {at} does not fit"
    )]
    Syntax { text: String, at: usize, expected: String },
    /// A style in which tokens could be read in more than one way.
    #[error("the token style `{style}` {problem}")]
    Style { style: String, problem: &'static str },
    /// A list of tokens in no notation that is read.
    #[error(
        "`{text}` is not a Semantic ID: expected tokens like `<a_12>`, level by level, or those of \
         OpenOneRec, like `<s_a_12>` between `<|sid_begin|>` and `<|sid_end|>`"
    )]
    Tokens { text: String },
    /// A token's letter is not that of its position.
    #[error("`{text}`: level {level} has the letter `{found}`; expected `{expected}`")]
    Letter { text: String, level: usize, expected: char, found: char },
    /// A code outside its codebook.
    #[error("level {level}: code {code} is outside the codebook of {size}")]
    Range { level: usize, code: u32, size: usize },
    /// Too few or too many codes.
    #[error("the Semantic ID {sid} has {found} codes; expected {expected}")]
    Length { sid: String, found: usize, expected: String },
}

impl SidSpec {
    /// A spec of `codebook_sizes.len()` quantised levels and a suffix level of `suffix_size`
    /// codes (0: none).
    ///
    /// # Errors
    /// [`NotationError::Levels`] and [`NotationError::CodebookSize`].
    pub fn new(codebook_sizes: Vec<usize>, suffix_size: usize) -> Result<Self, NotationError> {
        let levels = codebook_sizes.len() + usize::from(suffix_size > 0);
        if codebook_sizes.is_empty() || levels > MAX_LEVELS {
            return Err(NotationError::Levels { found: levels });
        }
        let mut offsets = Vec::with_capacity(levels + 1);
        let mut total = 0;
        let suffix = (suffix_size > 0).then_some(suffix_size);
        for (level, found) in codebook_sizes.iter().copied().chain(suffix).enumerate() {
            if !(1..=usize::from(Code::MAX) + 1).contains(&found) {
                return Err(NotationError::CodebookSize { level, found });
            }
            offsets.push(total);
            total += found;
        }
        offsets.push(total);
        Ok(Self { codebook_sizes, suffix_size, offsets, style: TokenStyle::default() })
    }

    /// The same levels and codebooks, written in another style.
    #[must_use]
    pub fn with_style(mut self, style: TokenStyle) -> Self {
        self.style = style;
        self
    }

    /// How codes are written.
    #[must_use]
    pub const fn style(&self) -> &TokenStyle {
        &self.style
    }

    /// Number of quantised levels `L`, the suffix not counted.
    #[must_use]
    pub fn num_levels(&self) -> usize {
        self.codebook_sizes.len()
    }

    /// Codebook size of each quantised level.
    #[must_use]
    pub fn codebook_sizes(&self) -> &[usize] {
        &self.codebook_sizes
    }

    /// Number of suffix codes; 0 if no Semantic ID has one.
    #[must_use]
    pub const fn suffix_size(&self) -> usize {
        self.suffix_size
    }

    /// Length of the longest Semantic ID: `L`, plus one where there is a suffix.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of distinct tokens over all levels.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// Flat token index of `code` at `level`; `None` outside the spec.
    #[must_use]
    pub fn token(&self, level: usize, code: Code) -> Option<u32> {
        let start = *self.offsets.get(level)?;
        let index = start + usize::from(code);
        (index < *self.offsets.get(level + 1)?).then(|| u32::try_from(index).ok()).flatten()
    }

    /// Level and code of a flat token index; `None` outside the spec.
    #[must_use]
    pub fn level_and_code(&self, token: u32) -> Option<(usize, Code)> {
        let token = token as usize;
        let level = self.offsets.partition_point(|start| *start <= token).checked_sub(1)?;
        if level + 1 >= self.offsets.len() {
            return None;
        }
        Some((level, Code::try_from(token - self.offsets[level]).ok()?))
    }

    /// Flat token indices of a Semantic ID.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn tokens(&self, sid: &SemanticId) -> Result<Vec<u32>, NotationError> {
        self.check(sid)?;
        Ok(sid.iter().enumerate().filter_map(|(level, code)| self.token(level, *code)).collect())
    }

    /// Text of every code's token in flat order. A tokenizer must know these, and the marks of the
    /// style ([`TokenStyle::marks`]), which have no flat index, because they are not chosen.
    #[must_use]
    pub fn vocabulary(&self) -> Vec<String> {
        self.offsets
            .windows(2)
            .enumerate()
            .flat_map(|(level, range)| (0..range[1] - range[0]).map(move |code| (level, code)))
            .filter_map(|(level, code)| {
                Some(self.style.token(letter(level), Code::try_from(code).ok()?))
            })
            .collect()
    }

    /// Accepts a Semantic ID whose length and codes fit this spec.
    ///
    /// # Errors
    /// [`NotationError::Length`] and [`NotationError::Range`].
    pub fn check(&self, sid: &SemanticId) -> Result<(), NotationError> {
        let found = sid.len();
        if found < self.num_levels() || found > self.max_len() {
            let expected = match self.suffix_size {
                0 => self.num_levels().to_string(),
                _ => format!("{} or {}", self.num_levels(), self.max_len()),
            };
            let sid = self.text(sid);
            return Err(NotationError::Length { sid, found, expected });
        }
        for (level, code) in sid.iter().enumerate() {
            let size = self.offsets[level + 1] - self.offsets[level];
            if usize::from(*code) >= size {
                return Err(NotationError::Range { level, code: u32::from(*code), size });
            }
        }
        Ok(())
    }

    /// Text of a Semantic ID in this spec's style, with its marks: what [`parse`](Self::parse) reads.
    #[must_use]
    pub fn text(&self, sid: &SemanticId) -> String {
        self.style.tokens(sid).concat()
    }

    /// Reads `<a_12><b_5><c_99>`, or another style's text, and checks it against this spec.
    ///
    /// # Errors
    /// Every [`NotationError`] that text can cause.
    pub fn parse(&self, text: &str) -> Result<SemanticId, NotationError> {
        let syntax = |at: usize| NotationError::Syntax {
            text: text.to_owned(),
            at,
            expected: self.style.example(),
        };
        let [begin, end] = self.style.marks().unwrap_or_default();
        let mut rest = text.strip_prefix(begin).ok_or_else(|| syntax(0))?;
        rest = rest.strip_suffix(end).ok_or_else(|| syntax(text.len()))?;
        let stop = begin.len() + rest.len();
        let mut codes = Vec::new();
        while !rest.is_empty() {
            let at = stop - rest.len();
            let (found, digits, after) = self.style.read(rest).ok_or_else(|| syntax(at))?;
            let value: u32 = digits.parse().map_err(|_| syntax(at))?;
            let level = codes.len();
            if level >= self.max_len() {
                return Err(NotationError::Length {
                    sid: text.to_owned(),
                    found: level + 1,
                    expected: format!("at most {}", self.max_len()),
                });
            }
            if found != letter(level) {
                let text = text.to_owned();
                return Err(NotationError::Letter { text, level, expected: letter(level), found });
            }
            let size = self.offsets[level + 1] - self.offsets[level];
            let range = NotationError::Range { level, code: value, size };
            codes.push(Code::try_from(value).map_err(|_| range)?);
            rest = after;
        }
        let sid = SemanticId::from(codes);
        self.check(&sid)?;
        Ok(sid)
    }

    /// The last legal Semantic ID that a text spells in this spec's style, its suffix code
    /// included; `None` if there is none.
    ///
    /// ```
    /// use sidereal_sid::{SemanticId, SidSpec};
    ///
    /// let spec = SidSpec::new(vec![8, 8], 0)?;
    /// assert_eq!(spec.find_last("near <a_1><b_1>, <a_1><b_2>."), Some(SemanticId::from([1, 2])));
    /// assert_eq!(spec.find_last("<a_1> <b_2>"), None);
    /// # Ok::<(), sidereal_sid::NotationError>(())
    /// ```
    #[must_use]
    pub fn find_last(&self, text: &str) -> Option<SemanticId> {
        let mut starts = text.char_indices().rev();
        starts.find_map(|(at, _)| self.first_of(&text[at..]))
    }

    /// The longest legal Semantic ID that `text` begins with.
    fn first_of(&self, text: &str) -> Option<SemanticId> {
        let [begin, end] = self.style.marks().unwrap_or_default();
        let mut rest = text.strip_prefix(begin)?;
        let (mut codes, mut longest) = (Vec::new(), None);
        while let Some((found, digits, after)) = self.style.read(rest) {
            let Ok(code) = digits.parse::<Code>() else { break };
            if found != letter(codes.len()) || codes.len() == self.max_len() {
                break;
            }
            codes.push(code);
            rest = after;
            let sid = SemanticId::new(codes.as_slice());
            if rest.starts_with(end) && self.check(&sid).is_ok() {
                longest = Some(sid);
            }
        }
        longest
    }
}

impl TryFrom<RawSpec> for SidSpec {
    type Error = NotationError;

    fn try_from(raw: RawSpec) -> Result<Self, NotationError> {
        Ok(Self::new(raw.codebook_sizes, raw.suffix_size)?.with_style(raw.style))
    }
}

impl From<SidSpec> for RawSpec {
    fn from(spec: SidSpec) -> Self {
        let SidSpec { codebook_sizes, suffix_size, style, .. } = spec;
        Self { codebook_sizes, suffix_size, style }
    }
}

/// Writes one token, `<a_12>`.
pub(crate) fn write_token(f: &mut impl fmt::Write, level: usize, code: Code) -> fmt::Result {
    write!(f, "<{}_{code}>", letter(level))
}

/// Letter of a level; levels beyond the alphabet (no spec has them) show as `?`.
pub(crate) fn letter(level: usize) -> char {
    u8::try_from(level).ok().filter(|l| *l < 26).map_or('?', |l| char::from(b'a' + l))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_tokens_number_the_levels_one_after_the_other() {
        let spec = SidSpec::new(vec![4, 8], 2).unwrap();
        assert_eq!(spec.num_tokens(), 14);
        assert_eq!(spec.token(0, 3), Some(3));
        assert_eq!(spec.token(1, 0), Some(4));
        assert_eq!(spec.token(2, 1), Some(13));
        assert_eq!(spec.token(2, 2), None);
        assert_eq!(spec.token(3, 0), None);
        assert_eq!(spec.level_and_code(13), Some((2, 1)));
        assert_eq!(spec.level_and_code(14), None);
        assert_eq!(spec.vocabulary()[13], "<c_1>");
    }

    #[test]
    fn a_suffix_is_one_more_level() {
        let with = SidSpec::new(vec![4, 8], 2).unwrap();
        assert_eq!((with.num_levels(), with.max_len(), with.suffix_size()), (2, 3, 2));
        let without = SidSpec::new(vec![4, 8], 0).unwrap();
        assert_eq!((without.num_levels(), without.max_len(), without.suffix_size()), (2, 2, 0));
    }

    #[test]
    fn a_wrong_length_is_refused_with_those_that_fit() {
        let refusal = |suffix_size, text| {
            SidSpec::new(vec![4, 8], suffix_size).unwrap().parse(text).unwrap_err().to_string()
        };
        for (suffix_size, text, expected) in [
            (0, "<a_1>", "the Semantic ID <a_1> has 1 codes; expected 2"),
            (2, "<a_1>", "the Semantic ID <a_1> has 1 codes; expected 2 or 3"),
            (
                0,
                "<a_1><b_2><c_0>",
                "the Semantic ID <a_1><b_2><c_0> has 3 codes; expected at most 2",
            ),
        ] {
            assert_eq!(refusal(suffix_size, text), expected);
        }
    }

    #[test]
    fn a_code_out_of_range_is_an_error_with_the_size_of_its_codebook() {
        let spec = SidSpec::new(vec![4, 8], 0).unwrap();
        assert_eq!(
            spec.parse("<a_1><b_99999>"),
            Err(NotationError::Range { level: 1, code: 99999, size: 8 })
        );
    }

    #[test]
    fn parse_names_what_is_wrong() {
        let spec = SidSpec::new(vec![4, 8], 0).unwrap();
        assert!(matches!(spec.parse("<a_1>"), Err(NotationError::Length { found: 1, .. })));
        assert!(matches!(spec.parse("<a_1><a_1>"), Err(NotationError::Letter { level: 1, .. })));
        assert!(matches!(spec.parse("<a_1><b_8>"), Err(NotationError::Range { code: 8, .. })));
        assert!(matches!(spec.parse("<a_1> <b_2>"), Err(NotationError::Syntax { at: 5, .. })));
        assert!(matches!(spec.parse("<a_+1><b_2>"), Err(NotationError::Syntax { at: 0, .. })));
        assert!(matches!(spec.parse("<a_99999><b_2>"), Err(NotationError::Range { .. })));
    }

    #[test]
    fn each_style_writes_its_own_tokens() {
        let spec = SidSpec::new(vec![400, 8], 0).unwrap().with_style(TokenStyle::open_one_rec());
        let sid = SemanticId::from([340, 6]);
        assert_eq!(spec.text(&sid), "<|sid_begin|><s_a_340><s_b_6><|sid_end|>");
        assert_eq!((&*spec.vocabulary()[340], &*spec.vocabulary()[406]), ("<s_a_340>", "<s_b_6>"));
        for (text, at) in [
            ("<s_a_340><s_b_6><|sid_end|>", 0),
            ("<|sid_begin|><s_a_340><s_b_6>", 29),
            ("<|sid_begin|><s_a_340><b_6><|sid_end|>", 22),
        ] {
            let Err(NotationError::Syntax { at: found, expected, .. }) = spec.parse(text) else {
                panic!("`{text}` was read");
            };
            assert_eq!((found, &*expected), (at, "<|sid_begin|><s_a_12><s_b_5><|sid_end|>"));
        }
        let short = spec.parse("<|sid_begin|><s_a_3><|sid_end|>").unwrap_err().to_string();
        assert!(short.starts_with("the Semantic ID <|sid_begin|><s_a_3><|sid_end|> has 1 codes"));
    }

    #[test]
    fn the_last_legal_semantic_id_is_found_between_its_marks_only() {
        let plain = SidSpec::new(vec![8, 8], 2).unwrap();
        for (text, found) in [
            ("<a_1><b_2><c_1>", Some(vec![1, 2, 1])),
            ("<a_1><b_2><c_9>", Some(vec![1, 2])),
            ("<a_1><b_2><a_3><b_4><a_5>", Some(vec![3, 4])),
            ("<a_1><b_2><a_", Some(vec![1, 2])),
            ("<a_é><b_2>", None),
        ] {
            assert_eq!(plain.find_last(text), found.map(SemanticId::from), "{text}");
        }
        let marked = plain.with_style(TokenStyle::open_one_rec());
        let (begin, end) = ("<|sid_begin|>", "<|sid_end|>");
        let whole = format!("{begin}<s_a_1><s_b_2>{end} or {begin}<s_a_3><s_b_4><s_c_9>{end}");
        assert_eq!(marked.find_last(&whole), Some(SemanticId::from([1, 2])));
        assert_eq!(marked.find_last("<s_a_1><s_b_2>"), None);
    }

    #[test]
    fn a_spec_without_a_token_style_reads_and_writes_as_before() {
        let text = r#"{"codebook_sizes":[4,8],"suffix_size":2}"#;
        let spec: SidSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec, SidSpec::new(vec![4, 8], 2).unwrap());
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        let styled = spec.with_style(TokenStyle::open_one_rec());
        let text = serde_json::to_string(&styled).unwrap();
        assert!(text.contains(r#""token":"<s_{level}_{code}>""#), "{text}");
        assert_eq!(serde_json::from_str::<SidSpec>(&text).unwrap(), styled);
    }

    #[test]
    fn spec_refuses_no_levels_and_empty_codebooks() {
        assert!(SidSpec::new(vec![], 0).is_err());
        assert!(SidSpec::new(vec![4, 0], 0).is_err());
        assert!(SidSpec::new(vec![4; 26], 1).is_err());
        assert!(
            serde_json::from_str::<SidSpec>(r#"{"codebook_sizes":[0],"suffix_size":0}"#).is_err()
        );
    }
}
