//! Rewards on the text around a Semantic ID: what a policy writes when it reasons.

use sidereal_sid::{SemanticId, SidSpec};

use crate::{Group, Reward, RlError};

/// A score for each rollout's text on its own, from a function.
///
/// The group must carry texts ([`Group::with_texts`]); without them there are no scores, which is
/// an error in [`score_groups`](crate::score_groups).
///
/// ```
/// use sidereal_rl::{Group, Reward, TextReward};
/// use sidereal_sid::SemanticId;
///
/// let polite = TextReward::new(|text: &str| f64::from(u8::from(text.contains("please"))));
/// let target = SemanticId::from([1]);
/// let rollouts = [SemanticId::from([1])];
/// let texts = ["please: <a_1>".to_owned()];
/// assert_eq!(polite.score(&Group::new(&target, &rollouts).with_texts(&texts)), [1.0]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TextReward<F> {
    function: F,
}

impl<F: Fn(&str) -> f64> TextReward<F> {
    /// The reward that gives each text the result of `function`.
    pub const fn new(function: F) -> Self {
        Self { function }
    }
}

impl<F: Fn(&str) -> f64> Reward for TextReward<F> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        group.texts().iter().map(|text| (self.function)(text)).collect()
    }
}

/// 1 for a text that consists of the given tagged sections in order, each once, else 0.
///
/// `<think>…</think><answer>…</answer>` is the form of DeepSeek-R1. Only white space is allowed
/// between and around the sections, and no section may contain one of the tags again. In GREAM
/// (its appendix C) there is text between the two.
///
/// ```
/// use sidereal_rl::TaggedFormat;
///
/// let format = TaggedFormat::new(["think", "answer"]);
/// assert!(format.matches("<think>cold days</think>\n<answer><a_1><b_2></answer>"));
/// assert!(!format.matches("<think>cold days</think> so: <answer><a_1><b_2></answer>"));
/// assert!(!format.matches("<think>cold <think>days</think><answer></answer>"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedFormat {
    /// Opening and closing tag of each section.
    tags: Vec<(String, String)>,
}

impl TaggedFormat {
    /// The format with sections of these names.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let tags = |name: S| (format!("<{}>", name.as_ref()), format!("</{}>", name.as_ref()));
        Self { tags: names.into_iter().map(tags).collect() }
    }

    /// Whether `text` has this format.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        for (open, close) in &self.tags {
            let Some((body, after)) =
                rest.trim_start().strip_prefix(open.as_str()).and_then(|b| b.split_once(close))
            else {
                return false;
            };
            if self.tags.iter().any(|(open, close)| body.contains(open) || body.contains(close)) {
                return false;
            }
            rest = after;
        }
        rest.trim().is_empty()
    }
}

impl Reward for TaggedFormat {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        group.texts().iter().map(|text| f64::from(u8::from(self.matches(text)))).collect()
    }
}

/// A penalty on long texts: none up to `soft`, then falling linearly to -1 at `hard`.
///
/// ```text
/// R_len(y) = 0                                 n <= soft
///            -(n - soft) / (hard - soft)       soft < n <= hard
///            -1                                n > hard
/// ```
/// DAPO, [arXiv:2503.14476](https://arxiv.org/abs/2503.14476) eq 13, with `hard` its `L_max` and
/// `soft` its `L_max - L_cache`. `n` is the length of the text by `measure`: pass the tokenizer's
/// count. Range `[-1, 0]`.
///
/// ```
/// use sidereal_rl::{Group, OverlongPenalty, Reward};
/// use sidereal_sid::SemanticId;
///
/// let penalty = OverlongPenalty::new(2, 6, |text: &str| text.split_whitespace().count())?;
/// let target = SemanticId::from([1]);
/// let rollouts = vec![SemanticId::from([1]); 3];
/// let texts = ["one two", "one two three", "a b c d e f g h"].map(str::to_owned);
/// let group = Group::new(&target, &rollouts).with_texts(&texts);
/// assert_eq!(penalty.score(&group), [0.0, -0.25, -1.0]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OverlongPenalty<F> {
    soft: usize,
    hard: usize,
    measure: F,
}

impl<F: Fn(&str) -> usize> OverlongPenalty<F> {
    /// The penalty between the lengths `soft` and `hard`, measured by `measure`.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless `soft < hard`.
    pub fn new(soft: usize, hard: usize, measure: F) -> Result<Self, RlError> {
        let range = "a length above `soft`";
        RlError::setting("hard", hard as f64, range, |_| hard > soft)?;
        Ok(Self { soft, hard, measure })
    }
}

impl<F: Fn(&str) -> usize> Reward for OverlongPenalty<F> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let width = (self.hard - self.soft) as f64;
        let penalty = |text: &String| match (self.measure)(text).saturating_sub(self.soft) {
            0 => 0.0,
            over => -(over as f64 / width).min(1.0),
        };
        group.texts().iter().map(penalty).collect()
    }
}

/// The last legal Semantic ID that a text spells in the spec's style, or `None`.
///
/// Reads the rollout of a reasoning policy: `None` becomes an empty rollout, which hits nothing.
///
/// ```
/// use sidereal_rl::find_sid;
/// use sidereal_sid::{SemanticId, SidSpec};
///
/// let spec = SidSpec::new(vec![8, 8], 0)?;
/// let text = "<think>near <a_1><b_1>, but</think> take <a_1><b_2>.";
/// assert_eq!(find_sid(text, &spec), Some(SemanticId::from([1, 2])));
/// assert_eq!(find_sid("<a_1> <b_2>", &spec), None);
/// # Ok::<(), sidereal_sid::NotationError>(())
/// ```
#[must_use]
pub fn find_sid(text: &str, spec: &SidSpec) -> Option<SemanticId> {
    spec.find_last(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_sid_takes_a_suffix_and_survives_debris() {
        let spec = SidSpec::new(vec![8, 8], 2).unwrap();
        let sid = |codes: &[u16]| Some(SemanticId::new(codes));
        assert_eq!(find_sid("<a_1><b_2><c_1>", &spec), sid(&[1, 2, 1]));
        assert_eq!(find_sid("<a_1><b_2><c_9>", &spec), sid(&[1, 2]));
        assert_eq!(find_sid("<a_1><b_2><a_3><b_4><a_5>", &spec), sid(&[3, 4]));
        assert_eq!(find_sid("<a_1><b_2><a_", &spec), sid(&[1, 2]));
        assert_eq!(find_sid("<a_é><b_2>", &spec), None);
    }

    #[test]
    fn a_group_without_texts_gets_no_text_scores() {
        let target = SemanticId::from([1]);
        let rollouts = [SemanticId::from([1])];
        let group = Group::new(&target, &rollouts);
        let error = crate::score_groups(&TaggedFormat::new(["answer"]), [group]).unwrap_err();
        assert_eq!(error, RlError::ScoreCount { group: 0, found: 0, needed: 1 });
    }

    fn scores(reward: &impl Reward, texts: &[&str]) -> Vec<f64> {
        let target = SemanticId::from([1]);
        let rollouts = vec![SemanticId::default(); texts.len()];
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        reward.score(&Group::new(&target, &rollouts).with_texts(&texts))
    }

    #[test]
    fn a_text_reward_scores_the_text_of_each_rollout() {
        let words = TextReward::new(|text: &str| text.split(' ').count() as f64);
        assert_eq!(scores(&words, &["one", "one two", "one two three"]), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn tagged_sections_stand_in_order_once_and_alone() {
        let format = TaggedFormat::new(["think", "answer"]);
        let expected = [
            ("<think>cold</think><answer>x</answer>", 1.0),
            (" <think></think>\n <answer>x</answer>\n", 1.0),
            ("<answer>x</answer><think>cold</think>", 0.0),
            ("<think>cold</think>", 0.0),
            ("<think>cold</think> so: <answer>x</answer>", 0.0),
            ("<think>cold</think><answer>x</answer> and more", 0.0),
            ("<think>cold <think>days</think><answer>x</answer>", 0.0),
            ("<think>cold </answer>days</think><answer>x</answer>", 0.0),
            ("<think>cold</think><answer>x", 0.0),
        ];
        let texts = expected.map(|(text, _)| text);
        assert_eq!(scores(&format, &texts), expected.map(|(_, score)| score));
    }

    #[test]
    fn the_penalty_falls_linearly_between_its_two_lengths() {
        let penalty = OverlongPenalty::new(2, 6, str::len).unwrap();
        let texts = ["", "12", "123", "1234", "123456", "123456789"];
        assert_eq!(scores(&penalty, &texts), [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]);
        assert!(OverlongPenalty::new(6, 6, str::len).is_err());
        assert!(OverlongPenalty::new(7, 6, str::len).is_err());
    }
}
