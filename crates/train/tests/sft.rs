//! Supervised fine-tuning: what must not change its result, and what it must not change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sidereal_policy::{
    Constraint, Decoder, DecoderConfig, LanguageModel as _, LoraConfig, SidTokenizer, Target,
    TokenBatch,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_train::{
    AugmentConfig, Binding, Checkpoints, Embeddings, Histories, Keep, Layers, Lessons,
    LowerStatesConfig, Observer, OptimConfig, Record, Sequence, Sft, SftConfig, SftData, StateKind,
    TrainError, TrainableConfig,
};
use tch::{Device, Kind, Tensor};

struct Shop {
    constraint: Constraint,
    vocab_size: usize,
}

impl Shop {
    fn new() -> Self {
        let spec = SidSpec::new(vec![3, 3], 0).unwrap();
        let sids = [[0u16, 1], [0, 2], [1, 1], [2, 0]].map(SemanticId::from).to_vec();
        let catalog = Catalog::new(spec.clone(), sids).unwrap();
        let tokenizer = SidTokenizer::train(["next: a b"].iter(), 260, &spec).unwrap();
        let constraint = Constraint::new(&catalog, &tokenizer, Device::Cpu).unwrap();
        Self { constraint, vocab_size: tokenizer.vocab_size() }
    }

    fn model(&self) -> Decoder {
        let config = DecoderConfig::tiny(self.vocab_size);
        Decoder::random(config, 3, Device::Cpu).unwrap()
    }

    /// Two epochs over words of 17 lengths, in batches of 8.
    fn train(&self, config: SftConfig) -> Decoder {
        self.train_judged(SftConfig { epochs: 2, ..config }, (40..44).map(|i| row(i, 0)).collect())
    }

    fn train_judged(&self, config: SftConfig, valid: Vec<Sequence>) -> Decoder {
        self.train_watched(config, valid, &mut |_: &Record| {})
    }

    fn train_watched(
        &self,
        config: SftConfig,
        valid: Vec<Sequence>,
        observer: &mut dyn Observer,
    ) -> Decoder {
        let optim = OptimConfig { lr: 1e-2, eps: 1e-4, ..OptimConfig::default() };
        self.run(&SftConfig { batch_size: 8, optim, ..config }, valid, observer)
    }

    fn run(
        &self,
        config: &SftConfig,
        valid: Vec<Sequence>,
        observer: &mut dyn Observer,
    ) -> Decoder {
        let next_item = |_: usize| -> Result<Vec<Sequence>, TrainError> {
            Ok((0..20).map(|i| row(i, 0)).collect())
        };
        let lessons = Histories {
            next_item: &next_item,
            alignment: Vec::new(),
            alignment_share: 0.0,
            batch_size: config.batch_size,
            epochs: config.epochs,
            seed: 5,
        };
        let data = SftData { lessons: &lessons, valid };
        let dir = tempfile::tempdir().unwrap();
        let sft = Sft {
            stage: "sft",
            config: &config.clone().check("sft").unwrap(),
            constraint: &self.constraint,
            pad: 0,
            seed: 5,
            checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
        };
        sft.run(self.model(), &data, observer).unwrap()
    }
}

/// Words of one of 17 lengths.
fn words(i: u32) -> Vec<u32> {
    (0..=2 + i % 17).map(|t| 10 + (i * 31 + t * 7) % 200).collect()
}

/// These words; what is learned is `off` by so much from what is read.
fn row(i: u32, off: u32) -> Sequence {
    let ids = words(i);
    let learned: Vec<_> = ids[1..].iter().map(|id| (*id, Target::Word(*id + off))).collect();
    Sequence::new(&ids[..1], &learned)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}

#[test]
fn micro_batches_and_recomputation_change_no_result() {
    let shop = Shop::new();
    let whole = shop.train(SftConfig { micro_batch: 8, ..SftConfig::default() });
    let start = shop.model();
    for (micro_batch, recompute) in [(3, false), (1, false), (8, true), (3, true)] {
        let parts = shop.train(SftConfig { micro_batch, recompute, ..SftConfig::default() });
        for (name, weight) in whole.weights() {
            let worst = difference(weight, &parts.weights()[name]);
            assert!(worst < 2e-5, "{micro_batch}, {recompute}, {name}: {worst}");
            assert!(difference(weight, &start.weights()[name]) > 0.0, "{name} was trained");
        }
    }
}

#[test]
fn the_last_weights_are_kept_whatever_the_validation_says() {
    let shop = Shop::new();
    // Right answers, which get better with every epoch, and wrong ones, which get worse.
    let valid = |off| (0..20).map(|i| row(i, off)).collect::<Vec<_>>();
    let train = |keep, off| {
        let config = SftConfig { epochs: 3, patience: 1, keep, ..SftConfig::default() };
        shop.train_judged(config, valid(off))
    };
    let apart = |a: &Decoder, b: &Decoder| {
        let of = |name: &String| difference(&a.weights()[name], &b.weights()[name]);
        a.weights().keys().map(of).fold(0.0, f64::max)
    };
    let last = train(Keep::Last, 1);
    assert!(apart(&last, &train(Keep::Last, 0)) == 0.0);
    assert!(apart(&last, &train(Keep::Best, 0)) == 0.0);
    assert!(apart(&last, &train(Keep::Best, 1)) > 0.0);
}

#[test]
fn training_stops_after_as_many_worse_epochs_as_its_patience() {
    let shop = Shop::new();
    // Wrong answers, which get worse with every epoch: the first is the best.
    let valid: Vec<Sequence> = (0..20).map(|i| row(i, 1)).collect();
    for patience in [1, 2] {
        let config = SftConfig { epochs: 6, patience, ..SftConfig::default() };
        let mut epochs = 0;
        shop.train_watched(config, valid.clone(), &mut |record: &Record| {
            epochs += usize::from(record.values.contains_key("valid_loss"));
        });
        assert_eq!(epochs, 1 + patience);
    }
}

#[test]
fn what_is_not_trained_stays() {
    let shop = Shop::new();
    let start = shop.model();
    let codes = Vec::<i64>::try_from(shop.constraint.rows(0)).unwrap();
    let train = |layers: Layers, embeddings: Embeddings| {
        let trainable = TrainableConfig { layers, embeddings };
        shop.train(SftConfig { trainable, ..SftConfig::default() })
    };
    let moved = |model: &Decoder, name: &str| {
        difference(&model.weights()[name], &start.weights()[name]) > 0.0
    };
    let (table, matrix) = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight");

    let lora = LoraConfig { rank: 2, ..LoraConfig::default() }.try_into().unwrap();
    let adapted = train(Layers::Lora(lora), Embeddings::Frozen);
    assert!(start.weights().keys().all(|name| !moved(&adapted, name)));
    assert_eq!(adapted.adapters().len(), 28);
    let merged = adapted.merged().unwrap();
    assert!(moved(&merged, matrix) && !moved(&merged, table));

    let table_only = train(Layers::Frozen, Embeddings::All);
    assert!(start.weights().keys().all(|name| moved(&table_only, name) == (name == table)));

    let codes_only = train(Layers::Frozen, Embeddings::Codes);
    let change = &codes_only.weights()[table] - &start.weights()[table];
    let rows = Vec::<bool>::try_from(change.ne(0.0).any_dim(1, false)).unwrap();
    let first = usize::try_from(codes[0]).unwrap();
    assert!(rows[..first].iter().all(|row| !row) && rows[first..first + 6].iter().all(|row| *row));
    assert!(!moved(&codes_only, matrix));

    let outputs_only = train(Layers::Frozen, Embeddings::CodeOutputs);
    assert!(start.weights().keys().all(|name| !moved(&outputs_only, name)));
    let change = &outputs_only.weights()["lm_head.weight"] - &start.weights()[table];
    let rows = Vec::<bool>::try_from(change.ne(0.0).any_dim(1, false)).unwrap();
    assert!(rows[..first].iter().all(|row| !row) && rows[first..first + 6].iter().all(|row| *row));

    let upper = train(Layers::Upper(1), Embeddings::Frozen);
    let in_upper = |name: &str| name.contains("layers.1.") || name == "model.norm.weight";
    assert!(start.weights().keys().all(|name| moved(&upper, name) == in_upper(name)));

    let nothing = TrainableConfig { layers: Layers::Frozen, embeddings: Embeddings::Frozen };
    assert!(nothing.prepare(shop.model(), &shop.constraint, 0).is_err());
}

#[test]
fn kept_states_of_frozen_layers_change_no_result() {
    let shop = Shop::new();
    let start = shop.model();
    for embeddings in [Embeddings::Frozen, Embeddings::CodeOutputs] {
        let train = |memory_mib, file_mib, recompute| {
            let trainable = TrainableConfig { layers: Layers::Upper(1), embeddings };
            let lower_states =
                LowerStatesConfig { memory_mib, file_mib, kind: StateKind::default() };
            let micro_batch = 3;
            let config = SftConfig::default();
            shop.train(SftConfig { trainable, lower_states, recompute, micro_batch, ..config })
        };
        let plain = train(0, 0, false);
        for (memory_mib, file_mib, recompute) in [(1, 0, false), (0, 1, false), (1, 0, true)] {
            let fast = train(memory_mib, file_mib, recompute);
            for (name, weight) in plain.weights() {
                let worst = difference(weight, &fast.weights()[name]);
                assert!(worst < 1e-5, "{memory_mib}, {file_mib}, {name}: {worst}");
            }
        }
        let name = "model.layers.1.mlp.up_proj.weight";
        assert!(difference(&plain.weights()[name], &start.weights()[name]) > 1e-3);
    }
}

#[test]
fn states_that_would_change_are_refused_by_name() {
    let check = |change: &dyn Fn(&mut SftConfig)| {
        let mut config = SftConfig::default();
        config.trainable.layers = Layers::Upper(1);
        config.trainable.embeddings = Embeddings::Frozen;
        change(&mut config);
        config.check("a").map_err(|error| error.to_string())
    };
    for embeddings in [Embeddings::All, Embeddings::Codes] {
        let error = check(&|config| config.trainable.embeddings = embeddings).unwrap_err();
        assert!(error.contains("`stage.a.sft.trainable.embeddings` is `"), "{error}");
        let nothing_kept = check(&|config| {
            config.trainable.embeddings = embeddings;
            config.lower_states.memory_mib = 0;
        });
        assert!(nothing_kept.is_ok());
    }
    let error = check(&|config| config.dropout = 0.1).unwrap_err();
    assert!(error.contains("`stage.a.sft.dropout` is 0.1"), "{error}");
    assert!(check(&|_| ()).is_ok());
}

/// Mean −log p of all learned words of these rows, each read alone.
fn mean_loss(model: &Decoder, rows: std::ops::Range<u32>, off: u32) -> Tensor {
    let of_row = |i: u32| {
        let ids = words(i);
        let batch = TokenBatch::new(std::slice::from_ref(&ids), 0, 64, Device::Cpu).unwrap();
        let hidden = model.forward(&batch, 0.0).unwrap().squeeze_dim(0);
        let logp = model.head().logits(&hidden).unwrap().log_softmax(-1, Kind::Float);
        let learned: Vec<i64> = ids[1..].iter().map(|id| i64::from(id + off)).collect();
        let before = logp.narrow(0, 0, logp.size()[0] - 1);
        before.gather(1, &Tensor::from_slice(&learned).unsqueeze(1), false).view(-1)
    };
    -Tensor::cat(&rows.map(of_row).collect::<Vec<_>>(), 0).mean(Kind::Float)
}

#[test]
fn the_log_tells_the_loss_and_the_gradient_of_each_text_read_alone() {
    let shop = Shop::new();
    let start = shop.model().require_grad(true);
    let mut records = Vec::new();
    // All rows are one step, in parts of three.
    let config = SftConfig {
        epochs: 2,
        batch_size: 20,
        micro_batch: 3,
        keep: Keep::Last,
        optim: OptimConfig { lr: 1e-2, ..OptimConfig::default() },
        ..SftConfig::default()
    };
    let valid = (5..17).map(|i| row(i, 1)).collect();
    let end = shop.run(&config, valid, &mut |record: &Record| records.push(record.clone()));
    let close = |at: usize, name: &str, expected: f64| {
        let found = records[at].values[name];
        assert!((found - expected).abs() < 1e-4 * expected.abs(), "{name}: {found} {expected}");
    };
    assert_eq!(records.iter().map(|r| (r.step, r.total)).collect::<Vec<_>>(), [(1, 2), (2, 2)]);
    let loss = mean_loss(&start, 0..20, 0);
    loss.backward();
    let squares = |weight: &Tensor| weight.grad().square().sum(Kind::Double).double_value(&[]);
    close(0, "loss", loss.double_value(&[]));
    close(0, "grad_norm", start.weights().values().map(squares).sum::<f64>().sqrt());
    close(1, "valid_loss", mean_loss(&end, 5..17, 1).double_value(&[]));
    let lens: Vec<usize> = (0..20).map(|i| words(i).len()).collect();
    let flops = start.config().training_flops(&lens, lens.iter().map(|len| len - 1).sum());
    for (at, times) in [(0, 1.0), (1, 2.0)] {
        close(at, "flops", flops);
        close(at, "flops_total", times * flops);
    }
}

#[test]
fn alignment_takes_turns_and_the_schedule_counts_every_epoch() {
    let next_item =
        |_: usize| -> Result<Vec<Sequence>, TrainError> { Ok((0..4).map(|i| row(i, 0)).collect()) };
    let lessons = Histories {
        next_item: &next_item,
        alignment: (10..16).map(|i| row(i, 0)).collect(),
        alignment_share: 0.5,
        batch_size: 3,
        epochs: 4,
        seed: 5,
    };
    let alignment: Vec<Vec<u32>> = (10..16).map(words).collect();
    let mut of_epochs = Vec::new();
    for epoch in 0..4 {
        let found = lessons.epoch(epoch).unwrap();
        assert_eq!((found.len, found.total), (3, 12), "seven rows in threes");
        let batches: Vec<_> = (0..found.len).map(|at| (found.batch)(at).unwrap()).collect();
        assert!(batches.iter().all(|batch| batch.len() <= 3));
        let rows: Vec<Vec<u32>> =
            batches.into_iter().flatten().map(|sequence| sequence.ids).collect();
        assert!((0..4).all(|i| rows.contains(&words(i))) && rows.len() == 7);
        let mut turn: Vec<_> = rows.into_iter().filter(|ids| alignment.contains(ids)).collect();
        turn.sort();
        of_epochs.push(turn);
    }
    let mut two = [of_epochs[0].clone(), of_epochs[1].clone()].concat();
    two.sort();
    let mut all = alignment;
    all.sort();
    assert_eq!(two, all, "each once in two epochs");
    assert_eq!(of_epochs[..2], of_epochs[2..]);
}

#[test]
fn settings_that_cannot_work_or_have_no_effect_are_refused_by_name() {
    let field = |config: SftConfig| match config.check("sft") {
        Err(TrainError::Setting { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    for temperature in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let found = field(SftConfig { temperature, ..SftConfig::default() });
        assert!(found.ends_with("sft.temperature"), "{found}");
    }
    let mixture = toml::from_str("tasks = [\"next-item\"]").unwrap();
    let mixed = SftConfig { mixture: Some(mixture), ..SftConfig::default() };
    assert!(mixed.check("sft").is_ok());
    let augment = AugmentConfig { drop: 0.1, ..AugmentConfig::default() };
    let found = field(SftConfig { augment, ..mixed.clone() });
    assert!(found.ends_with("sft.augment"), "{found}");
    let found = field(SftConfig { alignment_share: 0.5, ..mixed });
    assert!(found.ends_with("sft.alignment_share"), "{found}");
}
