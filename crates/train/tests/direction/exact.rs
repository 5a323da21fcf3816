//! Exact gradients: they are the slope of what they follow, and what draws estimate.

use sidereal_data::ItemId;
use sidereal_policy::{
    CompletionToken, Completions, Conditions, ExactPolicy as _, ItemPolicy, Policy as _, Rollout,
    Sampler, Scoring, TokenBatch, TokenLaw, Trainable, code_targets,
};
use sidereal_rl::{
    Accuracy, AllAnswers, Clip, ExactAdvantage, ExactObjective, Gbpo, Group, Grpo, Kl, KlEstimator,
    MeanOnly, PolicyObjective, Reward, SidLevel, Srpo, Surrogate, ZScore,
};
use sidereal_sid::SemanticId;
use sidereal_train::{
    AdvantageConfig, EncodedPrompt, Mode, OwnMethods, ReasoningConfig, Record, RewardConfig,
    RlConfig, RolloutConfig, SingerReward, StepReward, TrainError,
};
use tch::{Device, Kind, Tensor};

use crate::items::{prompt, shop};
use crate::shop::{Log, Shop, at, constant, short};

/// Settings of exact gradients of the plain expected reward. They make a policy of nine items certain.
fn exact() -> RlConfig {
    let (rollout, advantage) = (RolloutConfig::Exact, AdvantageConfig::MeanOnly);
    RlConfig { rollout, advantage, min_entropy: 0.0, ..short() }
}

fn penalised(coef: f64) -> Surrogate {
    let kl = Some(Kl::new(coef, KlEstimator::K3).unwrap());
    Surrogate::Grpo(Grpo { kl, ..Grpo::default() })
}

/// Semantic IDs of all items, item by item; each item has its own.
fn sids(shop: &Shop) -> Vec<SemanticId> {
    (0..9).map(|item| shop.catalog.sid(ItemId(item)).unwrap().clone()).collect()
}

fn rewards(shop: &Shop, target: ItemId) -> Vec<f64> {
    let (all, target) = (sids(shop), shop.catalog.sid(target).unwrap().clone());
    SidLevel::default().score(&Group::new(&target, &all).with_levels(2))
}

const HISTORIES: [[u32; 3]; 2] = [[5, 8, 2], [1, 0, 7]];
const TARGETS: [ItemId; 2] = [ItemId(3), ItemId(7)];

/// J of the prompts, in tensors, straight from the probabilities of items: what the crate never computes.
fn objective(
    shop: &Shop,
    policy: &ItemPolicy,
    reference: &Tensor,
    (beta, eta): (f64, f64),
) -> Tensor {
    let logp = policy.log_probs_of_items(&HISTORIES).unwrap(); // [U, N]
    let p = logp.exp();
    let rewards: Vec<f64> = TARGETS.iter().flat_map(|target| rewards(shop, *target)).collect();
    let rewards = Tensor::from_slice(&rewards).view([2, 9]).to_kind(Kind::Float);
    let gain = (&p * rewards).sum(Kind::Float);
    let kl = (&p * (&logp - reference)).sum(Kind::Float);
    let entropy = -(&p * &logp).sum(Kind::Float);
    (gain - kl * beta + entropy * eta) / 2.0
}

/// All gradients in a row, which are then cleared.
fn gradients(policy: &ItemPolicy) -> Vec<f64> {
    let mut all = Vec::new();
    for weight in policy.weights().values() {
        let grad = weight.grad();
        let values = if grad.defined() { grad } else { weight.zeros_like() };
        all.extend(Vec::<f64>::try_from(values.to_kind(Kind::Double).reshape([-1])).unwrap());
        weight.shallow_clone().zero_grad();
    }
    all
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The gradient of J by the answers' pass and the derivatives of `ExactObjective`.
fn by_answers(
    shop: &Shop,
    policy: &ItemPolicy,
    reference: &ItemPolicy,
    coefficients: (f64, f64),
) -> Vec<f64> {
    let constraint = &shop.constraint;
    let batch = TokenBatch::new(&HISTORIES, 0, 64, Device::Cpu).unwrap();
    let law = TokenLaw::from(Scoring::Renormalised);
    let pass = policy.answer_pass(constraint, &batch, law).unwrap();
    let values = |logp: &Tensor| Vec::<f64>::try_from(logp.to_kind(Kind::Double)).unwrap();
    let logp = values(pass.logp());
    let reference = values(reference.answer_pass(constraint, &batch, law).unwrap().logp());
    let by_item = |target| rewards(shop, target);
    let trie = constraint.trie();
    let items: Vec<usize> = trie.leaves().map(|leaf| trie.items(leaf)[0].index()).collect();
    let (beta, eta) = coefficients;
    let objective = ExactObjective::new(ExactAdvantage::Reward, beta, eta).unwrap();
    let mut d_logp = Vec::new();
    for (user, target) in TARGETS.into_iter().enumerate() {
        let rewards: Vec<f64> = items.iter().map(|item| by_item(target)[*item]).collect();
        let range = 9 * user..9 * user + 9;
        let answers = AllAnswers::new(&logp[range.clone()], &rewards).unwrap();
        let answers = answers.with_reference(&reference[range]).unwrap();
        d_logp.extend(objective.objective(&answers, 2).unwrap().d_logp);
    }
    pass.backward(&Tensor::from_slice(&d_logp)).unwrap();
    gradients(policy)
}

#[test]
fn the_gradient_is_that_of_autograd_and_of_finite_differences() {
    let ((shop, policy), (_, mut reference)) = (shop(), shop());
    {
        let _guard = tch::no_grad_guard();
        for weight in reference.weights().values() {
            let mut weight = weight.shallow_clone();
            weight *= 0.7;
        }
        reference = reference.frozen_copy().unwrap();
    }
    policy.require_grad_of(&|_| true);
    let of_reference = reference.log_probs_of_items(&HISTORIES).unwrap();
    for coefficients in [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.5, 0.1)] {
        let value = || objective(&shop, &policy, &of_reference, coefficients);
        let found = by_answers(&shop, &policy, &reference, coefficients);
        value().backward();
        let plain = gradients(&policy);
        let largest = plain.iter().fold(0f64, |most, x| most.max(x.abs()));
        assert!(largest > 1e-3);
        for (a, b) in found.iter().zip(&plain) {
            assert!((a - b).abs() < 1e-4 * largest, "{coefficients:?}: {a} {b}");
        }
        // The slope along the gradient is its length, up to single precision and the second derivative.
        let _guard = tch::no_grad_guard();
        let length = found.iter().map(|x| x * x).sum::<f64>().sqrt();
        let shift = |by: f64| {
            let mut start = 0;
            for weight in policy.weights().values() {
                let end = start + weight.numel();
                let along = Tensor::from_slice(&found[start..end]).view(weight.size().as_slice());
                let mut weight = weight.shallow_clone();
                weight += along.to_kind(Kind::Float) * (by / length);
                start = end;
            }
        };
        let moved = |by: f64| {
            shift(by);
            let value = value().double_value(&[]);
            shift(-by);
            value
        };
        let slope = (moved(3e-3) - moved(-3e-3)) / 6e-3;
        assert!((slope - length).abs() < 0.01 * length, "{coefficients:?}: {slope} {length}");
    }
}

#[test]
fn the_mean_of_many_drawn_gradients_is_the_exact_one() {
    let (shop, policy) = shop();
    let reference = policy.frozen_copy().unwrap();
    policy.require_grad_of(&|_| true);
    let exact = by_answers(&shop, &policy, &reference, (0.0, 0.0));
    // 1000 draws a prompt: each code is drawn by its probability.
    let sampler = Sampler {
        model: &policy,
        constraint: &shop.constraint,
        sampling: at(1.0),
        scoring: Scoring::Renormalised,
        seed: 5,
    };
    let batch = TokenBatch::new(&HISTORIES, 0, 64, Device::Cpu).unwrap();
    let guides: [&[u32]; 2] = [&[], &[]];
    let conditions = Conditions { keys: &[1, 2], ..Conditions::guided(&guides) };
    let drawn = sampler.sample(&batch, &conditions, 1000).unwrap();
    let estimate = |count: usize| {
        let trie = shop.constraint.trie();
        let scored = |rollout: &Rollout| -> Vec<CompletionToken> {
            let targets = code_targets(trie, &[], &rollout.tokens).unwrap();
            targets.into_iter().map(CompletionToken::Scored).collect()
        };
        let rollouts: Vec<Vec<Vec<CompletionToken>>> =
            drawn.iter().map(|of| of[..count].iter().map(scored).collect()).collect();
        let asked = Completions { prompts: &batch, begun: &[0, 0], rollouts: &rollouts };
        let law = TokenLaw::from(Scoring::Renormalised);
        let pass = policy.completion_pass(&shop.constraint, &asked, law).unwrap();
        let mut d_logp = Vec::new();
        let mut lens = pass.lens.iter();
        for (of, target) in drawn.iter().zip(TARGETS) {
            let by_item = rewards(&shop, target);
            let worth: Vec<f64> =
                of[..count].iter().map(|r| by_item[trie.items(r.node)[0].index()]).collect();
            let mean = worth.iter().sum::<f64>() / count as f64;
            for (worth, len) in worth.iter().zip(lens.by_ref()) {
                let d = (worth - mean) / (2 * count) as f64;
                d_logp.extend(std::iter::repeat_n(d, *len));
            }
        }
        pass.pass.backward(&Tensor::from_slice(&d_logp)).unwrap();
        cosine(&gradients(&policy), &exact)
    };
    let (few, many) = (estimate(8), estimate(1000));
    assert!(many > 0.9 && many > few, "{few} {many}");
}

#[test]
fn a_step_follows_the_gradient_of_its_prompts_however_they_are_split() {
    let (shop, policy) = shop();
    let reference = policy.frozen_copy().unwrap();
    policy.require_grad_of(&|_| true);
    let gradient = by_answers(&shop, &policy, &reference, (0.4, 0.3));
    let length = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
    let prompts: Vec<EncodedPrompt> = (0..)
        .zip(TARGETS.into_iter().zip(HISTORIES))
        .map(|(user, (target, history))| EncodedPrompt {
            ids: history.to_vec(),
            ..Shop::prompt(user, target, Mode::Direct)
        })
        .collect();
    let of = |micro_batch| {
        let mut optim = constant(1e-3);
        optim.eps = 1e-4; // rounding of tiny gradients must not become whole steps
        let (objective, prompts_per_step) = (penalised(0.4), 2);
        let short = RlConfig { steps: 1, validate_every: 1, prompts_per_step, ..exact() };
        let config = RlConfig { objective, entropy_bonus: 0.3, micro_batch, optim, ..short };
        let (shop, policy) = crate::items::shop();
        let mut log = Log::default();
        let reward = StepReward::One(&SidLevel::default());
        let policy = shop.reinforce(policy, &prompts, &config, reward, &mut log);
        let weights = policy.weights().values();
        let values = weights.map(|w| Vec::<f64>::try_from(w.to_kind(Kind::Double).reshape([-1])));
        (log, values.map(Result::unwrap).collect::<Vec<_>>().concat())
    };
    let (log, whole) = of(64);
    let norm = log.values("grad_norm")[0];
    assert!((norm - length).abs() < 1e-4 * length, "{norm} {length}");
    let (parts, apart) = of(1);
    assert!((parts.values("grad_norm")[0] - norm).abs() < 1e-4 * norm);
    let far = whole.iter().zip(&apart).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far < 2e-5, "{far}");
    // What is logged is what the probabilities say.
    let by_item = |user: usize| {
        let logp = policy.log_probs_of_items(&HISTORIES[user..=user]).unwrap();
        Vec::<f64>::try_from(logp.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
    };
    let (mut reward, mut entropy) = (0.0, 0.0);
    for (user, target) in TARGETS.into_iter().enumerate() {
        for (logp, worth) in by_item(user).iter().zip(rewards(&shop, target)) {
            reward += 0.5 * logp.exp() * worth;
            entropy -= 0.5 * logp.exp() * logp;
        }
    }
    for (name, expected) in [
        ("exact_reward", reward),
        ("reward", reward),
        ("exact_entropy", entropy),
        ("exact_kl", 0.0),
    ] {
        let found = log.values(name)[0];
        assert!((found - expected).abs() < 1e-5, "{name}: {found} {expected}");
    }
}

/// What the exact log says at the first and at the last step.
fn ends(log: &Log, name: &str) -> (f64, f64) {
    let values = log.values(name);
    (values[0], values[values.len() - 1])
}

#[test]
fn the_target_becomes_more_probable_and_penalty_and_bonus_hold_against_it() {
    let (shop, policy) = shop();
    let target = shop.ranked(&policy, &prompt(ItemId(0)), 4);
    let prompts = [prompt(target)];
    let before = shop.probabilities(&policy, &prompts[0])[&target];
    let of = |config: &RlConfig, reward: &dyn Reward| {
        let (shop, policy) = crate::items::shop();
        let mut log = Log::default();
        let policy = shop.reinforce(policy, &prompts, config, StepReward::One(reward), &mut log);
        (shop.probabilities(&policy, &prompts[0])[&target], log)
    };
    let standardised = AdvantageConfig::ZScore(ZScore::POPULATION);
    for advantage in [AdvantageConfig::MeanOnly, standardised] {
        for passes in [1, 2] {
            for reward in [&Accuracy as &dyn Reward, &SidLevel::default()] {
                let config = RlConfig { advantage, passes, ..exact() };
                let (after, log) = of(&config, reward);
                assert!(after > 2.0 * before, "{advantage:?}: {before} to {after}");
                let (first, last) = ends(&log, "exact_reward");
                assert!(last > first, "{advantage:?}: {first} to {last}");
            }
        }
    }
    // The penalty holds the policy where it was.
    let held = |coef| of(&RlConfig { objective: penalised(coef), ..exact() }, &Accuracy);
    let ((free, far), (near, close)) = (held(1e-6), held(30.0));
    assert!(near < free, "{free} {near}");
    let (far, close) = (ends(&far, "exact_kl").1, ends(&close, "exact_kl").1);
    assert!(close < 0.2 * far, "{far} {close}");
    // The bonus alone, on rewards that are all equal, makes the answers more even.
    let nothing = |group: &Group<'_>| vec![0.0; group.len()];
    let (_, log) = of(&RlConfig { entropy_bonus: 1.0, ..exact() }, &nothing);
    let (first, last) = ends(&log, "exact_entropy");
    assert!(last > first + 0.1, "{first} to {last}");
    let (_, log) = of(&exact(), &nothing);
    let (first, last) = ends(&log, "exact_entropy");
    assert!((last - first).abs() < 1e-9, "without it nothing moves: {first} to {last}");
}

#[test]
fn draws_estimate_what_the_exact_log_says() {
    let (shop, policy) = shop();
    let asked = [prompt(shop.ranked(&policy, &prompt(ItemId(0)), 3))];
    for temperature in [1.0, 2.0] {
        let rollout = RolloutConfig::Sample(at(temperature));
        let short = RlConfig { steps: 1, group_size: 4000, validate_every: 1, ..short() };
        let config = RlConfig { rollout, exact_log: true, ..short };
        let (shop, policy) = crate::items::shop();
        let mut log = Log::default();
        let reward = StepReward::One(&SidLevel::default());
        let _ = shop.reinforce(policy, &asked, &config, reward, &mut log);
        let (drawn, exact) = (log.values("reward")[0], log.values("exact_reward")[0]);
        // Rewards lie in [0, 1], so the mean of 4000 has a deviation of at most 0.008: five of them.
        assert!((drawn - exact).abs() < 0.04, "{temperature}: {drawn} {exact}");
        assert!(log.values("exact_kl")[0].abs() < 1e-6 && log.values("exact_entropy")[0] > 0.1);
    }
}

#[test]
fn what_has_no_exact_counterpart_is_refused_before_the_first_step() {
    let field = |config: &RlConfig| match config.check("rl").unwrap_err() {
        TrainError::Setting { field, .. } => field,
        other => panic!("{other}"),
    };
    let z_score = |ddof| AdvantageConfig::ZScore(ZScore::new(ddof, 1e-8).unwrap());
    let k2 = Some(Kl::new(0.1, KlEstimator::K2).unwrap());
    let grpo = Grpo::default();
    let clip = Clip::new(0.2, 0.3).unwrap();
    let objective = |objective| RlConfig { objective, ..exact() };
    let advantage = |advantage| RlConfig { advantage, ..exact() };
    let srpo = Srpo { k: 2.try_into().unwrap(), z_score: ZScore::POPULATION };
    let reasoning = Some(ReasoningConfig { share: 0.5, ..ReasoningConfig::default() });
    for (name, config) in [
        ("advantage", advantage(AdvantageConfig::LeaveOneOut)),
        ("advantage", advantage(AdvantageConfig::Srpo(srpo))),
        ("advantage", advantage(AdvantageConfig::Decoupled(ZScore::POPULATION))),
        ("advantage", advantage(z_score(1))),
        ("objective", objective(Surrogate::Gbpo(Gbpo))),
        ("objective", objective(Surrogate::Grpo(Grpo { clip, ..grpo }))),
        ("objective", objective(Surrogate::Grpo(Grpo { kl: k2, ..grpo }))),
        ("prefix_curriculum", RlConfig { prefix_curriculum: true, ..exact() }),
        ("max_draws", RlConfig { max_draws: 2, ..exact() }),
        ("scoring", RlConfig { scoring: Scoring::Full, ..exact() }),
        ("reasoning", RlConfig { reasoning, ..exact() }),
        ("entropy_bonus", RlConfig { entropy_bonus: -1.0, ..exact() }),
        ("entropy_bonus", RlConfig { entropy_bonus: 0.1, ..short() }),
    ] {
        assert_eq!(field(&config), format!("stage.rl.rl.{name}"));
    }
    assert!(advantage(z_score(0)).check("rl").is_ok());
    let logs = RlConfig { exact_log: true, ..short() };
    let singer = RewardConfig::Singer(SingerReward::default());
    for config in [exact(), logs.clone()] {
        let refused = singer.check(&config).unwrap_err().to_string();
        assert!(refused.contains("`reward` is Singer"), "{refused}");
        assert!(RewardConfig::Accuracy.check(&config).is_ok());
    }
    assert!(singer.check(&short()).is_ok());

    // A policy that scores only what it is asked for.
    let words = Shop::new();
    let asked = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    for config in [exact(), logs] {
        let mut log = Log::default();
        let reward = StepReward::One(&Accuracy);
        let refused = words.try_reinforce(words.model(3), &asked, &config, reward, &mut log);
        let refused = refused.map(drop).unwrap_err().to_string();
        assert!(refused.contains("`policy` is exact expectations"), "{refused}");
        assert!(log.0.is_empty(), "nothing was computed");
    }
    // An objective of the caller's own sees rollouts.
    let (shop, policy) = shop();
    let surrogate = Surrogate::default();
    for own in [
        OwnMethods { objective: Some(&surrogate as &dyn PolicyObjective), advantage: None },
        OwnMethods { objective: None, advantage: Some(&MeanOnly) },
    ] {
        let (reward, asked) = (StepReward::One(&Accuracy), [prompt(ItemId(4))]);
        let model = policy.frozen_copy().unwrap();
        let mut nobody = |_: &Record| {};
        let refused = shop.reinforce_by(own, model, &asked, &exact(), reward, &mut nobody);
        assert!(matches!(refused, Err(TrainError::Setting { .. })), "{refused:?}");
    }
}
