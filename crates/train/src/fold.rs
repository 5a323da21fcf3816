//! Token sequences with targets, and the folding of samples that share their beginning.

use sidereal_data::SampleId;
use sidereal_policy::Target;

/// The input of one pass of the model: tokens, and which of them are learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The samples that it holds, for messages. A whole history names its last event.
    pub samples: Vec<SampleId>,
    /// Token ids.
    pub ids: Vec<u32>,
    /// Position of each learned token (never 0) and what it is.
    pub targets: Vec<(usize, Target)>,
}

impl Sequence {
    /// A prompt whose completion is learned token by token, without the name of a sample.
    #[must_use]
    pub fn new(prompt: &[u32], completion: &[(u32, Target)]) -> Self {
        let targets = completion
            .iter()
            .enumerate()
            .map(|(step, (_, target))| (prompt.len() + step, *target))
            .collect();
        let ids = prompt.iter().copied().chain(completion.iter().map(|(id, _)| *id)).collect();
        Self { samples: Vec::new(), ids, targets }
    }

    /// The sequence up to `most` tokens; later tokens are neither read nor learned.
    #[must_use]
    pub fn cut(mut self, most: usize) -> Self {
        self.ids.truncate(most);
        self.targets.retain(|(at, _)| *at < most);
        self
    }
}

/// If the whole text of a sample is the beginning of the next sample's prompt, folds the sample
/// into the next one.
///
/// A causal model computes the same states for a shared beginning, so the folded sequences have the
/// same targets with the same log-probabilities as the samples, and each token is read once. The
/// order of the samples matters: a sample is folded into its successor or not at all. With a
/// continuation template and the prefixes of one history in order, each history becomes one
/// sequence.
#[must_use]
pub fn fold(samples: impl IntoIterator<Item = Sequence>) -> Vec<Sequence> {
    let mut folded: Vec<Sequence> = Vec::new();
    for mut sample in samples {
        let first_target = sample.targets.first().map_or(sample.ids.len(), |(at, _)| *at);
        match folded.last_mut() {
            Some(last) if last.ids.len() <= first_target && sample.ids.starts_with(&last.ids) => {
                last.samples.append(&mut sample.samples);
                last.targets.append(&mut sample.targets);
                last.ids = sample.ids;
            }
            _ => folded.push(sample),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(prompt: &[u32], completion: &[u32]) -> Sequence {
        let completion: Vec<_> = completion.iter().map(|id| (*id, Target::Word(*id))).collect();
        Sequence::new(prompt, &completion)
    }

    #[test]
    fn prefixes_of_one_history_become_one_sequence() {
        let folded = fold([
            sample(&[9, 1, 2], &[3, 4]),
            sample(&[9, 1, 2, 3, 4], &[5, 6]),
            sample(&[9, 1, 2, 7, 4], &[5]),
        ]);
        assert_eq!(folded.len(), 2);
        assert_eq!(folded[0].ids, [9, 1, 2, 3, 4, 5, 6]);
        let at: Vec<usize> = folded[0].targets.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [3, 4, 5, 6]);
        assert_eq!(folded[1], sample(&[9, 1, 2, 7, 4], &[5]));
    }

    #[test]
    fn a_cut_sequence_learns_what_is_left() {
        assert_eq!(sample(&[9, 1], &[3, 4]).cut(3), sample(&[9, 1], &[3]));
        assert_eq!(sample(&[9, 1], &[3, 4]).cut(4), sample(&[9, 1], &[3, 4]));
        assert!(sample(&[9, 1], &[3, 4]).cut(2).targets.is_empty());
    }

    #[test]
    fn a_completion_that_the_next_one_also_learns_stays_apart() {
        let folded = fold([sample(&[9, 1], &[3, 4]), sample(&[9, 1], &[3, 4, 5])]);
        assert_eq!(folded.len(), 2);
    }
}
