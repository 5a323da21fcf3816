//! Prompts that are shared out among threads against the same prompts decoded together.

use sidereal_policy::{
    BeamSearch, Conditions, Constraint, Decoder, Excluded, LanguageModel, Lora, LoraConfig,
    Prefilled, Sampler, SamplingConfig, Scoring, T5, T5FeedForward,
};
use sidereal_sid::{Catalog, ItemId, SemanticId, SidSpec};
use tch::Device;

use crate::{t5, tiny};

/// Runs with several threads of libtorch's whatever the machine has, which stay what they were, here and
/// for threads to come.
fn on_three_threads(check: impl FnOnce()) {
    let before = tch::get_num_threads();
    tch::set_num_threads(3);
    check();
    assert_eq!(tch::get_num_threads(), 3);
    let new = std::thread::spawn(|| {
        let _ = tch::Tensor::from_slice(&[1f32; 8]).sum(tch::Kind::Float);
        tch::get_num_threads()
    });
    assert_eq!(new.join().unwrap(), 3);
    tch::set_num_threads(before);
}

/// 27 items, and prompts of 1 to 14 tokens.
fn shop() -> (Catalog, Vec<Vec<u32>>) {
    let sids =
        (0..27).map(|item: u16| SemanticId::from([item / 9, item / 3 % 3, item % 3])).collect();
    let catalog = Catalog::new(SidSpec::new(vec![3, 3, 3], 0).unwrap(), sids).unwrap();
    let prompts = (0..14u32)
        .map(|user| (0..=user * 5 % 14).map(|at| 1 + (user * 31 + at * 7) % 250).collect());
    (catalog, prompts.collect())
}

fn agree(model: &dyn LanguageModel, constraint: &Constraint, prompts: &[Vec<u32>]) {
    let batch = tiny::batch(prompts);
    let trie = constraint.trie();
    let excluded: Vec<Excluded> =
        (0..14).map(|user| Excluded::new(trie, (0..user).map(ItemId)).unwrap()).collect();
    let all = Conditions { excluded: &excluded, ..Conditions::default() };
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let search = BeamSearch { model, constraint, beam_width: 5, scoring };
        let apart = search.search_under(&batch, &all).unwrap();
        let together = search.search_observed(&batch, &all, &mut |_| {}).unwrap();
        assert_eq!(apart.len(), together.len());
        for (apart, together) in apart.iter().flatten().zip(together.iter().flatten()) {
            assert_eq!(apart.tokens, together.tokens);
            assert!((apart.score - together.score).abs() < 1e-4);
        }
        // Without keys, a prompt's random numbers follow from its place among all.
        let sampler =
            Sampler { model, constraint, sampling: SamplingConfig::default(), scoring, seed: 3 };
        let apart = sampler.sample(&batch, &all, 4).unwrap();
        let start = Prefilled::read(model, &batch, &all).unwrap();
        let together = sampler.sample_from(start, &all, 4).unwrap();
        let tokens = |groups: &[Vec<sidereal_policy::Rollout>]| -> Vec<Vec<Vec<u32>>> {
            groups.iter().map(|group| group.iter().map(|r| r.tokens.clone()).collect()).collect()
        };
        assert_eq!(tokens(&apart), tokens(&together));
    }
}

#[test]
fn a_decoder_with_adapters_answers_alike() {
    on_three_threads(|| {
        let (catalog, prompts) = shop();
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 4);
        agree(&model, &constraint, &prompts);
        let lora = Lora::try_from(LoraConfig { rank: 2, ..LoraConfig::default() }).unwrap();
        let adapted: Decoder = model.with_lora(&lora, 5).unwrap();
        for adapter in adapted.adapters().values() {
            let _ = adapter.detach().uniform_(-0.3, 0.3);
        }
        agree(&adapted, &constraint, &prompts);
    });
}

#[test]
fn a_t5_answers_alike() {
    on_three_threads(|| {
        let (catalog, prompts) = shop();
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let config = t5::config(tokenizer.vocab_size(), T5FeedForward::Relu, true);
        agree(&T5::random(config, 2, Device::Cpu).unwrap(), &constraint, &prompts);
    });
}

#[test]
fn what_one_prompt_lacks_is_an_error_for_all() {
    on_three_threads(|| {
        let (catalog, prompts) = shop();
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 4);
        let (scoring, beam_width) = (Scoring::Full, 5);
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width, scoring };
        let batch = tiny::batch(&prompts);
        let few = [Excluded::default()];
        let conditions = Conditions { excluded: &few, ..Conditions::default() };
        assert!(search.search_under(&batch, &conditions).is_err());
        let mut guides: Vec<&[u32]> = vec![&[]; 14];
        guides[13] = &[99];
        assert!(search.search(&batch, &guides).is_err());
    });
}
