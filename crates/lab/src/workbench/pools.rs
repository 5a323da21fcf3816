//! The candidates of samples.

use sidereal_data::{Negatives, TrainSet};
use sidereal_files::hash_json;
use sidereal_prompts::{PoolConfig, Pools};
use sidereal_sid::Catalog;
use sidereal_train::Binding;

use crate::error::LabError;
use crate::recipe::pool::CandidatePools;

/// The candidates of samples as a recipe draws them; `None` for a recipe without any.
pub(crate) fn pools<'c>(
    config: Option<&CandidatePools>,
    seed: u64,
    train: &TrainSet,
    catalog: &'c Catalog,
) -> Result<Option<Pools<'c>>, LabError> {
    let Some(pool) = config else { return Ok(None) };
    let negatives = Negatives::new(pool.negatives, train, catalog)?;
    let slate_size = pool.slate_size.unwrap_or(1);
    let config = PoolConfig { size: pool.size, slate_size, ..PoolConfig::new(seed) };
    Ok(Some(Pools::new(config, negatives, train)?))
}

/// Adds what pools depend on, besides what is bound anyway, to what a part reads.
pub(crate) fn bind(
    config: Option<&CandidatePools>,
    seed: u64,
    inputs: &mut Binding,
) -> Result<(), LabError> {
    if let Some(pool) = config {
        inputs.insert("pool".to_owned(), hash_json(&(pool, seed))?);
    }
    Ok(())
}
