//! How much of each source an epoch holds, and in what order.

use serde::{Deserialize, Serialize};
use sidereal_data::Digest;

use super::MixError;

/// How much of a source an epoch of a stage holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Amount {
    /// Every row once.
    All,
    /// So many rows. They go on, from epoch to epoch, through the source in ever new orders, each
    /// time through all of it: over any time two rows of a source differ by one appearance at most.
    Rows(usize),
}

/// Which batches are put between the others: GREAM's curriculum.
///
/// The batches of the sources `late` and those of the others are apart. After batch `i` (from 1) of
/// the others, one of `late` follows with probability
///
/// ```text
/// min(1, gamma · (i / N_a) · (N_r / N_a))      N_a batches of the others, N_r of `late`
/// ```
/// while there are any; what is left ends the epoch. GREAM's curriculum of alignment and reasoning,
/// where `gamma` is 1.5; by then about three quarters of `late` came between the others, unless
/// probabilities were cut at 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Insertion {
    /// Sources whose batches come more often as an epoch goes on.
    pub late: Vec<usize>,
    /// Factor of the probability, above 0.
    pub gamma: f64,
}

/// Epochs of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurriculumStage {
    /// How many; only the last stage may leave it out, and then never ends.
    pub epochs: Option<u64>,
    /// Of each source, in their order.
    pub amounts: Vec<Amount>,
    /// Whether some sources come late; without, the rows of all sources are shuffled together.
    pub insertion: Option<Insertion>,
}

impl CurriculumStage {
    /// `rows` rows an epoch, of each source by its weight, to within one row.
    ///
    /// # Errors
    /// [`MixError::Amount`] for a weight that is negative or not finite, and if all are 0.
    pub fn weighted(weights: &[f64], rows: usize) -> Result<Self, MixError> {
        let refuse = |source_index, found| {
            let expected = "a weight of 0 or more, and one above 0";
            Err(MixError::Amount { stage: 0, source_index, what: "the weight", found, expected })
        };
        let legal = |weight: f64| weight.is_finite() && weight >= 0.0;
        if let Some(index) = weights.iter().position(|weight| !legal(*weight)) {
            return refuse(index, weights[index]);
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return refuse(0, total);
        }
        let mut amounts = Vec::with_capacity(weights.len());
        let (mut sum, mut before) = (0.0, 0);
        for weight in weights {
            // Rounding the sums, not the parts, makes the parts add up to `rows`.
            sum += weight;
            let until = rounded(sum / total * rows as f64).min(rows).max(before);
            amounts.push(Amount::Rows(until - before));
            before = until;
        }
        Ok(Self { epochs: None, amounts, insertion: None })
    }

    /// The stage for this many epochs.
    #[must_use]
    pub const fn lasting(mut self, epochs: u64) -> Self {
        self.epochs = Some(epochs);
        self
    }
}

/// Sources of samples, of known lengths, and the stages in which training sees them.
///
/// The order depends only on the mixture, the seed and the size of batches; see
/// [`batches`](Self::batches).
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_prompts::{Amount, CurriculumStage, Mixture, Shard};
///
/// // Two epochs of source 0, then both, with one row of the second for two of the first.
/// let alone = CurriculumStage { epochs: Some(2), amounts: vec![Amount::All, Amount::Rows(0)], insertion: None };
/// let both = CurriculumStage { epochs: None, amounts: vec![Amount::All, Amount::Rows(3)], insertion: None };
/// let mixture = Mixture::staged(vec![6, 100], vec![alone, both])?;
/// let four = NonZeroUsize::new(4).unwrap();
/// let mut batches = mixture.batches(four, 42, Shard::WHOLE)?;
/// let sizes: Vec<usize> = (0..7).map(|_| batches.next_batch().len()).collect();
/// assert_eq!(sizes, [4, 2, 4, 2, 4, 4, 1]);
/// # Ok::<(), sidereal_prompts::MixError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawMixture", into = "RawMixture")]
pub struct Mixture {
    pub(super) lens: Vec<usize>,
    pub(super) stages: Vec<CurriculumStage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMixture {
    lens: Vec<usize>,
    stages: Vec<CurriculumStage>,
}

impl Mixture {
    /// Every row of every source once an epoch, shuffled together.
    ///
    /// # Errors
    /// [`MixError::Empty`], [`MixError::EmptyStage`], [`MixError::TooMany`].
    pub fn uniform(lens: Vec<usize>) -> Result<Self, MixError> {
        let amounts = vec![Amount::All; lens.len()];
        Self::staged(lens, vec![CurriculumStage { epochs: None, amounts, insertion: None }])
    }

    /// `rows` rows an epoch, of each source by its weight, to within one row.
    ///
    /// # Errors
    /// As [`staged`](Self::staged) and [`CurriculumStage::weighted`].
    pub fn weighted(lens: Vec<usize>, weights: &[f64], rows: usize) -> Result<Self, MixError> {
        Self::staged(lens, vec![CurriculumStage::weighted(weights, rows)?])
    }

    /// Every row of the sources in `lens` once an epoch, and `ratio` rows of one more source, of
    /// `extra` rows and numbered after them, for each of these: general reasoning beside tasks.
    ///
    /// # Errors
    /// As [`staged`](Self::staged); [`MixError::Amount`] for a ratio that is negative or not
    /// finite.
    pub fn with_extra(mut lens: Vec<usize>, extra: usize, ratio: f64) -> Result<Self, MixError> {
        if !(ratio.is_finite() && ratio >= 0.0) {
            return Err(MixError::Amount {
                stage: 0,
                source_index: lens.len(),
                what: "the ratio",
                found: ratio,
                expected: "0 or more",
            });
        }
        let rows = rounded(ratio * lens.iter().map(|len| *len as f64).sum::<f64>());
        let mut amounts = vec![Amount::All; lens.len()];
        amounts.push(Amount::Rows(rows));
        lens.push(extra);
        Self::staged(lens, vec![CurriculumStage { epochs: None, amounts, insertion: None }])
    }

    /// GREAM's schedule: two epochs in which the sources `late` come more and more often, then
    /// epochs in which all rows are shuffled together.
    ///
    /// # Errors
    /// As [`staged`](Self::staged).
    pub fn gream(lens: Vec<usize>, late: Vec<usize>, gamma: f64) -> Result<Self, MixError> {
        let amounts = vec![Amount::All; lens.len()];
        let mixed = CurriculumStage { epochs: None, amounts: amounts.clone(), insertion: None };
        let insertion = Some(Insertion { late, gamma });
        Self::staged(lens, vec![CurriculumStage { epochs: Some(2), amounts, insertion }, mixed])
    }

    /// One stage after the other.
    ///
    /// # Errors
    /// [`MixError::Empty`], [`MixError::TooMany`], [`MixError::Amounts`], [`MixError::NoRows`] for
    /// rows of an empty source, [`MixError::EmptyStage`], [`MixError::Amount`] for a `gamma` out of
    /// its range or a late source that does not exist, [`MixError::Epochs`] for a stage of no
    /// epochs, or without end before another.
    pub fn staged(lens: Vec<usize>, stages: Vec<CurriculumStage>) -> Result<Self, MixError> {
        let (sources, num_stages) = (lens.len(), stages.len());
        if sources == 0 || stages.is_empty() {
            return Err(MixError::Empty { sources, stages: num_stages });
        }
        let numbered = |what, found: usize| match u32::try_from(found) {
            Ok(_) => Ok(()),
            Err(_) => Err(MixError::TooMany { what, found }),
        };
        numbered("sources", sources)?;
        lens.iter().try_for_each(|len| numbered("rows of a source", *len))?;
        for (number, stage) in stages.iter().enumerate() {
            let epochs = |expected| {
                let found = stage.epochs.map_or("endless".to_owned(), |epochs| epochs.to_string());
                Err(MixError::Epochs { stage: number, stages: num_stages, found, expected })
            };
            match stage.epochs {
                Some(0) => return epochs("1 or more"),
                None if number + 1 < num_stages => {
                    return epochs("a number: another stage follows");
                }
                _ => {}
            }
            check(number, stage, &lens)?;
            let rows = lens.iter().zip(&stage.amounts).map(|(len, amount)| amount.rows(*len));
            let rows = rows.fold(0, usize::saturating_add);
            if rows == 0 {
                return Err(MixError::EmptyStage { stage: number });
            }
            numbered("rows of an epoch", rows)?;
        }
        Ok(Self { lens, stages })
    }

    /// Lengths of the sources.
    #[must_use]
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// The stages.
    #[must_use]
    pub fn stages(&self) -> &[CurriculumStage] {
        &self.stages
    }

    /// The stage of an epoch; `None` after the last one.
    #[must_use]
    pub fn stage(&self, epoch: u64) -> Option<&CurriculumStage> {
        let mut before = 0_u64;
        self.stages.iter().find(|stage| {
            before = stage.epochs.map_or(u64::MAX, |epochs| before.saturating_add(epochs));
            epoch < before
        })
    }

    /// Rows of a source that an endless walk through it has taken before an epoch.
    pub(super) fn taken(&self, source: usize, epoch: u64) -> u64 {
        let (mut start, mut taken) = (0_u64, 0_u64);
        for stage in &self.stages {
            let epochs = stage.epochs.unwrap_or(u64::MAX).min(epoch.saturating_sub(start));
            if let Some(Amount::Rows(rows)) = stage.amounts.get(source) {
                taken = taken.wrapping_add(epochs.wrapping_mul(*rows as u64));
            }
            start = start.saturating_add(epochs);
        }
        taken
    }

    /// BLAKE3 of lengths and stages, in hexadecimal: a checkpoint's cursor counts in this mixture.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Digest::default();
        digest.size(self.lens.len());
        for len in &self.lens {
            digest.size(*len);
        }
        for stage in &self.stages {
            digest.text(&stage.epochs.map_or("endless".to_owned(), |epochs| epochs.to_string()));
            for amount in &stage.amounts {
                match amount {
                    Amount::All => digest.text("all"),
                    Amount::Rows(rows) => digest.text(&rows.to_string()),
                }
            }
            if let Some(Insertion { late, gamma }) = &stage.insertion {
                digest.number(gamma.to_bits());
                digest.size(late.len());
                for source in late {
                    digest.size(*source);
                }
            }
        }
        digest.finish()
    }
}

impl Amount {
    /// Rows an epoch, of a source of `len` rows.
    pub(super) const fn rows(self, len: usize) -> usize {
        match self {
            Self::All => len,
            Self::Rows(rows) => rows,
        }
    }
}

fn check(stage: usize, settings: &CurriculumStage, lens: &[usize]) -> Result<(), MixError> {
    let (sources, found) = (lens.len(), settings.amounts.len());
    if found != sources {
        return Err(MixError::Amounts { stage, sources, found });
    }
    for (source_index, (len, amount)) in lens.iter().zip(&settings.amounts).enumerate() {
        let rows = amount.rows(*len);
        if *len == 0 && rows > 0 {
            return Err(MixError::NoRows { stage, source_index, rows });
        }
    }
    let Some(Insertion { late, gamma }) = &settings.insertion else { return Ok(()) };
    if !(gamma.is_finite() && *gamma > 0.0) {
        let (what, found, expected) = ("gamma", *gamma, "above 0");
        return Err(MixError::Amount { stage, source_index: 0, what, found, expected });
    }
    match late.iter().find(|source| **source >= sources) {
        Some(source) => Err(MixError::Amount {
            stage,
            source_index: *source,
            what: "the late source",
            found: *source as f64,
            expected: "one that there is",
        }),
        None => Ok(()),
    }
}

fn rounded(rows: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 or more; what is too much saturates, and is refused as too many rows"
    )]
    let rows = rows.round() as usize;
    rows
}

impl TryFrom<RawMixture> for Mixture {
    type Error = MixError;

    fn try_from(raw: RawMixture) -> Result<Self, MixError> {
        Self::staged(raw.lens, raw.stages)
    }
}

impl From<Mixture> for RawMixture {
    fn from(mixture: Mixture) -> Self {
        Self { lens: mixture.lens, stages: mixture.stages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_rows_add_up_and_are_within_one_of_their_share() {
        for (weights, rows) in
            [(&[1.0, 1.0, 1.0][..], 10), (&[0.7, 0.2, 0.1], 1003), (&[0.0, 3.0], 5), (&[2.0], 7)]
        {
            let stage = CurriculumStage::weighted(weights, rows).unwrap();
            let counts: Vec<usize> = stage.amounts.iter().map(|amount| amount.rows(0)).collect();
            assert_eq!(counts.iter().sum::<usize>(), rows);
            let total: f64 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(counts) {
                assert!((count as f64 - weight / total * rows as f64).abs() <= 1.0);
            }
        }
    }

    #[test]
    fn impossible_mixtures_are_errors_that_name_stage_and_source() {
        let stage = |epochs, amounts: &[Amount]| CurriculumStage {
            epochs,
            amounts: amounts.to_vec(),
            insertion: None,
        };
        let all = Amount::All;
        let staged =
            |lens: &[usize], stages: Vec<CurriculumStage>| Mixture::staged(lens.to_vec(), stages);
        assert!(matches!(Mixture::uniform(vec![]), Err(MixError::Empty { sources: 0, .. })));
        assert!(matches!(staged(&[1], vec![]), Err(MixError::Empty { stages: 0, .. })));
        let uneven = staged(&[1, 2], vec![stage(None, &[all])]);
        assert_eq!(uneven, Err(MixError::Amounts { stage: 0, sources: 2, found: 1 }));
        let empty = staged(&[1, 0], vec![stage(None, &[all, Amount::Rows(3)])]);
        assert_eq!(empty, Err(MixError::NoRows { stage: 0, source_index: 1, rows: 3 }));
        assert!(staged(&[1, 0], vec![stage(None, &[all, all])]).is_ok());
        assert_eq!(Mixture::uniform(vec![0, 0]), Err(MixError::EmptyStage { stage: 0 }));
        let endless = staged(&[1], vec![stage(None, &[all]), stage(Some(1), &[all])]);
        assert!(matches!(endless, Err(MixError::Epochs { stage: 0, stages: 2, .. })));
        assert!(matches!(
            staged(&[1], vec![stage(Some(0), &[all])]),
            Err(MixError::Epochs { stage: 0, .. })
        ));
        let huge = staged(&[1], vec![stage(None, &[Amount::Rows(1 << 40)])]);
        assert!(matches!(huge, Err(MixError::TooMany { .. })));
        for (late, gamma) in [(vec![2], 1.5), (vec![1], 0.0), (vec![1], f64::NAN)] {
            let refused = Mixture::gream(vec![1, 1], late, gamma);
            assert!(matches!(refused, Err(MixError::Amount { .. })));
        }
        for weights in [&[-1.0, 2.0][..], &[0.0, 0.0], &[f64::INFINITY, 1.0], &[]] {
            assert!(matches!(
                Mixture::weighted(vec![5; weights.len()], weights, 4),
                Err(MixError::Amount { .. })
            ));
        }
        assert!(matches!(Mixture::with_extra(vec![5], 5, -0.1), Err(MixError::Amount { .. })));
    }

    #[test]
    fn a_mixture_in_json_is_checked_like_any_other() {
        let mixture = Mixture::gream(vec![3, 4], vec![1], 1.5).unwrap();
        let json = serde_json::to_string(&mixture).unwrap();
        assert_eq!(serde_json::from_str::<Mixture>(&json).unwrap(), mixture);
        assert!(serde_json::from_str::<Mixture>(&json.replace("[3,4]", "[3]")).is_err());
        let other = Mixture::gream(vec![3, 4], vec![1], 1.25).unwrap();
        assert_ne!(mixture.hash(), other.hash());
        assert_ne!(mixture.hash(), Mixture::uniform(vec![3, 4]).unwrap().hash());
    }

    #[test]
    fn stages_follow_one_another() {
        let mixture = Mixture::gream(vec![3, 4], vec![1], 1.5).unwrap();
        let late = |epoch| mixture.stage(epoch).unwrap().insertion.is_some();
        assert_eq!([late(0), late(1), late(2), late(900)], [true, true, false, false]);
        let ends = CurriculumStage::weighted(&[1.0], 2).unwrap().lasting(3);
        let mixture = Mixture::staged(vec![5], vec![ends]).unwrap();
        assert!(mixture.stage(2).is_some() && mixture.stage(3).is_none());
    }
}
