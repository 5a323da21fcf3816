//! Properties of what the laws do not cover: curricula, preference losses, GBPO, odd inputs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sidereal_rl::strategies::{
    GroupCase, LogpCase, any_float, any_logp_case, any_rewards, group_case, group_in, ladder,
    logp_case, trie,
};
use sidereal_rl::{
    Diagnostics, Gbpo, Group, Grpo, Gspo, Kl, KlEstimator, Legal, Normalise, PreferenceBatch,
    PrefixCap, PrefixSchedule, Reward, RunningDiversity, Sage, Scores, Sdpo, Segments, SidLevel,
    Singer, StepSize, Stepwise, Surrogate, VarianceGuidedSampling, distinct_first, entropy_bonus,
    is_flat, score_groups, select_distinct,
};
use sidereal_sid::SemanticId;

/// Chosen, rejected and how many rejected answers each pair has.
type Pairs = (Vec<f64>, Vec<f64>, Segments);

fn pairs(logp: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Pairs> {
    vec((logp.clone(), vec(logp, 0..=4)), 0..=5).prop_map(|pairs| {
        let negatives = Segments::from_lens(pairs.iter().map(|(_, rejected)| rejected.len()));
        let (chosen, rejected): (Vec<f64>, Vec<Vec<f64>>) = pairs.into_iter().unzip();
        (chosen, rejected.concat(), negatives)
    })
}

fn free_loss(beta: f64, (chosen, rejected, negatives): &Pairs) -> f64 {
    let batch = PreferenceBatch::new(chosen, rejected, negatives).unwrap();
    Sdpo::new(beta).unwrap().reference_free().loss(&batch, chosen.len()).unwrap().value
}

fn nudged(values: &[f64], at: usize, by: f64) -> Vec<f64> {
    values.iter().enumerate().map(|(i, v)| if i == at { v + by } else { *v }).collect()
}

proptest! {
    #[test]
    fn preference_gradients_agree_with_central_differences(
        case in pairs(-20.0..0.0f64), beta in 0.05..2.0f64
    ) {
        let (chosen, rejected, negatives) = &case;
        let batch = PreferenceBatch::new(chosen, rejected, negatives).unwrap();
        let sdpo = Sdpo::new(beta).unwrap().reference_free();
        let loss = sdpo.loss(&batch, chosen.len()).unwrap();
        let h = 1e-5;
        for at in 0..chosen.len() {
            let value = |by| free_loss(beta, &(nudged(chosen, at, by), rejected.clone(), negatives.clone()));
            prop_assert!(((value(h) - value(-h)) / (2.0 * h) - loss.d_chosen[at]).abs() < 1e-7);
        }
        for at in 0..rejected.len() {
            let value = |by| free_loss(beta, &(chosen.clone(), nudged(rejected, at, by), negatives.clone()));
            prop_assert!(((value(h) - value(-h)) / (2.0 * h) - loss.d_rejected[at]).abs() < 1e-7);
        }
    }

    #[test]
    fn preference_gradients_of_a_pair_sum_to_zero_and_the_reference_cancels(
        case in pairs(-20.0..0.0f64), shift in -5.0..5.0f64
    ) {
        let (chosen, rejected, negatives) = &case;
        let moved = |values: &[f64]| values.iter().map(|v| v + shift).collect::<Vec<_>>();
        let (moved_chosen, moved_rejected) = (moved(chosen), moved(rejected));
        let batch = PreferenceBatch::new(&moved_chosen, &moved_rejected, negatives).unwrap()
            .with_reference(chosen, rejected).unwrap();
        // Policy and reference differ by a constant: x = ln J, whatever the log-probs.
        let loss = Sdpo::new(0.3).unwrap().loss(&batch, chosen.len()).unwrap();
        for (pair, range) in negatives.iter().enumerate() {
            let count = range.len() as f64;
            let pull = 0.3 / chosen.len() as f64 * count / (count + 1.0);
            prop_assert!((loss.d_chosen[pair] + pull).abs() < 1e-9);
            let sum: f64 = loss.d_rejected[range].iter().sum();
            prop_assert!((sum + loss.d_chosen[pair]).abs() < 1e-12);
        }
    }

    #[test]
    fn dpo_margins_flip_when_chosen_and_rejected_swap(a in -50.0..0.0f64, b in -50.0..0.0f64) {
        let one = Segments::uniform(1, 1);
        let margin = |chosen: f64, rejected: f64| {
            let (chosen, rejected) = ([chosen], [rejected]);
            let batch = PreferenceBatch::new(&chosen, &rejected, &one).unwrap();
            Sdpo::new(0.1).unwrap().reference_free().loss(&batch, 1).unwrap().margin_sum
        };
        prop_assert!((margin(a, b) + margin(b, a)).abs() < 1e-12);
    }

    #[test]
    fn preference_losses_of_any_floats_are_finite_or_refused(
        (chosen, rejected, negatives) in pairs(any_float()), beta in any_float()
    ) {
        let (Ok(sdpo), Ok(batch)) =
            (Sdpo::new(beta), PreferenceBatch::new(&chosen, &rejected, &negatives))
        else {
            return Ok(());
        };
        if let Ok(loss) = sdpo.reference_free().loss(&batch, chosen.len()) {
            prop_assert!(loss.value.is_finite());
            prop_assert!(loss.d_chosen.iter().chain(&loss.d_rejected).all(|d| d.is_finite()));
        }
    }

    /// The denominator is a constant of the gradient, so it is frozen in the differences. Plain
    /// probabilities, unlike the logarithms of the code: the two agree where none underflows.
    #[test]
    fn gbpo_is_its_equation_with_the_denominator_frozen(case in logp_case(4)) {
        let rollouts = case.advantages.len();
        let found = Gbpo.objective(&case.batch().unwrap(), StepSize::of(&case.tokens)).unwrap();
        let mut value = 0.0;
        for (range, advantage) in case.tokens.iter().zip(&case.advantages).filter(|(r, _)| !r.is_empty()) {
            let probability = |logp: &[f64]| logp[range.clone()].iter().sum::<f64>().exp();
            let (new, old) = (probability(&case.logp), probability(&case.old_logp));
            let denominator = old.max(if *advantage < 0.0 { 1.0 - new } else { new });
            let term = |new: f64| new / denominator * advantage / rollouts as f64;
            value += term(new);
            let h = 1e-6;
            let slope = (term(new * f64::exp(h)) - term(new * f64::exp(-h))) / (2.0 * h);
            for at in range {
                prop_assert!((found.d_logp[at] - slope).abs() < 1e-8);
            }
        }
        prop_assert!((found.value - value).abs() < 1e-9);
    }

    #[test]
    fn gbpo_bounds_the_coefficient_of_positives_by_the_advantage(case in logp_case(6)) {
        let found = Gbpo.objective(&case.batch().unwrap(), StepSize::of(&case.tokens)).unwrap();
        for (range, advantage) in case.tokens.iter().zip(&case.advantages) {
            if *advantage >= 0.0 {
                let bound = advantage / case.advantages.len() as f64;
                prop_assert!(found.d_logp[range].iter().all(|slope| *slope <= bound + 1e-12));
            }
        }
    }

    #[test]
    fn entropy_bonuses_of_any_floats_are_finite_or_refused(
        case in any_logp_case(5), coef in any_float()
    ) {
        let step = StepSize::of(&case.tokens);
        if let Ok(bonus) = entropy_bonus(&case.logp, &case.tokens, coef, Normalise::Token, step) {
            prop_assert!(bonus.value.is_finite() && bonus.d_entropy.iter().all(|d| d.is_finite()));
        }
    }

    #[test]
    fn guides_never_grow_and_leave_a_code(total in 1u64.., steps in vec(any::<u64>(), 2), levels in 0usize..30) {
        let schedule = PrefixSchedule::new(NonZeroU64::new(total).unwrap());
        let (early, late) = (steps[0].min(steps[1]), steps[0].max(steps[1]));
        for schedule in [schedule, schedule.with_cap(PrefixCap::Whole)] {
            prop_assert!(schedule.guide_len(early, levels) >= schedule.guide_len(late, levels));
            prop_assert_eq!(schedule.guide_len(total, levels), 0);
        }
        prop_assert!(schedule.guide_len(early, levels) < levels.max(1));
        prop_assert_eq!(schedule.with_cap(PrefixCap::Whole).guide_len(0, levels), levels);
    }

    #[test]
    fn the_running_diversity_stays_between_what_it_saw(steps in vec(vec(0.0..9.0f64, 0..4), 0..6), rate in 0.01..=1.0f64) {
        let mut running = RunningDiversity::new(rate).unwrap();
        for step in &steps {
            running.update(step).unwrap();
        }
        let seen = steps.concat();
        let (low, high) = seen.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        match running.value() {
            Some(value) => prop_assert!(low - 1e-9 <= value && value <= high + 1e-9),
            None => prop_assert!(seen.is_empty()),
        }
        let before = running;
        prop_assert!(running.update(&[f64::NAN]).is_err());
        prop_assert_eq!(running, before);
    }

    #[test]
    fn dynamic_sampling_keeps_what_has_spread_and_stops(
        rounds in vec(any_rewards(), 0..6), wanted in 0usize..6, bound in 0usize..12
    ) {
        let mut sampling = VarianceGuidedSampling::new(wanted, bound);
        for (rewards, groups) in &rounds {
            prop_assert!(sampling.needed() <= wanted && sampling.needed() <= bound);
            let before = sampling.clone();
            let Ok(kept) = sampling.offer(rewards, groups) else {
                prop_assert_eq!(&before, &sampling);
                continue;
            };
            for group in kept {
                let range = groups.iter().nth(group).unwrap();
                prop_assert!(!is_flat(&rewards[range]));
            }
        }
        prop_assert!(sampling.accepted() <= wanted);
        prop_assert!(!sampling.is_exhausted() || sampling.needed() == 0);
    }

    #[test]
    fn selection_puts_a_hit_first_and_repeats_last(case in group_case(12), keep in 0usize..14) {
        let kept = select_distinct(&case.target, &case.rollouts, keep);
        prop_assert_eq!(kept.len(), keep.min(case.rollouts.len()));
        let mut indices = kept.clone();
        indices.sort_unstable();
        indices.dedup();
        prop_assert_eq!(indices.len(), kept.len());
        if keep > 0 && case.group().hits().any(|hit| hit) {
            prop_assert_eq!(&case.rollouts[kept[0]], &case.target);
        }
        let distinct = |indices: &mut dyn Iterator<Item = usize>| {
            indices.map(|at| &case.rollouts[at]).collect::<std::collections::BTreeSet<_>>().len()
        };
        let available = distinct(&mut (0..case.rollouts.len()));
        prop_assert_eq!(distinct(&mut kept.iter().copied()), available.min(keep));
        // Without the target: as many distinct ones, in the order of the draws, and the rest is the same.
        let blind = distinct_first(&case.rollouts, keep);
        prop_assert_eq!(blind.len(), kept.len());
        prop_assert_eq!(distinct(&mut blind.iter().copied()), available.min(keep));
        prop_assert!(blind[..available.min(keep)].is_sorted());
    }

    #[test]
    fn rewards_of_rollouts_of_any_length_are_finite(
        target in vec(0u16..3, 0..6), rollouts in vec(vec(0u16..3, 0..40), 0..9)
    ) {
        let target = SemanticId::from(target);
        let rollouts: Vec<_> = rollouts.into_iter().map(SemanticId::from).collect();
        let reward = Singer::default().plus(Stepwise).plus(SidLevel::default());
        let scores: Scores = score_groups(&reward, [Group::new(&target, &rollouts)]).unwrap();
        prop_assert_eq!(scores.rewards.len(), rollouts.len());
    }

    #[test]
    fn legal_agrees_with_the_trie(
        ((catalog, trie), drawn, foreign) in trie(20).prop_flat_map(|(catalog, trie)| {
            let drawn = group_in(&catalog, 8);
            (Just((catalog, trie)), drawn, group_case(8))
        }),
    ) {
        // Semantic IDs of the catalogue, the same one code short, and others, legal by chance alone.
        let short = |sid: &SemanticId| sid.codes()[..sid.len() - 1].to_vec().into();
        let cut: Vec<SemanticId> = drawn.rollouts.iter().map(short).collect();
        let all = [drawn.rollouts.clone(), cut, foreign.rollouts].concat();
        let legal = Legal::new(&catalog).score(&Group::new(&drawn.target, &all));
        prop_assert_eq!(legal.len(), all.len());
        for (sid, score) in all.iter().zip(&legal) {
            let tokens = catalog.spec().tokens(sid).ok();
            let leaf = tokens.and_then(|tokens| trie.walk(&tokens)).is_some_and(|n| trie.is_leaf(n));
            prop_assert_eq!(leaf, *score > 0.5);
        }
        let known = drawn.rollouts.len();
        prop_assert!(legal[..known].iter().all(|score| *score > 0.5));
        prop_assert!(legal[known..2 * known].iter().all(|score| *score < 0.5));
    }
}

#[test]
fn settings_out_of_range_are_refused_when_read() {
    use sidereal_rl::{Clip, ZScore};
    assert!(serde_json::from_str::<SidLevel>("1.0").is_err());
    assert!(serde_json::from_str::<Clip>(r#"{"low": 0.0, "high": 0.2}"#).is_err());
    assert!(serde_json::from_str::<Kl>(r#"{"coef": 0.0}"#).is_err());
    assert!(serde_json::from_str::<Sage>(r#"{"boost": -1}"#).is_err());
    assert!(serde_json::from_str::<ZScore>(r#"{"ddof": 0, "eps": -1}"#).is_err());
    assert!(serde_json::from_str::<RunningDiversity>(r#"{"rate": 2.0, "value": null}"#).is_err());
    let error = serde_json::from_str::<Sdpo>(r#"{"beta": -0.1}"#).unwrap_err();
    assert!(error.to_string().starts_with("`beta` is -0.1; expected a finite value above 0"));
    for surrogate in [Surrogate::default(), Surrogate::Gbpo(Gbpo)] {
        let text = serde_json::to_string(&surrogate).unwrap();
        assert_eq!(serde_json::from_str::<Surrogate>(&text).unwrap(), surrogate);
    }
}

/// The first `count` cases of a strategy, the same at every run.
fn drawn<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn generated_groups_hold_every_prefix_length_and_rollouts_that_name_nothing() {
    let mut seen = BTreeSet::new();
    for case in drawn(group_case(6), 300) {
        let levels = case.target.len();
        assert!((1..=4).contains(&levels) && case.rollouts.len() <= 6);
        for (rollout, len) in case.rollouts.iter().zip(case.group().prefix_lens()) {
            assert!(rollout.is_empty() || rollout.len() == levels, "{case}");
            seen.insert((levels, (!rollout.is_empty()).then_some(len)));
        }
    }
    for levels in 1..=4 {
        assert!((0..=levels).all(|len| seen.contains(&(levels, Some(len)))), "{seen:?}");
        assert!(seen.contains(&(levels, None)), "{seen:?}");
    }
}

#[test]
fn generated_ladders_hold_every_prefix_length_once_in_changing_order() {
    let ladders = drawn(ladder(), 100);
    for case in &ladders {
        let mut lens: Vec<usize> = case.group().prefix_lens().collect();
        lens.sort_unstable();
        assert_eq!(lens, (0..=case.target.len()).collect::<Vec<_>>(), "{case}");
    }
    let first = |case: &GroupCase| case.group().prefix_lens().next();
    assert!(ladders.iter().map(first).collect::<BTreeSet<_>>().len() > 2);
}

#[test]
fn generated_groups_print_in_notation() {
    let case = |rollouts: &[SemanticId]| GroupCase {
        target: SemanticId::from([1, 2]),
        rollouts: rollouts.to_vec(),
    };
    let text = case(&[SemanticId::from([1, 0]), SemanticId::default()]).to_string();
    assert_eq!(text, "target <a_1><b_2>, rollouts <a_1><b_0>, (no Semantic ID)");
    assert_eq!(format!("{:?}", case(&[])), "target <a_1><b_2>, rollouts none");
}

#[test]
fn half_of_any_log_probs_are_finite_and_anything_at_all() {
    // A case of many floats is all finite by intent only: one float in fifty or so is not.
    let large: Vec<_> =
        drawn(any_logp_case(6), 600).into_iter().filter(|case| case.logp.len() >= 20).collect();
    let varied = |case: &&LogpCase| case.batch().is_ok() && case.logp.iter().any(|v| v.abs() > 1e9);
    let accepted = large.iter().filter(varied).count();
    assert!(3 * accepted > large.len() && accepted < large.len(), "{accepted} of {}", large.len());
}

#[test]
fn diagnostics_of_micro_batches_add_up_to_the_steps() {
    let kl = Some(Kl::new(0.1, KlEstimator::K2).unwrap());
    for surrogate in [
        Surrogate::Grpo(Grpo { kl, ..Grpo::default() }),
        Surrogate::Gspo(Gspo { kl, ..Gspo::default() }),
        Surrogate::Gbpo(Gbpo),
        Surrogate::Sage(Sage::default()),
    ] {
        for case in drawn(logp_case(8), 100) {
            let step = StepSize::of(&case.tokens);
            let of = |part: &LogpCase| {
                surrogate.objective(&part.batch().unwrap(), step).unwrap().diagnostics
            };
            let (rollouts, whole) = (case.advantages.len(), of(&case));
            let mut sum = of(&case.part(0..rollouts / 2));
            sum += of(&case.part(rollouts / 2..rollouts));
            let counts = |d: &Diagnostics| {
                let clipped = (d.clipped_low, d.clipped_high);
                (d.units, d.tokens, d.rollouts, d.effective_rollouts, clipped)
            };
            assert_eq!(counts(&sum), counts(&whole), "{surrogate:?}");
            let sums = |d: &Diagnostics| [d.ratio_sum, d.max_ratio, d.old_kl_sum, d.ref_kl_sum];
            for (a, b) in sums(&sum).into_iter().zip(sums(&whole)) {
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{sum:?} {whole:?}");
            }
        }
    }
}
