//! Prompts shared out among threads.

use rayon::prelude::*;
use tch::Device;

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::{Conditions, Constraint};
use crate::models::language_model::LanguageModel;
use crate::weights::to_i64;

/// Fewest prompts of a part: the weights are read once for all of them.
const FEWEST: usize = 4;

/// Widest hidden states that are shared out. The operations of wider models keep several threads busy
/// by themselves, and read fewer weights so: at width 896 they are a tenth faster together.
const WIDEST: usize = 512;

/// Some of the prompts, with handles of their own to model and constraint: tensors do not go by
/// reference between threads.
struct Part<'c> {
    model: Box<dyn LanguageModel + Send>,
    constraint: Constraint,
    prompts: TokenBatch,
    conditions: Conditions<'c>,
}

/// What `decode` finds for every prompt. On a CPU, as many parts of the prompts as libtorch has
/// threads are decoded side by side, each on one thread: the many small operations of a small model's
/// step gain little from several.
pub(super) fn share_out<T: Send>(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    prompts: &TokenBatch,
    conditions: &Conditions<'_>,
    decode: impl Fn(
        &dyn LanguageModel,
        &Constraint,
        &TokenBatch,
        &Conditions<'_>,
    ) -> Result<Vec<T>, PolicyError>
    + Sync,
) -> Result<Vec<T>, PolicyError> {
    let users = prompts.rows()?;
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    let count = threads.min(rayon::current_num_threads()).min(users / FEWEST);
    if count < 2 || model.head().width() > WIDEST || model.device() != Device::Cpu {
        return decode(model, constraint, prompts, conditions);
    }
    conditions.begin(constraint.trie(), users)?;
    let places: Vec<u64> = (0..users as u64).collect();
    let all = match conditions.keys {
        [] => Conditions { keys: &places, ..*conditions },
        _ => *conditions,
    };
    let parts = (0..count)
        .map(|part| {
            let (start, end) = (users * part / count, users * (part + 1) / count);
            Ok(Part {
                model: model.share()?,
                constraint: constraint.share(),
                prompts: prompts.part(start, end)?,
                conditions: all.part(start, end),
            })
        })
        .collect::<Result<Vec<Part<'_>>, PolicyError>>()?;
    let _guard = Threads(tch::get_num_threads());
    let found: Vec<Vec<T>> = parts
        .into_par_iter()
        .with_max_len(1)
        .map(|Part { model, constraint, prompts, conditions }| {
            tch::set_num_threads(1);
            decode(model.as_ref(), &constraint, &prompts, &conditions)
        })
        .collect::<Result<_, PolicyError>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Gives libtorch its threads back.
struct Threads(i32);

impl Drop for Threads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}

impl TokenBatch {
    /// Rows `start..end`, padded to the longest of them.
    fn part(&self, start: usize, end: usize) -> Result<Self, PolicyError> {
        let (start, len) = (to_i64(start), to_i64(end - start));
        let lens = self.lens.f_narrow(0, start, len)?;
        let longest = lens.f_max()?.int64_value(&[]);
        let ids = self.ids.f_narrow(0, start, len)?.f_narrow(1, 0, longest)?.f_contiguous()?;
        Ok(Self { ids, lens })
    }
}

impl Conditions<'_> {
    /// Those of the prompts `start..end`.
    fn part(&self, start: usize, end: usize) -> Self {
        Self {
            guides: self.guides.get(start..end).unwrap_or_default(),
            excluded: self.excluded.get(start..end).unwrap_or_default(),
            keys: self.keys.get(start..end).unwrap_or_default(),
        }
    }
}
