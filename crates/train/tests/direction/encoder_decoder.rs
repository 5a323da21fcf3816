//! A T5, which is TIGER's policy, learns by every kind of training.

use sidereal_data::ItemId;
use sidereal_policy::{Scoring, T5, T5Config, T5FeedForward, code_targets};
use sidereal_rl::SidLevel;
use sidereal_train::{
    Binding, Checkpoints, Histories, Mode, Record, RlConfig, RolloutConfig, Sequence, Sft,
    SftConfig, SftData, StepReward, TrainError,
};
use tch::Device;

use crate::shop::{Log, Shop, at, constant, short};

pub(crate) fn model(shop: &Shop) -> T5 {
    let config = T5Config {
        vocab_size: shop.tokenizer.vocab_size(),
        d_model: 16,
        d_kv: 8,
        d_ff: 24,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 20,
        layer_norm_epsilon: 1e-6,
        feed_forward_proj: T5FeedForward::Relu,
        decoder_start_token_id: 0,
        tie_word_embeddings: true,
        scale_decoder_outputs: true,
    };
    T5::random(config, 3, Device::Cpu).unwrap()
}

/// A prompt and the codes of the item that follows it.
fn row(shop: &Shop, user: u32, target: ItemId) -> Sequence {
    let prompt = Shop::prompt(user, target, Mode::Direct);
    let flat = shop.constraint.flat(target).unwrap();
    let targets = code_targets(shop.constraint.trie(), &[], &flat).unwrap();
    let learned: Vec<_> = shop.constraint.ids(&flat).into_iter().zip(targets).collect();
    Sequence::new(&prompt.ids, &learned)
}

#[test]
fn supervised_training_makes_what_follows_more_probable() {
    let shop = Shop::new();
    let follows: Vec<(u32, ItemId)> = (0..6).map(|user| (user, ItemId(user))).collect();
    let rows: Vec<Sequence> = follows.iter().map(|(user, item)| row(&shop, *user, *item)).collect();
    let config = SftConfig {
        epochs: 30,
        batch_size: 3,
        scoring: Scoring::Renormalised,
        optim: constant(1e-2),
        dropout: 0.0,
        ..SftConfig::default()
    };
    let next_item = |_: usize| -> Result<Vec<Sequence>, TrainError> { Ok(rows.clone()) };
    let lessons = Histories {
        next_item: &next_item,
        alignment: Vec::new(),
        alignment_share: 0.0,
        batch_size: config.batch_size,
        epochs: config.epochs,
        seed: 5,
    };
    let dir = tempfile::tempdir().unwrap();
    let sft = Sft {
        stage: "sft",
        config: &config.check("sft").unwrap(),
        constraint: &shop.constraint,
        pad: shop.tokenizer.pad(),
        seed: 5,
        checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
    };
    let data = SftData { lessons: &lessons, valid: rows.clone() };
    let mut log = Log::default();
    let model = sft.run(model(&shop), &data, &mut log).unwrap();
    let losses = log.values("valid_loss");
    assert!(losses[losses.len() - 1] < 0.3 * losses[0], "{losses:?}");
    for (user, item) in follows {
        let prompt = Shop::prompt(user, item, Mode::Direct);
        let probability = shop.probabilities(&model, &prompt)[&item];
        assert!(probability > 0.5, "user {user}: {probability}");
    }
}

#[test]
fn reinforcement_makes_the_target_more_probable() {
    let shop = Shop::new();
    for rollout in [RolloutConfig::Beam, RolloutConfig::Sample(at(1.0))] {
        let model = model(&shop);
        let target = shop.ranked(&model, &Shop::prompt(0, ItemId(0), Mode::Direct), 5);
        let prompt = Shop::prompt(0, target, Mode::Direct);
        let before = shop.probabilities(&model, &prompt)[&target];
        let config = RlConfig { rollout, optim: constant(1e-2), ..short() };
        let reward = StepReward::One(&SidLevel::default());
        let prompts = [prompt.clone()];
        let model = shop.reinforce(model, &prompts, &config, reward, &mut |_: &Record| {});
        let after = shop.probabilities(&model, &prompt)[&target];
        assert!(after > 2.0 * before, "{rollout:?}: {before} to {after}");
    }
}
