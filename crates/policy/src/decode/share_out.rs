//! Prompts shared out among threads.

use std::sync::OnceLock;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::{Conditions, Constraint};
use crate::models::language_model::LanguageModel;
use crate::weights::to_i64;

/// Fewest prompts of a part: the weights are read once for all of them.
const FEWEST: usize = 4;

/// Widest hidden states that are shared out. The operations of wider models keep several threads busy
/// by themselves, and together their prompts read the weights once.
const WIDEST: usize = 512;

/// Some of the prompts, with handles of their own to model and constraint: tensors do not go by
/// reference between threads.
struct Part<'c> {
    model: Box<dyn LanguageModel + Send>,
    constraint: Constraint,
    prompts: TokenBatch,
    conditions: Conditions<'c>,
}

/// What `decode` finds for every prompt. On a CPU, the prompts of a small model are decoded side by
/// side, as many parts as libtorch has threads, each on one: the many small operations of a step gain
/// little from several.
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
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).min(users / FEWEST);
    let large = model.head().width() > WIDEST || model.device() != Device::Cpu;
    let pool = if threads < 2 || large { None } else { workers() };
    let Some(pool) = pool else { return decode(model, constraint, prompts, conditions) };
    let count = threads.min(pool.current_num_threads());
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
    let found: Vec<Result<Vec<T>, PolicyError>> = pool.install(|| {
        let parts = parts.into_par_iter().with_max_len(1);
        parts
            .map(|Part { model, constraint, prompts, conditions }| {
                decode(model.as_ref(), &constraint, &prompts, &conditions)
            })
            .collect()
    });
    // The first part's error, whichever thread was faster.
    let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Threads of this crate's own, on each of which libtorch has one: its number of threads is a matter of
/// the thread that asks, and nobody else's changes. As many as libtorch has at the first call; `None`
/// where they cannot be had.
fn workers() -> Option<&'static ThreadPool> {
    static WORKERS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let start = || {
        let threads = tch::get_num_threads();
        let pool = ThreadPoolBuilder::new()
            .num_threads(usize::try_from(threads).unwrap_or(1))
            .thread_name(|index| format!("sidereal-decode-{index}"))
            .build()
            .ok()?;
        pool.broadcast(|_| tch::set_num_threads(1));
        // What threads begin with that libtorch has not seen yet.
        tch::set_num_threads(threads);
        Some(pool)
    };
    WORKERS.get_or_init(start).as_ref()
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
