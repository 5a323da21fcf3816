//! Caches of every origin, compared with reading each text from its start.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tch::{Device, Tensor};

use super::{KvCache, TokenBatch};
use crate::policy::LanguageModel as _;
use crate::weights::to_i64;
use crate::{Decoder, DecoderConfig};

const VOCABULARY: u32 = 40;

fn model() -> Decoder {
    let config =
        DecoderConfig { max_position_embeddings: 256, ..DecoderConfig::tiny(VOCABULARY as usize) };
    let model = Decoder::random(config, 3, Device::Cpu).unwrap();
    let _guard = tch::no_grad_guard();
    for weight in model.weights().values().filter(|weight| weight.dim() > 1) {
        let mut weight = weight.shallow_clone();
        weight *= 12.0; // far enough from 0 that every position matters
    }
    model
}

fn batch(texts: &[Vec<u32>]) -> TokenBatch {
    TokenBatch::new(texts, 0, 256, Device::Cpu).unwrap()
}

/// What happens to a cache between two readings.
#[derive(Debug, Clone)]
enum Change {
    /// Every branch reads tokens, the first time on so many branches.
    Read { width: usize, len: usize, first: u32 },
    /// Some branches go on as prompts of their own.
    AsPrompts(Vec<(Index, Index)>),
    /// Some prompts stay with their branches, in this order.
    Keep(Vec<Index>),
    /// Some prompts stay without their branches.
    Pick(Vec<Index>),
    /// Prompts that were read apart come before or after these; branches are dropped.
    Stack { texts: Vec<Vec<u32>>, before: bool },
}

fn texts() -> impl Strategy<Value = Vec<Vec<u32>>> {
    vec(vec(0..VOCABULARY, 1..6), 1..4)
}

fn change() -> impl Strategy<Value = Change> {
    let some = || vec(any::<Index>(), 1..5);
    prop_oneof![
        3 => (1..4usize, 1..4usize, 0..VOCABULARY)
            .prop_map(|(width, len, first)| Change::Read { width, len, first }),
        2 => vec(any::<(Index, Index)>(), 1..5).prop_map(Change::AsPrompts),
        1 => some().prop_map(Change::Keep),
        1 => some().prop_map(Change::Pick),
        1 => (texts(), any::<bool>()).prop_map(|(texts, before)| Change::Stack { texts, before }),
    ]
}

/// A cache, and the text that each branch of each prompt should hold.
struct Known<'a> {
    model: &'a Decoder,
    cache: KvCache,
    prompts: Vec<Vec<u32>>,
    /// What each prompt's branches have read after it; one that has read nothing for none.
    branches: Vec<Vec<Vec<u32>>>,
}

impl<'a> Known<'a> {
    fn read(model: &'a Decoder, prompts: Vec<Vec<u32>>) -> Self {
        let (_, cache) = model.prefill(&batch(&prompts), &vec![0; prompts.len()]).unwrap();
        let mut known = Self { model, cache, prompts, branches: Vec::new() };
        known.forget_branches();
        known
    }

    fn forget_branches(&mut self) {
        self.branches = vec![vec![Vec::new()]; self.prompts.len()];
    }

    /// Reads `len` tokens on each branch and compares the states with those of the whole texts.
    fn extend(&mut self, len: usize, first: u32) {
        let mut token = first;
        let mut ids = Vec::new();
        for branch in self.branches.iter_mut().flatten() {
            for _ in 0..len {
                token = (token * 7 + 11) % VOCABULARY;
                branch.push(token);
                ids.push(i64::from(token));
            }
        }
        let shape = [self.prompts.len(), self.branches[0].len(), len].map(to_i64);
        let ids = Tensor::from_slice(&ids).view(shape);
        let hidden = self.model.extend(&ids, &mut self.cache).unwrap();
        for (user, (prompt, branches)) in self.prompts.iter().zip(&self.branches).enumerate() {
            for (slot, branch) in branches.iter().enumerate() {
                let whole = [prompt.as_slice(), branch].concat();
                let start = to_i64(whole.len() - len);
                let whole = self.model.forward(&batch(&[whole]), 0.0).unwrap().get(0);
                let found = hidden.get(to_i64(user)).get(to_i64(slot));
                let expected = whole.narrow(0, start, to_i64(len));
                let worst = f64::try_from((found - expected).abs().max()).unwrap();
                assert!(worst < 1e-3, "prompt {user}, branch {slot}: {worst}");
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        let users = self.prompts.len();
        match change {
            Change::Read { width, len, first } => {
                if self.cache.width.is_none() {
                    self.branches = vec![vec![Vec::new(); *width]; users];
                }
                self.extend(*len, *first);
            }
            Change::AsPrompts(picks) => {
                let slots = self.branches[0].len();
                let picks: Vec<(usize, usize)> =
                    picks.iter().map(|(u, w)| (u.index(users), w.index(slots))).collect();
                let own =
                    |(u, w): &(usize, usize)| [&*self.prompts[*u], &self.branches[*u][*w]].concat();
                self.prompts = picks.iter().map(own).collect();
                self.cache = self.cache.branches_as_prompts(&picks).unwrap();
                self.forget_branches();
            }
            Change::Keep(rows) => {
                let rows: Vec<usize> = rows.iter().map(|row| row.index(users)).collect();
                self.prompts = rows.iter().map(|row| self.prompts[*row].clone()).collect();
                self.branches = rows.iter().map(|row| self.branches[*row].clone()).collect();
                self.cache.keep_prompts(&rows).unwrap();
            }
            Change::Pick(rows) => {
                let mut rows: Vec<usize> = rows.iter().map(|row| row.index(users)).collect();
                rows.sort_unstable();
                rows.dedup();
                self.prompts = rows.iter().map(|row| self.prompts[*row].clone()).collect();
                self.cache = self.cache.of_prompts(&rows).unwrap();
                self.forget_branches();
            }
            Change::Stack { texts, before } => {
                let all: Vec<usize> = (0..users).collect();
                let own = self.cache.of_prompts(&all).unwrap();
                let other = Self::read(self.model, texts.clone()).cache;
                let (parts, prompts) = if *before {
                    ([other, own], [texts.as_slice(), &self.prompts].concat())
                } else {
                    ([own, other], [self.prompts.as_slice(), texts].concat())
                };
                self.cache = KvCache::stack(&parts).unwrap();
                self.prompts = prompts;
                self.forget_branches();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_cache_of_any_origin_goes_on_as_its_texts_read_anew(
        prompts in texts(),
        changes in vec(change(), 0..6),
    ) {
        let model = model();
        let mut known = Known::read(&model, prompts);
        for change in &changes {
            known.apply(change);
            // The prompts once more, as a second way of answering takes them.
            let all: Vec<usize> = (0..known.prompts.len()).collect();
            let cache = known.cache.of_prompts(&all).unwrap();
            let prompts = known.prompts.clone();
            let mut again = Known { model: &model, cache, prompts, branches: Vec::new() };
            again.forget_branches();
            again.extend(2, 5);
        }
        if known.cache.width.is_none() {
            known.forget_branches();
        }
        known.extend(1, 9);
    }
}
