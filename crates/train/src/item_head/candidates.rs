//! The items that a step learns its targets among.

use std::collections::BTreeMap;

use rand::Rng as _;

use super::ItemHeadTraining;
use crate::encode::EncodedPrompt;
use crate::seed::{Purpose, stream_of};

/// The items that a step scores, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Their rows among all items.
    pub(super) rows: Vec<usize>,
    /// The place of each prompt's target among `rows`.
    pub(super) targets: Vec<usize>,
}

impl ItemHeadTraining<'_> {
    /// The targets of the prompts, and items drawn for step `number`. The target of every prompt has a row.
    pub(super) fn candidates(&self, batch: &[&EncodedPrompt], number: usize) -> Candidates {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut rows = Vec::new();
        let mut place_of = |row: usize| {
            *places.entry(row).or_insert_with(|| {
                rows.push(row);
                rows.len() - 1
            })
        };
        let of_targets = batch.iter().filter_map(|prompt| self.items.row(prompt.target));
        let targets: Vec<usize> = of_targets.map(&mut place_of).collect();
        let all = self.items.items().len();
        let mut rng = stream_of(self.seed, Purpose::HeadNegatives, number as u64);
        for _ in 0..self.config.negatives {
            // One that is there already stays once.
            let _ = place_of(rng.gen_range(0..all.max(1)));
        }
        Candidates { rows, targets }
    }
}
