//! Preferences: the chosen answer gains on the rejected ones.

use sidereal_data::ItemId;
use sidereal_policy::{CompletionToken, Scoring, code_targets};
use sidereal_rl::Sdpo;
use sidereal_train::{
    Binding, Checkpoints, ItemFacts, Mode, Preference, PreferenceConfig, PreferenceTraining,
};

use crate::shop::{Log, Shop, constant};

#[test]
fn margins_rise_and_the_likelihoods_of_both_sides_are_logged() {
    let shop = Shop::new();
    let answer = |item: ItemId| -> Vec<CompletionToken> {
        let flat = shop.catalog.spec().tokens(shop.catalog.sid(item).unwrap()).unwrap();
        let targets = code_targets(shop.constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect()
    };
    let target = shop.least(&shop.model(3), &Shop::prompt(0, ItemId(0), Mode::Direct));
    let prompt = Shop::prompt(0, target, Mode::Direct);
    let others = (0..9).map(ItemId).filter(|item| *item != target);
    let before = shop.probabilities(&shop.model(3), &prompt);
    for reference_free in [false, true] {
        for negatives in [1, 3, 8] {
            let rejected = others.clone().take(negatives).map(answer).collect();
            let pair = Preference { prompt: prompt.clone(), chosen: answer(target), rejected };
            let loss = Sdpo::new(0.3).unwrap();
            let loss = if reference_free { loss.reference_free() } else { loss };
            let config = PreferenceConfig {
                steps: 20,
                pairs_per_step: 1,
                loss,
                scoring: Scoring::Renormalised,
                optim: constant(2e-3),
                validate_every: 20,
                ..PreferenceConfig::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let training = PreferenceTraining {
                stage: "sdpo",
                config: &config.check("sdpo").unwrap(),
                constraint: &shop.constraint,
                facts: ItemFacts::default(),
                pad: 0,
                seed: 1,
                batch_size: 8,
                checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
            };
            let mut log = Log::default();
            let valid = [prompt.clone()];
            let model = training.run(shop.model(3), &[pair], &valid, &mut log).unwrap();
            let what = format!("{negatives} negatives, reference-free {reference_free}");
            let ends = |name: &str| {
                let values = log.values(name);
                assert_eq!(values.len(), 20, "{what}: {name}");
                (values[0], values[19])
            };
            let (first, last) = ends("margin");
            assert!(last > first + 0.3, "{what}: margin {first} to {last}");
            let (first, last) = ends("loss");
            assert!(last < first, "{what}: loss {first} to {last}");
            let (chosen, rejected) = (ends("chosen_logp"), ends("rejected_logp"));
            assert!(
                chosen.1 - chosen.0 > rejected.1 - rejected.0,
                "{what}: {chosen:?} {rejected:?}"
            );
            // The log tells the probabilities: that of the chosen answer before the first step.
            assert!((chosen.0.exp() - before[&target]).abs() < 1e-4, "{what}: {chosen:?}");
            let after = shop.probabilities(&model, &prompt)[&target];
            assert!(after > 1.5 * before[&target], "{what}: {before:?} to {after}");
        }
    }
}

#[test]
fn epochs_are_as_many_updates_as_read_every_pair_so_often() {
    let shop = Shop::new();
    let answer = |item: u32| -> Vec<CompletionToken> {
        let sid = shop.catalog.sid(ItemId(item)).unwrap();
        let flat = shop.catalog.spec().tokens(sid).unwrap();
        let targets = code_targets(shop.constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect()
    };
    let pair = |user: u32| Preference {
        prompt: Shop::prompt(user, ItemId(user), Mode::Direct),
        chosen: answer(user),
        rejected: vec![answer(user + 1)],
    };
    let pairs: Vec<Preference> = (0..6).map(pair).collect();
    let valid = [pairs[0].prompt.clone()];
    let of = |config: PreferenceConfig| {
        // A cosine, so that rates depend on how many updates there are.
        let config = PreferenceConfig { pairs_per_step: 4, validate_every: 9, ..config };
        let dir = tempfile::tempdir().unwrap();
        let training = PreferenceTraining {
            stage: "sdpo",
            config: &config.check("sdpo").unwrap(),
            constraint: &shop.constraint,
            facts: ItemFacts::default(),
            pad: 0,
            seed: 1,
            batch_size: 8,
            checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
        };
        let mut log = Log::default();
        training.run(shop.model(3), &pairs, &valid, &mut log).unwrap();
        (log.values("loss"), log.values("lr"))
    };
    // Twice six pairs, four at a time.
    let epochs = of(PreferenceConfig { epochs: Some(2), ..PreferenceConfig::default() });
    let steps = of(PreferenceConfig { steps: 3, ..PreferenceConfig::default() });
    assert_eq!(epochs.0.len(), 3);
    assert_eq!(epochs, steps);
    assert!(epochs.1[2] < epochs.1[1]);
}

/// The log-probability of the chosen answer, and those of the rejected ones.
type Logps = (f64, Vec<f64>);

#[test]
fn the_log_tells_the_means_of_all_parts_of_a_step() {
    let shop = Shop::new();
    let answer = |item: &u32| -> Vec<CompletionToken> {
        let sid = shop.catalog.sid(ItemId(*item)).unwrap();
        let flat = shop.catalog.spec().tokens(sid).unwrap();
        let targets = code_targets(shop.constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect()
    };
    // Each pair is a part of its own.
    let items: [(u32, &[u32]); 3] = [(4, &[0]), (1, &[5, 8]), (7, &[2])];
    let pair = |(user, (chosen, rejected)): (u32, &(u32, &[u32]))| Preference {
        prompt: Shop::prompt(user, ItemId(*chosen), Mode::Direct),
        chosen: answer(chosen),
        rejected: rejected.iter().map(answer).collect(),
    };
    let pairs: Vec<Preference> = (0..).zip(&items).map(pair).collect();
    // Of each pair the chosen answer, then the rejected ones.
    let logps: Vec<(f64, Vec<f64>)> = pairs
        .iter()
        .zip(items)
        .map(|(pair, (chosen, rejected))| {
            let probabilities = shop.probabilities(&shop.model(3), &pair.prompt);
            let of = |item: &u32| probabilities[&ItemId(*item)].ln();
            (of(&chosen), rejected.iter().map(of).collect())
        })
        .collect();
    let mean = |of: &dyn Fn(&Logps) -> f64| logps.iter().map(of).sum::<f64>() / 3.0;
    let beta = 0.3;
    for reference_free in [false, true] {
        let loss = Sdpo::new(beta).unwrap();
        let config = PreferenceConfig {
            steps: 2,
            pairs_per_step: 3,
            micro_batch: 1,
            loss: if reference_free { loss.reference_free() } else { loss },
            scoring: Scoring::Renormalised,
            // So slow that the two steps are alike.
            optim: constant(1e-12),
            validate_every: 2,
            ..PreferenceConfig::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let training = PreferenceTraining {
            stage: "sdpo",
            config: &config.check("sdpo").unwrap(),
            constraint: &shop.constraint,
            facts: ItemFacts::default(),
            pad: 0,
            seed: 1,
            batch_size: 8,
            checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
        };
        let mut log = Log::default();
        let valid = [pairs[0].prompt.clone()];
        training.run(shop.model(3), &pairs, &valid, &mut log).unwrap();
        // The policy is still its reference, so that against it no answer has gained.
        let gap = |rejected: &f64, chosen: f64| {
            if reference_free { beta * (rejected - chosen) } else { 0.0 }
        };
        let largest = |(chosen, rejected): &(f64, Vec<f64>)| {
            rejected.iter().map(|logp| gap(logp, *chosen)).fold(f64::NEG_INFINITY, f64::max)
        };
        let loss = |(chosen, rejected): &(f64, Vec<f64>)| {
            rejected.iter().map(|logp| gap(logp, *chosen).exp()).sum::<f64>().ln_1p()
        };
        let all_rejected = logps.iter().flat_map(|(_, rejected)| rejected).sum::<f64>() / 4.0;
        for (name, expected) in [
            ("loss", mean(&loss)),
            ("won", mean(&|pair| f64::from(u8::from(largest(pair) < -1e-3)))),
            ("margin", mean(&|pair| -largest(pair))),
            ("chosen_logp", mean(&|pair| pair.0)),
            ("rejected_logp", all_rejected),
            ("lr", 1e-12),
        ] {
            if name == "won" && !reference_free {
                continue; // ties, decided by rounding
            }
            let found = log.values(name);
            let close = found.iter().all(|value| (value - expected).abs() < 2e-4);
            assert!(found.len() == 2 && close, "{name}: {found:?}, needed {expected}");
        }
    }
}
