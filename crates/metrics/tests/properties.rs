//! Laws of the metrics.

use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sidereal_metrics::{
    Bootstrap, BootstrapConfig, ExposureCounts, Mean, Metric, Placement, RankHistogram, RankingRun,
    auc, best_of_k, check_consistency, entropy, hit_rate, mrr, ndcg, pass_at_k,
};

const MAX_K: NonZeroUsize = NonZeroUsize::new(30).unwrap();

fn nonzero(max: usize) -> impl Strategy<Value = NonZeroUsize> {
    (1..=max).prop_filter_map("not zero", NonZeroUsize::new)
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![
        Just(Placement::Absent),
        nonzero(40).prop_map(Placement::At),
        (nonzero(40), nonzero(9)).prop_map(|(first, count)| Placement::Tied { first, count }),
        (nonzero(40), nonzero(9)).prop_map(|(rank, count)| Placement::Drawn { rank, count }),
    ]
}

fn histogram(placements: &[Placement]) -> RankHistogram {
    let mut ranks = RankHistogram::new(MAX_K);
    for placement in placements {
        ranks.push(*placement);
    }
    ranks
}

proptest! {
    #[test]
    fn ranking_metrics_are_shares_that_rise_with_k(place in placement(), k in nonzero(30)) {
        let next = k.saturating_add(1);
        let metrics: [fn(Placement, NonZeroUsize) -> f64; 3] = [hit_rate, ndcg, mrr];
        for metric in metrics {
            let value = metric(place, k);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
            prop_assert!(metric(place, next) >= value);
        }
        prop_assert!(mrr(place, k) <= ndcg(place, k) + 1e-12);
        prop_assert!(ndcg(place, k) <= hit_rate(place, k) + 1e-12);
    }

    #[test]
    fn a_tie_is_worth_the_mean_of_its_orders(
        scores in vec(0i8..4, 1..8), pick in any::<prop::sample::Index>(), k in nonzero(8)
    ) {
        let target = pick.index(scores.len());
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let tied = Placement::from_scores(&scores, target).unwrap();
        // Put the target at every place of its block in turn.
        let above = scores.iter().filter(|score| **score > scores[target]).count();
        let equal = scores.iter().filter(|score| **score >= scores[target]).count() - above;
        let mean: f64 = (above + 1..=above + equal)
            .map(|rank| ndcg(NonZeroUsize::new(rank), k))
            .sum::<f64>() / equal as f64;
        prop_assert!((ndcg(tied, k) - mean).abs() < 1e-12);
    }

    #[test]
    fn merged_shards_are_the_whole(
        users in vec(placement(), 1..60), cut in any::<prop::sample::Index>(), k in nonzero(30)
    ) {
        let cut = cut.index(users.len());
        let mut merged = histogram(&users[..cut]);
        merged.merge(&histogram(&users[cut..])).unwrap();
        let whole = histogram(&users);
        prop_assert_eq!(merged.num_users(), whole.num_users());
        prop_assert!((merged.ndcg(k).unwrap() - whole.ndcg(k).unwrap()).abs() < 1e-12);
        // and the histogram is the mean of the users' own values
        let mean: Mean = users.iter().map(|place| mrr(*place, k)).collect();
        prop_assert!((whole.mrr(k).unwrap() - mean.value().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn every_ranking_is_consistent(users in vec(placement(), 1..60), ks in vec(nonzero(30), 1..5)) {
        let ranks = histogram(&users);
        let mut table = std::collections::BTreeMap::new();
        for k in ks {
            table.insert(Metric::HitRate(k), ranks.hit_rate(k).unwrap());
            table.insert(Metric::Ndcg(k), ranks.ndcg(k).unwrap());
            table.insert(Metric::Mrr(k), ranks.mrr(k).unwrap());
        }
        let table: Vec<_> = table.into_iter().collect();
        prop_assert!(check_consistency(&table, 1e-9).is_ok());
    }

    #[test]
    fn evaluation_of_a_run_agrees_with_the_histogram(
        users in vec(placement(), 1..40), k in nonzero(30), seed in any::<u64>()
    ) {
        let run: RankingRun = (0..).zip(users.iter().copied()).collect();
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(seed).with_resamples(20)).unwrap();
        let value = run.evaluate(&[Metric::Ndcg(k)], &bootstrap).unwrap()[0];
        prop_assert!((value.value - histogram(&users).ndcg(k).unwrap()).abs() < 1e-12);
        let interval = value.interval.unwrap();
        prop_assert!(0.0 <= interval.low && interval.low <= interval.high && interval.high <= 1.0 + 1e-12);
    }

    #[test]
    fn paired_tests_change_sign_with_their_arguments(
        values in vec((0.0f64..1.0, 0.0f64..1.0), 1..40), seed in any::<u64>()
    ) {
        let (one, two): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(seed).with_resamples(50)).unwrap();
        let (ab, ba) = (bootstrap.paired(&one, &two).unwrap(), bootstrap.paired(&two, &one).unwrap());
        prop_assert!((ab.difference + ba.difference).abs() < 1e-12);
        prop_assert!((ab.interval.low + ba.interval.high).abs() < 1e-12);
        prop_assert!((ab.p_value - ba.p_value).abs() < 1e-12);
        prop_assert!((0.0..=1.0).contains(&ab.p_value));
    }

    #[test]
    fn pass_at_k_is_the_mean_of_best_of_k_over_orders(correct in vec(any::<bool>(), 1..7), k in nonzero(6)) {
        prop_assume!(k.get() <= correct.len());
        // Every k-subset is the first k of equally many orders, so enumerate the subsets.
        let n = correct.len();
        let subsets: Mean = (0u32..1 << n)
            .filter(|set| set.count_ones() as usize == k.get())
            .map(|set| {
                let chosen: Vec<bool> =
                    (0..n).filter(|i| set >> i & 1 == 1).map(|i| correct[i]).collect();
                best_of_k(&chosen, k).unwrap()
            })
            .collect();
        let hits = correct.iter().filter(|c| **c).count();
        prop_assert!((pass_at_k(n, hits, k).unwrap() - subsets.value().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn auc_is_the_share_of_pairs_won(pairs in vec((-3i8..4, any::<bool>()), 2..30)) {
        let scores: Vec<f64> = pairs.iter().map(|(score, _)| f64::from(*score)).collect();
        let labels: Vec<bool> = pairs.iter().map(|(_, label)| *label).collect();
        let mut won = Mean::default();
        for (positive, _) in pairs.iter().filter(|(_, label)| *label) {
            for (negative, _) in pairs.iter().filter(|(_, label)| !*label) {
                won.push(match positive.cmp(negative) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                });
            }
        }
        match won.value() {
            Some(expected) => prop_assert!((auc(&scores, &labels).unwrap() - expected).abs() < 1e-12),
            None => prop_assert!(auc(&scores, &labels).is_err()),
        }
    }

    #[test]
    fn diversity_stays_in_range(
        lists in vec(vec(0usize..12, 1..10), 1..20), k in nonzero(10), cut in any::<prop::sample::Index>()
    ) {
        let value = entropy(&lists[0], k);
        prop_assert!(value >= 0.0 && value <= Metric::Entropy(k).max() + 1e-12);
        let cut = cut.index(lists.len());
        let count = |lists: &[Vec<usize>]| {
            let mut exposure = ExposureCounts::new(12);
            for list in lists {
                exposure.push(list.iter().copied()).unwrap();
            }
            exposure
        };
        let mut merged = count(&lists[..cut]);
        merged.merge(&count(&lists[cut..])).unwrap();
        prop_assert_eq!(&merged, &count(&lists));
        prop_assert!((0.0..=1.0).contains(&merged.coverage()));
        // Gini by its definition: mean absolute difference over twice the mean.
        let x: Vec<f64> = merged.counts().iter().map(|count| *count as f64).collect();
        let differences: f64 = x.iter().flat_map(|a| x.iter().map(move |b| (a - b).abs())).sum();
        let expected = differences / (2.0 * x.len() as f64 * x.iter().sum::<f64>());
        prop_assert!((merged.gini().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn names_never_panic(text in "[A-Za-z@0-9 -]{0,12}", k in option::of(nonzero(99))) {
        if let Ok(metric) = text.parse::<Metric>() {
            prop_assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        }
        if let Some(k) = k {
            prop_assert_eq!(format!("HR@{k}").parse::<Metric>().unwrap(), Metric::HitRate(k));
        }
    }
}
