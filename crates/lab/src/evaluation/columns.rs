//! The columns of the tables: which metrics every row has.

use std::num::NonZeroUsize;

use sidereal_metrics::{Candidates, Metric, MetricSource};

use crate::recipe::evaluate::EvaluateConfig;

/// The cut-off of the usual columns.
pub(crate) const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
const ONE: NonZeroUsize = NonZeroUsize::MIN;
/// Metrics of ranks where the recipe names none; the first one is only used for pools.
const OF_RANKS: [Metric; 5] = [
    Metric::HitRate(ONE),
    Metric::HitRate(FIVE),
    Metric::HitRate(TEN),
    Metric::Ndcg(TEN),
    Metric::Mrr(TEN),
];
/// Metrics of lists where the recipe names none.
const OF_LISTS: [Metric; 4] =
    [Metric::Entropy(TEN), Metric::ColdRecall(TEN), Metric::Coverage(TEN), Metric::Gini(TEN)];
/// Metrics by kind of user where the recipe names none, and of the paired tests.
const MAIN: [Metric; 2] = [Metric::HitRate(TEN), Metric::Ndcg(TEN)];

/// The columns of the tables of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Those that the recipe names; `None` for the usual ones.
    asked: Option<Vec<Metric>>,
}

impl Columns {
    /// The columns that a recipe asks for.
    pub(crate) fn of(config: &EvaluateConfig) -> Self {
        Self { asked: config.metrics.clone() }
    }

    /// Metrics of ranks. The usual ones include the first place for pools alone.
    pub(crate) fn of_ranks(&self, candidates: Candidates) -> Vec<Metric> {
        let usual = || {
            let pool = matches!(candidates, Candidates::Pool(_));
            if pool { OF_RANKS.to_vec() } else { OF_RANKS[1..].to_vec() }
        };
        self.named(MetricSource::Ranks).unwrap_or_else(usual)
    }

    /// Metrics of the lists of policies.
    pub(crate) fn of_lists(&self) -> Vec<Metric> {
        self.named(MetricSource::Lists).unwrap_or_else(|| OF_LISTS.to_vec())
    }

    /// Metrics of drawn answers: those that the recipe names, or `Pass@k` for the powers of two up to
    /// `draws` and for all draws.
    pub(crate) fn of_draws(&self, draws: NonZeroUsize) -> Vec<Metric> {
        let powers = || {
            let powers = (0..usize::BITS).map(|power| 1 << power).take_while(|k| *k < draws.get());
            let all = powers.filter_map(NonZeroUsize::new).chain([draws]);
            all.map(Metric::Pass).collect()
        };
        self.named(MetricSource::Draws).filter(|named| !named.is_empty()).unwrap_or_else(powers)
    }

    /// Metrics by kind of user.
    pub(crate) fn by_kind_of_user(&self) -> Vec<Metric> {
        self.named(MetricSource::Ranks).unwrap_or_else(|| MAIN.to_vec())
    }

    /// Metrics of the paired tests: HR@10 and NDCG@10, as far as they are columns, or else the first
    /// metric of ranks.
    pub(crate) fn tested(&self) -> Vec<Metric> {
        let Some(named) = self.named(MetricSource::Ranks) else { return MAIN.to_vec() };
        let main: Vec<Metric> = MAIN.into_iter().filter(|main| named.contains(main)).collect();
        if main.is_empty() { named.into_iter().take(1).collect() } else { main }
    }

    /// The metrics of this source that the recipe names, in its order.
    fn named(&self, source: MetricSource) -> Option<Vec<Metric>> {
        let asked = self.asked.as_ref()?;
        Some(asked.iter().copied().filter(|metric| metric.source() == source).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Columns {
        Columns { asked: Some(names.iter().map(|name| name.parse().unwrap()).collect()) }
    }

    fn names(metrics: &[Metric]) -> Vec<String> {
        metrics.iter().map(Metric::to_string).collect()
    }

    #[test]
    fn a_row_has_the_columns_that_are_named_and_no_other() {
        let asked = columns(&["NDCG@3", "Entropy@5", "HR@3", "Pass@2", "Avg(HR@1/3)"]);
        for candidates in [Candidates::All, Candidates::Pool(20)] {
            assert_eq!(names(&asked.of_ranks(candidates)), ["NDCG@3", "HR@3", "Avg(HR@1/3)"]);
        }
        assert_eq!(names(&asked.of_lists()), ["Entropy@5"]);
        assert_eq!(names(&asked.tested()), ["NDCG@3"]);
        assert!(columns(&["HR@5"]).of_lists().is_empty());
    }

    #[test]
    fn without_names_the_first_place_is_a_column_of_pools_alone() {
        let usual = Columns::default();
        let pool = ["HR@1", "HR@5", "HR@10", "NDCG@10", "MRR@10"];
        assert_eq!(names(&usual.of_ranks(Candidates::Pool(20))), pool);
        assert_eq!(names(&usual.of_ranks(Candidates::All)), pool[1..]);
    }

    #[test]
    fn draws_are_counted_at_the_named_numbers_or_at_powers_of_two() {
        let ten = NonZeroUsize::new(10).unwrap();
        let powers = ["Pass@1", "Pass@2", "Pass@4", "Pass@8", "Pass@10"];
        assert_eq!(names(&Columns::default().of_draws(ten)), powers);
        assert_eq!(names(&columns(&["HR@1"]).of_draws(ten)), powers);
        let asked = columns(&["HR@1", "Pass@5", "Avg(Pass@1/5)"]);
        assert_eq!(names(&asked.of_draws(ten)), ["Pass@5", "Avg(Pass@1/5)"]);
    }

    #[test]
    fn paired_tests_are_of_hits_and_gains_among_ten_if_these_are_columns() {
        assert_eq!(names(&columns(&["HR@1", "NDCG@10", "HR@5"]).tested()), ["NDCG@10"]);
        assert_eq!(names(&Columns::default().tested()), ["HR@10", "NDCG@10"]);
    }
}
