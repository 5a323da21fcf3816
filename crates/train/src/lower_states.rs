//! Hidden states of frozen lower layers, computed once for each sequence and kept.

mod file;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sidereal_policy::{TokenBatch, Trainable};
use tch::{Kind, Tensor};

use self::store::Store;
use crate::TrainError;
use crate::fold::Sequence;

/// Tokens of a block of states.
const BLOCK: usize = 16;

/// Where the states of frozen lower layers are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LowerStatesConfig {
    /// The most memory, in MiB. Range `0..`.
    pub memory_mib: usize,
    /// The most that a file beside the checkpoints takes of what does not fit in memory, in MiB. It is removed at the
    /// end of the training. Range `0..`.
    pub file_mib: usize,
    /// Element type in which states are kept.
    pub kind: StateKind,
}

impl Default for LowerStatesConfig {
    /// 2 GiB of memory, no file, without loss.
    fn default() -> Self {
        Self { memory_mib: 2048, file_mib: 0, kind: StateKind::F32 }
    }
}

impl LowerStatesConfig {
    /// Whether anything is kept.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        self.memory_mib > 0 || self.file_mib > 0
    }

    /// Whether these are the defaults.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Element type of kept states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StateKind {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: half the size, with eight bits of precision.
    Bf16,
}

impl StateKind {
    const fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// States of sequences after the lowest layers of a policy, which must not change meanwhile.
///
/// Sequences are divided into blocks of 16 tokens. The state at a token of a causal model depends only on the tokens up
/// to it, so sequences that begin alike share their first blocks. A block is found by the block before it and its own
/// tokens, that is by all tokens up to its end.
#[derive(Debug)]
pub(crate) struct LowerStates {
    config: LowerStatesConfig,
    layers: usize,
    pad: u32,
    /// Number of a block by that of the block before it and its tokens.
    blocks: BTreeMap<(Option<usize>, Vec<u32>), usize>,
    /// Empty until the width of the states is known.
    store: Store,
    counts: Counts,
}

/// What happened to sequences since the last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    found: usize,
    computed: usize,
    /// Of the computed ones, those for which there was no room.
    not_kept: usize,
}

impl LowerStates {
    /// The states of a policy whose `layers` lowest layers are frozen; a file would be in `dir`.
    pub(crate) fn new(config: &LowerStatesConfig, layers: usize, pad: u32, dir: &Path) -> Self {
        let store = Store::new(config, BLOCK, dir);
        let (blocks, counts) = (BTreeMap::new(), Counts::default());
        Self { config: config.clone(), layers, pad, blocks, store, counts }
    }

    /// Number of layers that the states come from.
    pub(crate) const fn layers(&self) -> usize {
        self.layers
    }

    /// States `[U, T, D]` of `rows`, padded to the longest; those that were not kept are computed.
    ///
    /// # Errors
    /// Those of the policy and of the file.
    pub(crate) fn states<P: Trainable>(
        &mut self,
        policy: &P,
        rows: &[&Sequence],
    ) -> Result<Tensor, TrainError> {
        let found: Vec<Option<Vec<usize>>> = rows.iter().map(|row| self.find(&row.ids)).collect();
        let missing: Vec<usize> = (0..rows.len()).filter(|row| found[*row].is_none()).collect();
        self.counts.found += rows.len() - missing.len();
        self.counts.computed += missing.len();
        let computed = if missing.is_empty() {
            None
        } else {
            let ids: Vec<&[u32]> = missing.iter().map(|row| rows[*row].ids.as_slice()).collect();
            let tokens = TokenBatch::new(&ids, self.pad, usize::MAX, policy.device())?;
            let states = policy.lower_states(&tokens, self.layers)?;
            let states = states.f_to_kind(self.config.kind.kind()).map_err(tensor)?;
            for (number, row) in missing.iter().enumerate() {
                let of_row = states.get(i64_of(number));
                if !self.keep(&rows[*row].ids, &of_row)? {
                    self.counts.not_kept += 1;
                }
            }
            Some(states)
        };
        if let Some(states) = &computed
            && missing.len() == rows.len()
        {
            return Ok(states.shallow_clone());
        }
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let shape = [i64_of(rows.len()), i64_of(longest), self.store.width()];
        let options = (self.config.kind.kind(), policy.device());
        let all = Tensor::f_zeros(shape, options).map_err(tensor)?;
        let mut number = 0;
        for (row, blocks) in found.iter().enumerate() {
            let into = all.get(i64_of(row)).narrow(0, 0, i64_of(rows[row].ids.len())); // [n, D]
            if let Some(blocks) = blocks {
                for (block, mut part) in blocks.iter().zip(into.split(i64_of(BLOCK), 0)) {
                    self.store.read(*block, &mut part)?;
                }
            } else if let Some(states) = &computed {
                let of_row = states.get(number).narrow(0, 0, into.size()[0]);
                into.shallow_clone().f_copy_(&of_row).map_err(tensor)?;
                number += 1;
            }
        }
        Ok(all)
    }

    /// Logs what happened since the last report, and the size of what is kept.
    pub(crate) fn report(&mut self, stage: &str) {
        let Counts { found, computed, not_kept } = std::mem::take(&mut self.counts);
        let [memory_mib, file_mib] = self.store.mib();
        if not_kept > 0 {
            tracing::warn!(
                stage,
                layers = self.layers,
                found,
                computed,
                not_kept,
                memory_mib,
                file_mib,
                "states of frozen lower layers: there was no room for some sequences, which are computed every time; \
                 raise `lower_states.memory_mib` or `file_mib`"
            );
        } else {
            tracing::info!(
                stage,
                layers = self.layers,
                found,
                computed,
                memory_mib,
                file_mib,
                "states of frozen lower layers"
            );
        }
    }

    /// The blocks of a sequence, if all are kept.
    fn find(&self, ids: &[u32]) -> Option<Vec<usize>> {
        let mut before = None;
        let mut found = Vec::with_capacity(ids.len().div_ceil(BLOCK));
        for block in ids.chunks(BLOCK) {
            let number = *self.blocks.get(&(before, block.to_vec()))?;
            found.push(number);
            before = Some(number);
        }
        Some(found)
    }

    /// Keeps the states `[T, D]` of a sequence; false if there is no room for all of it.
    fn keep(&mut self, ids: &[u32], states: &Tensor) -> Result<bool, TrainError> {
        let mut before = None;
        for (index, block) in ids.chunks(BLOCK).enumerate() {
            let key = (before, block.to_vec());
            let number = if let Some(number) = self.blocks.get(&key) {
                *number
            } else {
                let part = states.narrow(0, i64_of(index * BLOCK), i64_of(block.len()));
                let Some(number) = self.store.push(&part)? else { return Ok(false) };
                self.blocks.insert(key, number);
                number
            };
            before = Some(number);
        }
        Ok(true)
    }
}

fn tensor(error: tch::TchError) -> TrainError {
    TrainError::Policy(error.into())
}

fn i64_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sidereal_policy::{Decoder, DecoderConfig};
    use tch::Device;

    use super::*;

    fn row(ids: impl IntoIterator<Item = u32>) -> Sequence {
        Sequence { samples: Vec::new(), ids: ids.into_iter().collect(), targets: Vec::new() }
    }

    /// Largest difference from the states that the policy computes, over real tokens.
    fn worst(policy: &Decoder, rows: &[&Sequence], found: &Tensor) -> f64 {
        let off = |(number, row): (i64, &&Sequence)| {
            let alone = TokenBatch::new(&[&row.ids], 0, 99, Device::Cpu).unwrap();
            let expected = policy.lower_states(&alone, 1).unwrap().get(0);
            let found = found.get(number).narrow(0, 0, expected.size()[0]);
            f64::try_from((found - expected).abs().max()).unwrap()
        };
        (0..).zip(rows).map(off).fold(0.0, f64::max)
    }

    #[test]
    fn kept_states_are_those_of_the_layers_in_memory_in_a_file_and_without_room() {
        let policy = Decoder::random(DecoderConfig::tiny(260), 3, Device::Cpu).unwrap();
        // Two rows that begin alike, one that is the beginning of another, and short ones.
        let rows = [row(5..45), row((5..30).chain(90..99)), row(5..21), row([7]), row(100..130)];
        let turns: [&[usize]; 4] = [&[0, 3], &[1, 2, 0], &[4, 1, 3], &[0, 1, 2, 3, 4]];
        for (memory_mib, file_mib, kind, limit) in [
            (1, 0, StateKind::F32, 1e-6),
            (0, 1, StateKind::F32, 1e-6),
            (1, 1, StateKind::Bf16, 1e-2),
            (0, 1, StateKind::Bf16, 1e-2),
            (0, 0, StateKind::F32, 1e-6),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let config = LowerStatesConfig { memory_mib, file_mib, kind };
            let mut kept = LowerStates::new(&config, 1, 0, dir.path());
            for turn in turns {
                let asked: Vec<&Sequence> = turn.iter().map(|row| &rows[*row]).collect();
                let found = kept.states(&policy, &asked).unwrap();
                let worst = worst(&policy, &asked, &found);
                assert!(worst < limit, "{config:?}, {turn:?}: {worst}");
            }
            let counts = if config.keeps() {
                // The third row is the beginning of the first, so it is found at once.
                Counts { found: 9, computed: 4, not_kept: 0 }
            } else {
                Counts { found: 0, computed: 13, not_kept: 13 }
            };
            assert_eq!(kept.counts, counts, "{config:?}");
            let expected = [memory_mib, file_mib * usize::from(memory_mib == 0)];
            assert_eq!(kept.store.mib().map(|mib| mib > 0.0), expected.map(|mib| mib > 0));
            drop(kept);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file stays");
        }
    }
}
