//! The Semantic ID that a free text answers with, right or wrong.

use crate::notation::letter;
use crate::{Code, SemanticId, SidSpec};

impl SidSpec {
    /// The Semantic ID that a text gives as its answer: its first `L` codes in this spec's style, and the code
    /// of the suffix if it comes right after them; whatever stands between the codes is passed over. Empty if
    /// the text has fewer than `L` codes.
    ///
    /// Nothing makes the answer legal. It may belong to no item, and it ends before the first code that is in
    /// the place of another level or outside its codebook: it is then shorter than the Semantic ID of any item,
    /// and shares the levels before with those that begin like it.
    ///
    /// ```
    /// use sidereal_sid::{SemanticId, SidSpec};
    ///
    /// let spec = SidSpec::new(vec![8, 8], 0)?;
    /// assert_eq!(spec.answered(" So: <a_1><b_2>, or <a_3><b_4>"), SemanticId::from([1, 2]));
    /// assert_eq!(spec.answered("<a_1><a_2>"), SemanticId::from([1])); // the second code is of level a
    /// assert!(spec.answered("<a_1> is all").is_empty());
    /// # Ok::<(), sidereal_sid::NotationError>(())
    /// ```
    #[must_use]
    pub fn answered(&self, text: &str) -> SemanticId {
        let levels = self.num_levels();
        let mut found = self.written_codes(text);
        let first: Vec<_> = found.by_ref().take(levels).collect();
        if first.len() < levels {
            return SemanticId::default();
        }
        let fits = |(level, code): (usize, &WrittenCode)| {
            let size = self.codebook_sizes().get(level).copied().unwrap_or(self.suffix_size());
            let of_level = code.letter == letter(level);
            of_level.then_some(code.code).flatten().filter(|code| usize::from(*code) < size)
        };
        let mut codes: Vec<Code> = first.iter().enumerate().map_while(fits).collect();
        if codes.len() == levels {
            let follows = |next: &WrittenCode| first.last().is_some_and(|l| l.end == next.start);
            codes.extend(found.next().filter(follows).and_then(|next| fits((levels, &next))));
        }
        SemanticId::from(codes)
    }

    /// All codes that a text spells, of whatever level.
    fn written_codes<'t>(&'t self, text: &'t str) -> impl Iterator<Item = WrittenCode> + 't {
        let mut at = 0;
        std::iter::from_fn(move || {
            let code = |(skipped, _)| {
                let (letter, digits, rest) = self.style().read(&text[at + skipped..])?;
                letter.is_ascii_lowercase().then_some((at + skipped, letter, digits, rest))
            };
            let (start, letter, digits, rest) = text[at..].char_indices().find_map(code)?;
            at = text.len() - rest.len();
            Some(WrittenCode { start, end: at, letter, code: digits.parse().ok() })
        })
    }
}

/// A code in a text.
#[derive(Clone, Copy)]
struct WrittenCode {
    start: usize,
    end: usize,
    letter: char,
    /// `None` where no codebook can be so large.
    code: Option<Code>,
}

#[cfg(test)]
mod tests {
    use crate::{SemanticId, SidSpec, TokenStyle};

    #[test]
    fn the_first_codes_are_the_answer_whatever_stands_around_them() {
        let spec = SidSpec::new(vec![8, 8, 8], 0).unwrap();
        for (text, codes) in [
            ("\n<a_1><b_2><c_3>", &[1u16, 2, 3][..]),
            ("It is <a_1> <b_2>\n<c_3>.", &[1, 2, 3]),
            ("<a_1><b_2><c_3><a_7><b_7><c_7>", &[1, 2, 3]),
            ("<é_1><a_1><b_2><c_3>", &[1, 2, 3]), // not the name of a level
            ("<a_1><b_2>", &[]),
            ("", &[]),
            ("<a_1><b_9><c_3>", &[1]),     // outside the codebook
            ("<a_1><b_99999><c_3>", &[1]), // outside any
            ("<a_1><c_2><b_3>", &[1]),     // out of order
            ("<b_1><b_2><b_3>", &[]),
            ("<a_1><a_1><b_2><c_3>", &[1]),
        ] {
            assert_eq!(spec.answered(text), SemanticId::from(codes.to_vec()), "{text}");
        }
    }

    #[test]
    fn what_a_spec_writes_is_what_it_reads() {
        for style in [TokenStyle::default(), TokenStyle::open_one_rec()] {
            let spec = SidSpec::new(vec![4, 4], 3).unwrap().with_style(style);
            for codes in [&[0u16, 3][..], &[1, 2, 2], &[3, 0, 0]] {
                let sid = SemanticId::from(codes.to_vec());
                assert_eq!(spec.answered(&format!("so {}.", spec.text(&sid))), sid);
            }
            // A suffix is only read right after the levels.
            let [first, last] =
                [&[1u16, 2][..], &[3, 0]].map(|codes| SemanticId::from(codes.to_vec()));
            let both = format!("{} {}", spec.text(&first), spec.text(&last));
            assert_eq!(spec.answered(&both), first);
        }
    }
}
