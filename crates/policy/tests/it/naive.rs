//! Log-probabilities the plain way: one text at a time, no cache, no trie.

use std::collections::BTreeSet;

use sidereal_policy::{
    CompletionToken, Constraint, Decoder, LanguageModel as _, Scoring, SidTokenizer, Target,
};
use sidereal_sid::{Catalog, Code, SemanticId};
use tch::{Kind, Tensor};

use crate::tiny;

/// What the naive computation needs of everyone.
pub(crate) struct Naive<'a> {
    pub(crate) model: &'a Decoder,
    pub(crate) tokenizer: &'a SidTokenizer,
    pub(crate) catalog: &'a Catalog,
    pub(crate) scoring: Scoring,
}

impl Naive<'_> {
    /// Vocabulary id of a code.
    fn id(&self, level: usize, code: Code) -> u32 {
        let flat = self.catalog.spec().token(level, code).unwrap();
        self.tokenizer.sid_ids()[flat as usize]
    }

    /// Codes that follow `prefix` in some item.
    fn legal(&self, prefix: &[Code]) -> BTreeSet<Code> {
        let sids = self.catalog.sids().iter().filter(|sid| sid.starts_with(prefix));
        sids.filter_map(|sid| sid.get(prefix.len()).copied()).collect()
    }

    /// Log-probability of each code of `sid` after its first `guide`, with which `prompt` ends.
    pub(crate) fn logp(&self, prompt: &[u32], guide: usize, sid: &SemanticId) -> Vec<Tensor> {
        let codes = sid.codes();
        let mut text = prompt.to_vec();
        text.extend((guide..codes.len()).map(|level| self.id(level, codes[level])));
        let logits = self.logits(&text);
        (guide..codes.len())
            .map(|level| {
                let row = logits.get(i64::try_from(prompt.len() + level - guide).unwrap() - 1);
                self.code(&row, &codes[..level], codes[level])
            })
            .collect()
    }

    /// Place and log-probability of each scored token of a completion; a code follows the codes
    /// right before it.
    pub(crate) fn completion(
        &self,
        constraint: &Constraint,
        prompt: &[u32],
        tokens: &[CompletionToken],
    ) -> Vec<(usize, Tensor)> {
        let level_and_code = |token: u32| self.catalog.spec().level_and_code(token).unwrap();
        let id = |token: &CompletionToken| match token {
            CompletionToken::Read(id) | CompletionToken::Scored(Target::Word(id)) => *id,
            CompletionToken::Scored(Target::Code { token, .. }) => constraint.id(*token),
        };
        let text: Vec<u32> = prompt.iter().copied().chain(tokens.iter().map(id)).collect();
        let logits = self.logits(&text);
        let (mut found, mut codes) = (Vec::new(), Vec::new());
        for (place, token) in tokens.iter().enumerate() {
            let row = logits.get(i64::try_from(prompt.len() + place).unwrap() - 1);
            match token {
                CompletionToken::Read(_) => {}
                CompletionToken::Scored(Target::Word(id)) => {
                    let logp = row.log_softmax(-1, Kind::Float).get(i64::from(*id));
                    found.push((place, logp));
                }
                CompletionToken::Scored(Target::Code { token, .. }) => {
                    let (level, code) = level_and_code(*token);
                    codes.truncate(level);
                    found.push((place, self.code(&row, &codes, code)));
                    codes.push(code);
                }
            }
        }
        found
    }

    /// Logits `[T, V]` of a text.
    fn logits(&self, text: &[u32]) -> Tensor {
        let hidden = self.model.forward(&tiny::batch(&[text.to_vec()]), 0.0).unwrap();
        self.model.head().logits(&hidden.squeeze_dim(0)).unwrap()
    }

    /// Log-probability of `code` after `prefix`, of a row of logits.
    fn code(&self, row: &Tensor, prefix: &[Code], code: Code) -> Tensor {
        let level = prefix.len();
        match self.scoring {
            Scoring::Renormalised => {
                let legal = self.legal(prefix);
                let ids: Vec<i64> = legal.iter().map(|code| self.id(level, *code).into()).collect();
                let place = legal.iter().position(|other| *other == code).unwrap();
                row.index_select(0, &Tensor::from_slice(&ids))
                    .log_softmax(-1, Kind::Float)
                    .get(i64::try_from(place).unwrap())
            }
            _ => row.log_softmax(-1, Kind::Float).get(self.id(level, code).into()),
        }
    }

    /// Sum of [`logp`](Self::logp), without gradients.
    pub(crate) fn score(&self, prompt: &[u32], guide: usize, sid: &SemanticId) -> f32 {
        let _guard = tch::no_grad_guard();
        self.logp(prompt, guide, sid).iter().map(|x| f32::try_from(x).unwrap()).sum()
    }
}

/// The gradients that a value sends to each weight.
pub(crate) fn gradients(model: &Decoder, value: &Tensor) -> Vec<(String, Tensor)> {
    for weight in model.weights().values() {
        weight.shallow_clone().zero_grad();
    }
    value.backward();
    model.weights().iter().map(|(name, w)| (name.clone(), w.grad().copy())).collect()
}
