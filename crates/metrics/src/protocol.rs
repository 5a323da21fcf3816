//! The conditions under which a number was measured.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// Everything that must be equal, or at least known, before two numbers are compared.
///
/// There is no default, because a reported number must state each field. It displays as one line.
///
/// ```
/// use sidereal_metrics::{Candidates, EvaluationSplit, Level, Protocol, ScoreKind, SeenItems};
/// let protocol = Protocol {
///     split: EvaluationSplit::LeaveOneOutTest,
///     candidates: Candidates::All,
///     seen_items: SeenItems::Kept,
///     level: Level::Item,
///     score: ScoreKind::PerItem,
///     beam_width: None,
///     chains: None,
///     num_users: 100,
/// };
/// assert_eq!(
///     protocol.to_string(),
///     "leave-one-out test, all items, seen items kept, item level, 100 users"
/// );
/// let published = Protocol { seen_items: SeenItems::Removed, ..protocol.clone() };
/// assert!(!protocol.is_comparable(&published));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Which interactions were held out and evaluated.
    pub split: EvaluationSplit,
    /// Which items were ranked.
    pub candidates: Candidates,
    /// Whether the user's earlier items were taken out of the ranking.
    pub seen_items: SeenItems,
    /// Whether a hit is the target's Semantic ID or the target itself.
    pub level: Level,
    /// What ordered the items.
    pub score: ScoreKind,
    /// Beams per user, for systems that decode.
    pub beam_width: Option<NonZeroUsize>,
    /// Chains of thought per user, for systems that reason before they answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chains: Option<Chains>,
    /// Users that were evaluated: the denominator of every mean.
    pub num_users: usize,
}

/// Chains of thought before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chains {
    /// Number of chains. Their answers are merged, or one answer is drawn after each chain.
    pub count: NonZeroUsize,
    /// Largest number of tokens of a chain.
    pub budget: usize,
    /// Whether the chain is that of the most probable tokens, and not drawn.
    #[serde(default, skip_serializing_if = "is_false")]
    pub greedy: bool,
    /// Whether the answers are part of the same free text, and not under the trie. The budget is then for both.
    #[serde(default, skip_serializing_if = "is_false")]
    pub free: bool,
}

impl Chains {
    /// `count` drawn chains of at most `budget` tokens each, with answers under the trie.
    #[must_use]
    pub const fn new(count: NonZeroUsize, budget: usize) -> Self {
        Self { count, budget, greedy: false, free: false }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Which interactions were held out and evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvaluationSplit {
    /// Each user's last but one interaction.
    LeaveOneOutValid,
    /// Each user's last interaction.
    LeaveOneOutTest,
    /// The middle part of a division by time over all users.
    GlobalTimeValid,
    /// The latest part of a division by time over all users.
    GlobalTimeTest,
    /// A division that came with the data, by name.
    Given(String),
}

/// Which items were ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Candidates {
    /// All items of the catalogue.
    All,
    /// The target and this many sampled negatives.
    Sampled(usize),
    /// A pool of this many items that is part of the prompt.
    Pool(usize),
    /// The items of the user's domain, this many, in a catalogue of several domains.
    Domain(usize),
}

/// Whether the user's earlier items were taken out of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenItems {
    /// They compete with the target.
    Kept,
    /// They are removed before ranks are counted.
    Removed,
}

/// What counts as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The target's Semantic ID, which other items may share.
    Sid,
    /// The target. If items share a Semantic ID, the value is an expectation.
    Item,
}

/// What ordered the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreKind {
    /// A score of every item; nothing was decoded.
    PerItem,
    /// A score of every item, of several policies or of policies and a prior together.
    Blended,
    /// Log-softmax over the whole vocabulary, then restricted to legal codes.
    Full,
    /// Log-softmax over the legal codes only.
    Renormalised,
    /// Nothing: this many answers were drawn independently of each other.
    Drawn(NonZeroUsize),
    /// The place in a slate that was written whole, each token the most probable of the legal ones.
    Slate,
}

impl Protocol {
    /// Whether numbers under both protocols may be in one column: all fields are equal, except the
    /// score, the beam width and the chains, which belong to the system.
    #[must_use]
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.split == other.split
            && self.candidates == other.candidates
            && self.seen_items == other.seen_items
            && self.level == other.level
            && self.num_users == other.num_users
    }

    /// How the system came to its ranking, such as `beam 20, renormalised`.
    #[must_use]
    pub fn decoding(&self) -> String {
        let score = match self.score {
            ScoreKind::PerItem => "score per item".to_owned(),
            ScoreKind::Blended => "blended score per item".to_owned(),
            ScoreKind::Full => "full".to_owned(),
            ScoreKind::Renormalised => "renormalised".to_owned(),
            ScoreKind::Drawn(count) => format!("draws: {count}"),
            ScoreKind::Slate => "greedy slate".to_owned(),
        };
        let chains = self.chains.map(|Chains { count, budget, greedy, free }| {
            let greedy = if greedy { "greedy " } else { "" };
            let noun = if count.get() == 1 { "chain" } else { "chains" };
            let free = if free { " with free answers" } else { "" };
            format!("{count} {greedy}{noun} of at most {budget} tokens{free}")
        });
        let beam = self.beam_width.map(|width| format!("beam {width}"));
        chains.into_iter().chain(beam).chain([score]).collect::<Vec<_>>().join(", ")
    }
}

/// The fields that [`Protocol::is_comparable`] compares, as one line.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.split {
            EvaluationSplit::LeaveOneOutValid => f.write_str("leave-one-out validation"),
            EvaluationSplit::LeaveOneOutTest => f.write_str("leave-one-out test"),
            EvaluationSplit::GlobalTimeValid => f.write_str("global time validation"),
            EvaluationSplit::GlobalTimeTest => f.write_str("global time test"),
            EvaluationSplit::Given(name) => write!(f, "given split `{name}`"),
        }?;
        match self.candidates {
            Candidates::All => f.write_str(", all items"),
            Candidates::Sampled(n) => write!(f, ", {n} sampled negatives"),
            Candidates::Pool(n) => write!(f, ", pool of {n}"),
            Candidates::Domain(n) => write!(f, ", the {n} items of the domain"),
        }?;
        f.write_str(match self.seen_items {
            SeenItems::Kept => ", seen items kept",
            SeenItems::Removed => ", seen items removed",
        })?;
        f.write_str(match self.level {
            Level::Sid => ", SID level",
            Level::Item => ", item level",
        })?;
        write!(f, ", {} users", self.num_users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_draws_are_told() {
        let count = NonZeroUsize::new(4).unwrap();
        let drawn = Protocol {
            split: EvaluationSplit::LeaveOneOutTest,
            candidates: Candidates::All,
            seen_items: SeenItems::Kept,
            level: Level::Sid,
            score: ScoreKind::Drawn(count),
            beam_width: None,
            chains: Some(Chains::new(count, 64)),
            num_users: 3,
        };
        assert_eq!(drawn.decoding(), "4 chains of at most 64 tokens, draws: 4");
        let merged = Protocol { score: ScoreKind::Full, beam_width: Some(count), ..drawn.clone() };
        assert_eq!(merged.decoding(), "4 chains of at most 64 tokens, beam 4, full");
        assert!(merged.is_comparable(&drawn));
        let chains = Some(Chains { greedy: true, ..Chains::new(NonZeroUsize::MIN, 64) });
        let greedy = Protocol { chains, ..merged.clone() };
        assert_eq!(greedy.decoding(), "1 greedy chain of at most 64 tokens, beam 4, full");
        let chains = Some(Chains { free: true, ..Chains::new(count, 64) });
        let free = Protocol { chains, ..drawn.clone() };
        assert_eq!(free.decoding(), "4 chains of at most 64 tokens with free answers, draws: 4");
        // As earlier versions wrote it.
        let text = serde_json::to_string(&drawn.chains).unwrap();
        assert_eq!(text, "{\"count\":4,\"budget\":64}");
        let json = serde_json::to_string(&drawn).unwrap();
        assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), drawn);
    }

    fn protocol() -> Protocol {
        Protocol {
            split: EvaluationSplit::LeaveOneOutTest,
            candidates: Candidates::All,
            seen_items: SeenItems::Kept,
            level: Level::Item,
            score: ScoreKind::PerItem,
            beam_width: None,
            chains: None,
            num_users: 100,
        }
    }

    #[test]
    fn numbers_compare_where_all_but_the_system_is_equal() {
        let ours = protocol();
        for other in [
            Protocol { split: EvaluationSplit::LeaveOneOutValid, ..ours.clone() },
            Protocol { candidates: Candidates::Sampled(99), ..ours.clone() },
            Protocol { seen_items: SeenItems::Removed, ..ours.clone() },
            Protocol { level: Level::Sid, ..ours.clone() },
            Protocol { num_users: 99, ..ours.clone() },
        ] {
            assert!(!ours.is_comparable(&other) && !other.is_comparable(&ours), "{other}");
        }
        let (score, width) = (ScoreKind::Full, Some(NonZeroUsize::MIN));
        let chains = Some(Chains::new(NonZeroUsize::MIN, 8));
        let system = Protocol { score, beam_width: width, chains, ..ours.clone() };
        assert!(ours.is_comparable(&system));
        assert_eq!(system.decoding(), "1 chain of at most 8 tokens, beam 1, full");
        assert_eq!(ours.decoding(), "score per item");
        let decoding = |score| Protocol { score, ..ours.clone() }.decoding();
        assert_eq!(decoding(ScoreKind::Renormalised), "renormalised");
        assert_eq!(decoding(ScoreKind::Slate), "greedy slate");
    }

    #[test]
    fn a_protocol_is_one_line() {
        let ours = protocol();
        let line = |split, candidates| Protocol { split, candidates, ..ours.clone() }.to_string();
        let rest = "seen items kept, item level, 100 users";
        for (split, candidates, expected) in [
            (EvaluationSplit::LeaveOneOutTest, Candidates::All, "leave-one-out test, all items"),
            (
                EvaluationSplit::LeaveOneOutValid,
                Candidates::Sampled(99),
                "leave-one-out validation, 99 sampled negatives",
            ),
            (
                EvaluationSplit::GlobalTimeValid,
                Candidates::Pool(20),
                "global time validation, pool of 20",
            ),
            (
                EvaluationSplit::GlobalTimeTest,
                Candidates::Domain(7),
                "global time test, the 7 items of the domain",
            ),
            (EvaluationSplit::Given("b".into()), Candidates::All, "given split `b`, all items"),
        ] {
            assert_eq!(line(split, candidates), format!("{expected}, {rest}"));
        }
        let other = Protocol { seen_items: SeenItems::Removed, level: Level::Sid, ..ours };
        assert!(other.to_string().ends_with(", seen items removed, SID level, 100 users"));
    }
}
