//! The crate's own rewards, advantages and objectives under the laws that it ships.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::num::NonZeroUsize;

use sidereal_rl::laws::{AdvantageLaws, RewardLaws, SurrogateLaws, Violation};
use sidereal_rl::{
    Accuracy, AdvantageEstimator, Advantages, Decoupled, Gbpo, Group, Grpo, Gspo, Kl, KlEstimator,
    LeaveOneOut, Legal, MeanOnly, Normalise, Objective, Objectives, RankReward, ResidualSensitive,
    Reward, RewardBatch, RlError, RolloutBatch, Sage, Segments, SidLevel, Singer, Srpo, StepSize,
    Stepwise, Surrogate, ZScore,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

#[test]
fn prefix_rewards_obey_every_law() -> Result<(), Violation> {
    fn all(reward: impl Reward) -> Result<(), Violation> {
        let laws = RewardLaws::new(reward);
        laws.complete()?;
        laws.bounded(0.0..=1.0)?;
        laws.monotone_in_prefix()?;
        laws.maximal_only_at_target()?;
        laws.order_invariant()
    }
    all(Accuracy)?;
    all(SidLevel::default())?;
    all(Stepwise)?;
    all(ResidualSensitive::default())
}

#[test]
fn rank_and_singer_rewards_are_complete_and_bounded() -> Result<(), Violation> {
    let deepest = -1.0 / 2f64.ln();
    RewardLaws::new(RankReward::Paper).bounded(deepest..=0.0)?;
    RewardLaws::new(RankReward::Normalised).bounded(-1.0..=0.0)?;
    RewardLaws::new(RankReward::Normalised).complete()?;
    RewardLaws::new(Singer::default()).complete()?;
    RewardLaws::new(Singer::default()).bounded(deepest..=1.0)?;
    RewardLaws::new(Singer::default()).maximal_only_at_target()
}

#[test]
fn the_rank_reward_depends_on_the_order_and_the_law_says_so() {
    let violation = RewardLaws::new(RankReward::Paper).order_invariant().unwrap_err();
    assert_eq!(violation.law, "order_invariant");
}

#[test]
fn the_printed_rank_penalty_scores_the_first_rollout_of_a_good_policy_below_the_last()
-> Result<(), Violation> {
    let singer = |rank| Singer { rank, ..Singer::default() };
    RewardLaws::new(Accuracy).first_above_last()?;
    RewardLaws::new(singer(RankReward::Normalised)).first_above_last()?;
    let violation = RewardLaws::new(singer(RankReward::Paper)).first_above_last().unwrap_err();
    assert_eq!(violation.law, "first_above_last");
    Ok(())
}

#[test]
fn a_reward_that_knows_the_catalogue_is_tested_over_it() -> Result<(), Violation> {
    let sids = [[0, 0], [0, 1], [1, 1]].map(SemanticId::from).to_vec();
    let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0).unwrap(), sids).unwrap();
    let reward = Stepwise.plus(Legal::new(&catalog).weighted(0.1));
    let laws = RewardLaws::new(reward).over_catalog(&catalog);
    laws.bounded(0.1..=1.1)?;
    laws.monotone_in_prefix()?;
    laws.maximal_only_at_target()?;
    let objectives = Objectives::new().with("legal", 1.0, Legal::new(&catalog)).unwrap();
    RewardLaws::new(objectives).over_catalog(&catalog).bounded(1.0..=1.0)
}

#[test]
fn a_failing_law_shows_the_smallest_group_in_notation() {
    let longest_codes_win =
        |group: &Group<'_>| group.rollouts().iter().map(|sid| sid.len() as f64).collect();
    let violation = RewardLaws::new(longest_codes_win).bounded(0.0..=1.0).unwrap_err();
    assert_eq!(
        violation.to_string(),
        "law `bounded`: rollout 0 scores 2, outside 0.0..=1.0\n  \
         smallest counter-example: target <a_0><b_0>, rollouts <a_1><b_0>"
    );
    let nan = |group: &Group<'_>| vec![f64::NAN; group.len()];
    assert!(RewardLaws::new(nan).complete().is_err());
    assert!(RewardLaws::new(nan).bounded(0.0..=1.0).is_err());
    assert!(RewardLaws::new(nan).monotone_in_prefix().is_err());
    assert!(RewardLaws::new(nan).maximal_only_at_target().is_err());
    let short = |_: &Group<'_>| Vec::new();
    assert!(RewardLaws::new(short).complete().is_err());
}

#[test]
fn centred_advantages_obey_every_law() -> Result<(), Violation> {
    let z_scores = [ZScore::POPULATION, ZScore::TRL, ZScore::VERL, ZScore::new(3, 0.0).unwrap()];
    let mut estimators: Vec<Box<dyn AdvantageEstimator>> =
        vec![Box::new(MeanOnly), Box::new(LeaveOneOut)];
    estimators.extend(z_scores.map(|z| Box::new(z) as Box<dyn AdvantageEstimator>));
    for estimator in estimators {
        let laws = AdvantageLaws::new(estimator);
        laws.finite_or_refused()?;
        laws.shift_invariant()?;
        laws.flat_groups_are_zero()?;
        laws.group_sums_are_zero()?;
        laws.keeps_order()?;
        laws.groups_are_independent()?;
    }
    Ok(())
}

#[test]
fn srpo_refuses_or_stays_finite_and_keeps_hits_on_top() -> Result<(), Violation> {
    for k in [1, 2, 7, 100] {
        let laws = AdvantageLaws::new(Srpo { k: NonZeroUsize::new(k).unwrap(), ..Srpo::default() });
        laws.finite_or_refused()?;
        laws.keeps_order()?;
        laws.flat_groups_are_zero()?;
        laws.groups_are_independent()?;
    }
    Ok(())
}

#[test]
fn decoupled_advantages_are_finite_shift_invariant_and_keep_the_order() -> Result<(), Violation> {
    let laws = AdvantageLaws::new(Decoupled(ZScore::TRL));
    laws.finite_or_refused()?;
    laws.shift_invariant()?;
    laws.flat_groups_are_zero()?;
    laws.keeps_order()?;
    // Standardised over the batch: the groups do influence each other.
    assert!(laws.groups_are_independent().is_err());
    Ok(())
}

/// Every objective, with and without KL, by all normalisations.
fn objectives() -> Vec<Surrogate> {
    let mut all: Vec<Surrogate> = vec![Surrogate::Grpo(Grpo::dapo()), Surrogate::Gbpo(Gbpo)];
    let constant = Normalise::Constant(NonZeroUsize::new(4).unwrap());
    for normalise in [Normalise::Sequence, Normalise::Token, constant] {
        for estimator in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
            let kl = Some(Kl::new(0.3, estimator).unwrap());
            all.push(Surrogate::Grpo(Grpo { kl, normalise, ..Grpo::default() }));
        }
    }
    let kl = Some(Kl::new(0.1, KlEstimator::K3).unwrap());
    all.push(Surrogate::Gspo(Gspo::default()));
    all.push(Surrogate::Gspo(Gspo { kl, ..Gspo::default() }));
    all.push(Surrogate::Sage(Sage::default()));
    all.push(Surrogate::Sage(Sage::new(0.0, 1.0).unwrap()));
    all
}

#[test]
fn gradients_agree_with_central_differences() -> Result<(), Violation> {
    let differentiable = |surrogate: &Surrogate| !matches!(surrogate, Surrogate::Gbpo(_));
    objectives()
        .into_iter()
        .filter(differentiable)
        .try_for_each(|surrogate| SurrogateLaws::new(surrogate).gradient_is_derivative())
}

#[test]
fn micro_batches_change_nothing() -> Result<(), Violation> {
    objectives().into_iter().try_for_each(|s| SurrogateLaws::new(s).additive_over_micro_batches())
}

#[test]
fn any_floats_give_finite_objectives_or_errors() -> Result<(), Violation> {
    objectives().into_iter().try_for_each(|s| SurrogateLaws::new(s).finite_or_refused())
}

#[test]
fn on_policy_gradients_follow_the_advantage() -> Result<(), Violation> {
    for surrogate in objectives() {
        // k1's derivative is a constant, not a distance from the reference.
        let k1 = |kl: Option<Kl>| kl.is_some_and(|kl| kl.estimator() == KlEstimator::K1);
        if !matches!(surrogate, Surrogate::Grpo(grpo) if k1(grpo.kl)) {
            SurrogateLaws::new(surrogate).on_policy_gradient_follows_advantage()?;
        }
    }
    Ok(())
}

#[test]
fn a_wrong_gradient_is_found() {
    let halved = |batch: &RolloutBatch<'_>, step: StepSize| -> Result<Objective, RlError> {
        let right = Grpo::default().objective(batch, step)?;
        Ok(Objective::new(right.value, right.d_logp.iter().map(|d| d / 2.0).collect()))
    };
    assert!(SurrogateLaws::new(halved).gradient_is_derivative().is_err());
    // Wrong on steep places alone: those are compared, too.
    let halved_where_steep = |batch: &RolloutBatch<'_>, step: StepSize| {
        let right = Grpo::default().objective(batch, step)?;
        let steep = |d: &f64| if d.abs() > 1e-2 { d / 2.0 } else { *d };
        Ok::<_, RlError>(Objective::new(right.value, right.d_logp.iter().map(steep).collect()))
    };
    assert!(SurrogateLaws::new(halved_where_steep).gradient_is_derivative().is_err());
    let mean_of_means = |batch: &RolloutBatch<'_>, _: StepSize| {
        Grpo::default().objective(batch, StepSize::of(batch.tokens()))
    };
    assert!(SurrogateLaws::new(mean_of_means).additive_over_micro_batches().is_err());
}

#[test]
fn estimators_that_break_a_law_are_found() {
    type Estimate = fn(&[f64], &Segments) -> Result<Vec<f64>, RlError>;
    let laws = |estimate: Estimate| {
        AdvantageLaws::new(move |batch: &RewardBatch<'_>| {
            Ok(Advantages::new(estimate(batch.rewards(), batch.groups())?, vec![]))
        })
    };
    let raw = || laws(|rewards, _| Ok(rewards.to_vec()));
    // NaN and infinity do not reach an estimator; sums of large rewards do overflow.
    assert_eq!(raw().finite_or_refused(), Ok(()));
    let doubled = laws(|rewards, _| Ok(rewards.iter().map(|reward| reward * 2.0).collect()));
    assert!(doubled.finite_or_refused().is_err());
    assert!(raw().shift_invariant().is_err());
    assert!(raw().flat_groups_are_zero().is_err());
    assert!(raw().group_sums_are_zero().is_err());
    assert_eq!(raw().keeps_order(), Ok(()));
    assert_eq!(raw().groups_are_independent(), Ok(()));
    // Equal advantages for unequal rewards are no change of order, falling ones are.
    assert_eq!(laws(|rewards, _| Ok(vec![0.0; rewards.len()])).keeps_order(), Ok(()));
    assert!(laws(|rewards, _| Ok(rewards.iter().map(|r| -r).collect())).keeps_order().is_err());
    // Rewards lie on a grid of eighths; among equal ones any order is kept.
    let earlier_first = laws(|rewards, _| {
        Ok((0u8..).zip(rewards).map(|(at, r)| r - f64::from(at) * 1e-6).collect())
    });
    assert_eq!(earlier_first.keeps_order(), Ok(()));
    let over_the_batch = laws(|rewards, _| {
        let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        Ok(rewards.iter().map(|reward| reward - mean).collect())
    });
    assert!(over_the_batch.groups_are_independent().is_err());
    let violation = laws(|_, _| Ok(vec![])).shift_invariant().unwrap_err();
    assert!(violation.found.starts_with("0 advantages for"), "{violation}");
    let refusing = laws(|_, _| Err(RlError::ZeroLength { rollout: 0 }));
    assert_eq!(refusing.finite_or_refused(), Ok(()));
    assert!(refusing.keeps_order().unwrap_err().found.starts_with("refused: "));
}

#[test]
fn objectives_that_break_a_law_are_found() {
    let changed = |change: fn(&mut Objective)| {
        SurrogateLaws::new(move |batch: &RolloutBatch<'_>, step: StepSize| {
            let mut objective = Grpo::default().objective(batch, step)?;
            change(&mut objective);
            Ok::<_, RlError>(objective)
        })
    };
    assert!(changed(|o| o.value = f64::NAN).finite_or_refused().is_err());
    assert!(changed(|o| o.d_logp.fill(f64::INFINITY)).finite_or_refused().is_err());
    let negated = changed(|o| o.d_logp.iter_mut().for_each(|d| *d = -*d));
    assert!(negated.on_policy_gradient_follows_advantage().is_err());
    // A value that every part has whole, and gradients that depend on the part's size.
    assert!(changed(|o| o.value += 1.0).additive_over_micro_batches().is_err());
    let by_size = changed(|o| {
        let tokens = o.d_logp.len() as f64;
        o.d_logp.iter_mut().for_each(|d| *d += tokens);
    });
    assert!(by_size.additive_over_micro_batches().is_err());
    let violation = changed(|o| o.d_logp.push(0.0)).additive_over_micro_batches().unwrap_err();
    assert!(violation.found.ends_with("tokens"), "{violation}");
}

#[test]
fn rewards_that_break_a_law_are_found() {
    let constant = |group: &Group<'_>| vec![0.5; group.len()];
    let laws = RewardLaws::new(constant);
    assert_eq!(laws.monotone_in_prefix(), Ok(()));
    assert_eq!(laws.order_invariant(), Ok(()));
    assert_eq!(laws.bounded(0.5..=0.5), Ok(()));
    assert!(laws.maximal_only_at_target().is_err());
    assert!(laws.first_above_last().is_err());
    let misses =
        |group: &Group<'_>| -> Vec<f64> { group.prefix_lens().map(|len| -(len as f64)).collect() };
    assert!(RewardLaws::new(misses).monotone_in_prefix().is_err());
    let only_hard =
        |group: &Group<'_>| if group.is_hard() { vec![] } else { vec![0.0; group.len()] };
    assert!(RewardLaws::new(only_hard).complete().is_err());
    // Its own target is legal in a catalogue, whose groups hold nothing else.
    let sids = [[0, 0], [0, 1]].map(SemanticId::from).to_vec();
    let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0).unwrap(), sids).unwrap();
    let legal = || Legal::new(&catalog);
    assert!(RewardLaws::new(legal()).bounded(1.0..=1.0).is_err());
    assert_eq!(RewardLaws::new(legal()).over_catalog(&catalog).bounded(1.0..=1.0), Ok(()));
}

#[test]
fn a_violation_shows_alike_in_a_failing_test_and_in_a_log() {
    let violation = RewardLaws::new(|_: &Group<'_>| Vec::new()).complete().unwrap_err();
    assert_eq!(format!("{violation:?}"), violation.to_string());
    assert!(violation.to_string().starts_with("law `complete`: 0 scores for 1 rollouts"));
}
