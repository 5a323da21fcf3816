//! Nine items, a policy of a few thousand weights, and the probabilities that it gives them.

use std::collections::BTreeMap;

use sidereal_data::{ItemId, SampleId, UserId};
use sidereal_policy::{
    BeamSearch, Constraint, Decoder, DecoderConfig, Policy, ReasoningMarkers, SamplingConfig,
    Scoring, SidTokenizer, TokenBatch, Trainable,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_train::{
    AnswerKind, Binding, Checkpoints, EncodedPrompt, Mode, Observer, OptimConfig, OwnMethods,
    Record, Rl, RlConfig, RlPrompt, Schedule, StepReward, TrainError,
};
use tch::Device;

pub(crate) struct Shop {
    pub(crate) catalog: Catalog,
    pub(crate) constraint: Constraint,
    pub(crate) tokenizer: SidTokenizer,
}

/// The records of a run.
#[derive(Default)]
pub(crate) struct Log(pub(crate) Vec<Record>);

impl Observer for Log {
    fn on_record(&mut self, record: &Record) {
        self.0.push(record.clone());
    }
}

impl Log {
    /// The values of one name, step by step.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        self.0.iter().filter_map(|record| record.values.get(name).copied()).collect()
    }
}

impl Shop {
    pub(crate) fn new() -> Self {
        let sids: [&[u16]; 9] = [
            &[0, 1],
            &[0, 3],
            &[1, 2, 0],
            &[1, 2, 1],
            &[1, 2, 3],
            &[1, 0],
            &[2, 2],
            &[4, 4, 0],
            &[4, 4, 2],
        ];
        let sids = sids.iter().map(|codes| SemanticId::from(codes.to_vec())).collect();
        let catalog = Catalog::new(SidSpec::new(vec![5, 5], 4).unwrap(), sids).unwrap();
        let texts = ["next item", "red lipstick"];
        let tokenizer = SidTokenizer::train(texts.iter(), 260, catalog.spec()).unwrap();
        let constraint = Constraint::new(&catalog, &tokenizer, Device::Cpu).unwrap();
        Self { catalog, constraint, tokenizer }
    }

    /// A random policy, far enough from uniform that items differ; equal seeds, equal weights.
    pub(crate) fn model(&self, seed: i64) -> Decoder {
        self.model_of_scale(seed, 6.0)
    }

    /// The same with matrices `scale` times as large as new ones.
    pub(crate) fn model_of_scale(&self, seed: i64, scale: f64) -> Decoder {
        let config = DecoderConfig::tiny(self.tokenizer.vocab_size());
        let model = Decoder::random(config, seed, Device::Cpu).unwrap();
        let _guard = tch::no_grad_guard();
        for weight in model.weights().values().filter(|weight| weight.dim() > 1) {
            let mut weight = weight.shallow_clone();
            weight *= scale;
        }
        model
    }

    pub(crate) fn prompt(user: u32, target: ItemId, mode: Mode) -> EncodedPrompt {
        EncodedPrompt {
            id: SampleId::Event { user: UserId(user), position: 3 },
            target,
            mode,
            pool: Vec::new(),
            ids: vec![5, 9 + user, 2],
        }
    }

    /// Probability of each item after a prompt, among those of the catalogue.
    pub(crate) fn probabilities(
        &self,
        model: &dyn Policy,
        prompt: &EncodedPrompt,
    ) -> BTreeMap<ItemId, f64> {
        let search = BeamSearch {
            model,
            constraint: &self.constraint,
            beam_width: 9,
            scoring: Scoring::Renormalised,
        };
        let batch = TokenBatch::new(&[&prompt.ids], 0, 64, Device::Cpu).unwrap();
        let found = search.search(&batch, &[&[]]).unwrap().remove(0);
        let trie = self.constraint.trie();
        found.iter().map(|h| (trie.items(h.node)[0], f64::from(h.score).exp())).collect()
    }

    /// The item that a policy recommends at a place from 0.
    pub(crate) fn ranked(
        &self,
        model: &dyn Policy,
        prompt: &EncodedPrompt,
        place: usize,
    ) -> ItemId {
        let mut all: Vec<(ItemId, f64)> = self.probabilities(model, prompt).into_iter().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all[place].0
    }

    /// The item that a policy recommends least.
    pub(crate) fn least(&self, model: &dyn Policy, prompt: &EncodedPrompt) -> ItemId {
        self.ranked(model, prompt, 8)
    }

    /// Reinforcement of `model` on `prompts`, which it is also validated on.
    pub(crate) fn reinforce<P: Trainable>(
        &self,
        model: P,
        prompts: &[EncodedPrompt],
        config: &RlConfig,
        reward: StepReward<'_>,
        observer: &mut dyn Observer,
    ) -> P {
        self.try_reinforce(model, prompts, config, reward, observer).unwrap()
    }

    pub(crate) fn try_reinforce<P: Trainable>(
        &self,
        model: P,
        prompts: &[EncodedPrompt],
        config: &RlConfig,
        reward: StepReward<'_>,
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        self.reinforce_by(OwnMethods::default(), model, prompts, config, reward, observer)
    }

    /// Reinforcement by an objective or an advantage of the test's own.
    pub(crate) fn reinforce_by<P: Trainable>(
        &self,
        own: OwnMethods<'_>,
        model: P,
        prompts: &[EncodedPrompt],
        config: &RlConfig,
        reward: StepReward<'_>,
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        let dir = tempfile::tempdir().unwrap();
        let markers = ReasoningMarkers::new(&self.tokenizer, "e", "\n").unwrap();
        let rl = Rl {
            stage: "rl",
            config: &config.check("rl")?,
            reward,
            spec: self.catalog.spec(),
            constraint: &self.constraint,
            own,
            pad: self.tokenizer.pad(),
            tokenizer: Some(&self.tokenizer),
            markers: Some(&markers),
            slates: None,
            titles: None,
            seed: 4,
            batch_size: 8,
            checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
        };
        let asked: Vec<RlPrompt> = prompts
            .iter()
            .map(|prompt| {
                let sid = self.catalog.sid(prompt.target).unwrap();
                let target = self.catalog.spec().tokens(sid).unwrap();
                RlPrompt { prompt: prompt.clone(), target, answer: AnswerKind::Sid }
            })
            .collect();
        rl.run(model, &asked, prompts, observer)
    }
}

/// Thirty steps of one prompt each, at a constant rate, validated at their end.
pub(crate) fn short() -> RlConfig {
    RlConfig {
        steps: 30,
        prompts_per_step: 1,
        group_size: 8,
        prefix_curriculum: false,
        scoring: Scoring::Renormalised,
        optim: constant(4e-3),
        validate_every: 30,
        checkpoint_every: 30,
        ..RlConfig::default()
    }
}

pub(crate) fn constant(lr: f64) -> OptimConfig {
    OptimConfig {
        lr,
        warmup: 0.0,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        ..OptimConfig::default()
    }
}

pub(crate) fn at(temperature: f64) -> SamplingConfig {
    SamplingConfig::new(temperature).unwrap()
}
