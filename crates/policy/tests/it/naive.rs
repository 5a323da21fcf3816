//! Log-probabilities the plain way: one text at a time, no cache, no trie.

use std::collections::BTreeSet;

use sidereal_policy::{Decoder, LanguageModel, Scoring, SidTokenizer};
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

    /// Log-probability of each code of `sid` behind its first `guide`, with which `prompt` ends.
    pub(crate) fn logp(&self, prompt: &[u32], guide: usize, sid: &SemanticId) -> Vec<Tensor> {
        let codes = sid.codes();
        let mut text = prompt.to_vec();
        text.extend((guide..codes.len()).map(|level| self.id(level, codes[level])));
        let hidden = self.model.forward(&tiny::batch(&[text]), 0.0).unwrap().squeeze_dim(0);
        let logits = self.model.head().logits(&hidden).unwrap(); // [T, V]
        (guide..codes.len())
            .map(|level| {
                let row = logits.get(i64::try_from(prompt.len() + level - guide).unwrap() - 1);
                match self.scoring {
                    Scoring::Renormalised => {
                        let legal = self.legal(&codes[..level]);
                        let ids: Vec<i64> =
                            legal.iter().map(|code| self.id(level, *code).into()).collect();
                        let place = legal.iter().position(|code| *code == codes[level]).unwrap();
                        row.index_select(0, &Tensor::from_slice(&ids))
                            .log_softmax(-1, Kind::Float)
                            .get(i64::try_from(place).unwrap())
                    }
                    _ => row.log_softmax(-1, Kind::Float).get(self.id(level, codes[level]).into()),
                }
            })
            .collect()
    }

    /// Sum of [`logp`](Self::logp), without gradients.
    pub(crate) fn score(&self, prompt: &[u32], guide: usize, sid: &SemanticId) -> f32 {
        let _guard = tch::no_grad_guard();
        self.logp(prompt, guide, sid).iter().map(|x| f32::try_from(x).unwrap()).sum()
    }
}
