//! The analytic gradients of `sidereal-rl` against autograd of the same objectives on tensors.
//!
//! Log-probabilities come from a log-softmax over random logits, so the chain rule through a policy
//! is part of what is compared: `(logp · d_logp).sum()` must reach the logits with the gradient that
//! the objective, written in tensor operations, sends there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;

use sidereal_rl::{
    Clip, Gbpo, Grpo, Gspo, Kl, KlEstimator, PreferenceBatch, RolloutBatch, Sage, Sdpo, Segments,
    Srpo, StepSize,
};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Rollouts of 3, 1, 4 and 2 tokens over a vocabulary of 7.
struct Case {
    logits: Tensor,
    tokens: Segments,
    old: Vec<f64>,
    reference: Vec<f64>,
    advantages: Vec<f64>,
    diversities: Vec<f64>,
}

impl Case {
    fn new(seed: i64) -> Self {
        tch::manual_seed(seed);
        let tokens = Segments::from_lens([3, 1, 4, 2]);
        let count = 10;
        let logits = Tensor::randn([count, 7], F64).set_requires_grad(true);
        let near = |logits: &Tensor, spread: f64| {
            let moved = logits.detach() + Tensor::randn([count, 7], F64) * spread;
            values(&pick(&moved))
        };
        let (old, reference) = (near(&logits, 0.4), near(&logits, 0.4));
        Self {
            old,
            reference,
            advantages: values(&Tensor::randn([4], F64)),
            diversities: values(&(Tensor::rand([4], F64) * 2.0)),
            logits,
            tokens,
        }
    }

    fn ranges(&self) -> Vec<Range<usize>> {
        self.tokens.iter().collect()
    }

    /// Compares the gradients at the logits of the objective on tensors and of the analytic one.
    fn check(
        &self,
        name: &str,
        on_tensors: impl Fn(&Tensor) -> Tensor,
        value: f64,
        d_logp: &[f64],
    ) {
        self.check_within(1e-10, name, on_tensors, value, d_logp);
    }

    fn check_within(
        &self,
        tolerance: f64,
        name: &str,
        on_tensors: impl Fn(&Tensor) -> Tensor,
        value: f64,
        d_logp: &[f64],
    ) {
        let gradient = |objective: &Tensor| {
            objective.backward();
            let gradient = self.logits.grad().copy();
            self.logits.shallow_clone().zero_grad();
            gradient
        };
        let by_autograd = on_tensors(&pick(&self.logits));
        let found = by_autograd.double_value(&[]);
        assert!((found - value).abs() < tolerance * (1.0 + value.abs()), "{name}: {found} {value}");
        let expected = gradient(&by_autograd);
        let analytic =
            gradient(&(pick(&self.logits) * Tensor::from_slice(d_logp)).sum(Kind::Double));
        let difference = (&expected - analytic).abs().max().double_value(&[]);
        let size = expected.abs().max().double_value(&[]);
        assert!(difference < tolerance * (1.0 + size), "{name}: gradients differ by {difference}");
    }
}

/// Log-probability of token `row mod 7` in each row.
fn pick(logits: &Tensor) -> Tensor {
    let rows = logits.size()[0];
    let column = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(7).unsqueeze(1);
    logits.log_softmax(-1, Kind::Double).gather(1, &column, false).squeeze_dim(1)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor).unwrap()
}

fn part(tensor: &Tensor, range: &Range<usize>) -> Tensor {
    let (start, len) = (i64::try_from(range.start).unwrap(), i64::try_from(range.len()).unwrap());
    tensor.narrow(0, start, len)
}

/// `min(r·A, clip(r)·A)`.
fn clipped(ratio: &Tensor, advantage: f64, low: f64, high: f64) -> Tensor {
    (ratio * advantage).minimum(&(ratio.clamp(low, high) * advantage))
}

#[test]
fn grpo_with_a_kl_penalty() {
    for seed in 0..20 {
        let case = Case::new(seed);
        let grpo = Grpo {
            clip: Clip::new(0.2, 0.28).unwrap(),
            kl: Some(Kl::new(0.1, KlEstimator::K3).unwrap()),
            ..Grpo::default()
        };
        let (old, reference) = (Tensor::from_slice(&case.old), Tensor::from_slice(&case.reference));
        let on_tensors = |logp: &Tensor| {
            let per_rollout: Vec<Tensor> = case
                .ranges()
                .iter()
                .zip(&case.advantages)
                .map(|(range, advantage)| {
                    let new = part(logp, range);
                    let ratio = (&new - part(&old, range)).exp();
                    let gap = part(&reference, range) - &new;
                    let kl = gap.exp() - &gap - 1.0;
                    (clipped(&ratio, *advantage, 0.8, 1.28) - kl * 0.1).mean(Kind::Double)
                })
                .collect();
            Tensor::stack(&per_rollout, 0).mean(Kind::Double)
        };
        let logp = values(&pick(&case.logits));
        let batch = RolloutBatch::new(&case.tokens, &logp, &case.old, &case.advantages)
            .and_then(|batch| batch.with_reference(&case.reference))
            .unwrap();
        let found = grpo.objective(&batch, StepSize::of(&case.tokens)).unwrap();
        case.check("grpo", on_tensors, found.value, &found.d_logp);
    }
}

/// SRPO: its advantages by binomials as the paper writes them, in the clipped objective.
#[test]
fn srpo_of_a_group_with_one_hit() {
    let (hits, rewards) = ([false, true, false, false], [0.5, 1.0, 0.0, 0.25f64.sqrt()]);
    let mean = rewards.iter().sum::<f64>() / 4.0;
    let spread = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
    for k in [1usize, 2] {
        let (of_misses, of_all) = (choose(3, k), choose(4, k));
        let chance = 1.0 - of_misses / of_all;
        let sigma = (chance * (1.0 - chance)).sqrt();
        let delta = choose(2, k - 1) / choose(3, k - 1);
        let expected: Vec<f64> = rewards
            .iter()
            .zip(hits)
            .map(|(reward, hit)| {
                let lost = if hit { 0.0 } else { delta };
                (reward - mean) / spread + (1.0 - chance - lost) / sigma
            })
            .collect();
        let srpo = Srpo { k: k.try_into().unwrap(), ..Srpo::default() };
        let advantages = srpo.advantages(&rewards, &hits, &Segments::uniform(1, 4)).unwrap().values;
        for seed in 0..5 {
            let case = Case::new(seed);
            let old = Tensor::from_slice(&case.old);
            let on_tensors = |logp: &Tensor| {
                let gain = |(range, advantage): (&Range<usize>, &f64)| {
                    let ratio = (part(logp, range) - part(&old, range)).exp();
                    clipped(&ratio, *advantage, 0.8, 1.2).mean(Kind::Double)
                };
                let gains: Vec<Tensor> = case.ranges().iter().zip(&expected).map(gain).collect();
                Tensor::stack(&gains, 0).mean(Kind::Double)
            };
            let logp = values(&pick(&case.logits));
            let batch = RolloutBatch::new(&case.tokens, &logp, &case.old, &advantages).unwrap();
            let grpo = Grpo { clip: Clip::new(0.2, 0.2).unwrap(), ..Grpo::default() };
            let found = grpo.objective(&batch, StepSize::of(&case.tokens)).unwrap();
            // A z-score divides by its spread plus 1e-8.
            case.check_within(1e-7, "srpo", on_tensors, found.value, &found.d_logp);
        }
    }
}

/// `n` over `k`.
fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|j| (n - j) as f64 / (j + 1) as f64).product()
}

#[test]
fn sequence_ratios_gspo_and_sage() {
    for seed in 0..20 {
        let case = Case::new(seed);
        let old = Tensor::from_slice(&case.old);
        let mean_ratio = |logp: &Tensor, range: &Range<usize>| {
            (part(logp, range) - part(&old, range)).mean(Kind::Double).exp()
        };
        let logp = values(&pick(&case.logits));
        let plain = RolloutBatch::new(&case.tokens, &logp, &case.old, &case.advantages).unwrap();
        let step = StepSize::of(&case.tokens);
        let over_rollouts = |term: &dyn Fn(&Range<usize>, f64, f64) -> Tensor| {
            let terms: Vec<Tensor> = case
                .ranges()
                .iter()
                .zip(case.advantages.iter().zip(&case.diversities))
                .map(|(range, (advantage, diversity))| term(range, *advantage, *diversity))
                .collect();
            Tensor::stack(&terms, 0).mean(Kind::Double)
        };

        let gspo = Gspo { clip: Clip::new(0.1, 0.1).unwrap(), kl: None };
        let found = gspo.objective(&plain, step).unwrap();
        let on_tensors = |logp: &Tensor| {
            over_rollouts(&|range, advantage, _| {
                clipped(&mean_ratio(logp, range), advantage, 0.9, 1.1)
            })
        };
        case.check("gspo", on_tensors, found.value, &found.d_logp);

        let target = 1.0;
        let batch = plain.with_diversities(&case.diversities, target).unwrap();
        // The formula as printed, whose ε_clip the minimum never lets act.
        let clip = if seed % 2 == 0 { 0.2 } else { 0.9 };
        let (boost, temperature) = (if seed % 3 == 0 { 0.0 } else { 0.3 }, 0.5);
        let lambda = |diversity: f64| 1.0 + temperature * (target - diversity).max(0.0).tanh();
        let sage = Sage::new(boost, temperature).unwrap();
        let found = sage.objective(&batch, step).unwrap();
        let on_tensors = |logp: &Tensor| {
            over_rollouts(&|range, advantage, diversity| {
                let (low, high) = if advantage >= 0.0 {
                    (1.0 - clip, 1.0 + boost)
                } else {
                    (2.0 - lambda(diversity), 1.0 + clip)
                };
                clipped(&mean_ratio(logp, range), advantage, low, high)
            })
        };
        case.check("sage", on_tensors, found.value, &found.d_logp);
    }
}

#[test]
fn gbpo_with_its_bounded_denominator() {
    for seed in 0..20 {
        let case = Case::new(seed);
        let old = Tensor::from_slice(&case.old);
        let logp = values(&pick(&case.logits));
        let batch = RolloutBatch::new(&case.tokens, &logp, &case.old, &case.advantages).unwrap();
        let found = Gbpo.objective(&batch, StepSize::of(&case.tokens)).unwrap();
        let on_tensors = |logp: &Tensor| {
            let terms: Vec<Tensor> = case
                .ranges()
                .iter()
                .zip(&case.advantages)
                .map(|(range, advantage)| {
                    let new = part(logp, range).sum(Kind::Double).exp();
                    let before = part(&old, range).sum(Kind::Double).exp();
                    let now = new.detach();
                    let bound = if *advantage >= 0.0 { now } else { 1.0 - now };
                    new / before.maximum(&bound) * *advantage
                })
                .collect();
            Tensor::stack(&terms, 0).mean(Kind::Double)
        };
        case.check("gbpo", on_tensors, found.value, &found.d_logp);
    }
}

#[test]
fn sdpo_with_three_rejected_items() {
    let beta = 0.3;
    for seed in 0..20 {
        let case = Case::new(seed);
        // The rollouts are items: the first is chosen, the others are rejected.
        let sums = |flat: &Tensor| -> Vec<Tensor> {
            case.ranges().iter().map(|range| part(flat, range).sum(Kind::Double)).collect()
        };
        let reference: Vec<f64> = sums(&Tensor::from_slice(&case.reference))
            .iter()
            .map(|sum| sum.double_value(&[]))
            .collect();
        let policy: Vec<f64> =
            sums(&pick(&case.logits)).iter().map(|sum| sum.double_value(&[])).collect();
        let groups = Segments::from_lens([3]);
        let batch = PreferenceBatch::new(&policy[..1], &policy[1..], &groups)
            .and_then(|batch| batch.with_reference(&reference[..1], &reference[1..]))
            .unwrap();
        let found = Sdpo::new(beta).unwrap().loss(&batch, 1).unwrap();
        let mut d_logp = vec![0.0; 10];
        let d_items = found.d_chosen.iter().chain(&found.d_rejected);
        for (range, d_item) in case.ranges().into_iter().zip(d_items) {
            d_logp[range].fill(*d_item);
        }
        let on_tensors = |logp: &Tensor| {
            let margins: Vec<Tensor> =
                sums(logp).iter().zip(&reference).map(|(new, old)| new - *old).collect();
            let rejected: Vec<Tensor> =
                margins[1..].iter().map(|margin| (margin - &margins[0]) * beta).collect();
            let pressure = Tensor::stack(&rejected, 0).logsumexp([0i64].as_slice(), false);
            -(-pressure).log_sigmoid()
        };
        case.check("s-dpo", on_tensors, found.value, &d_logp);
    }
}
