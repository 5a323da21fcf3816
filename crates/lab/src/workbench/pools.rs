//! The candidates of samples.

use sidereal_data::{Negatives, TrainSet};
use sidereal_files::hash_json;
use sidereal_prompts::{PoolConfig, Pools};
use sidereal_sid::Catalog;
use sidereal_train::Binding;

use crate::error::LabError;
use crate::recipe::pool::CandidatePools;

/// The candidates of samples, drawn as the recipe says; `None` for a recipe without pools.
pub(crate) fn pools<'c>(
    config: Option<&CandidatePools>,
    seed: u64,
    train: &'c TrainSet,
    catalog: &'c Catalog,
) -> Result<Option<Pools<'c>>, LabError> {
    let Some(pool) = config else { return Ok(None) };
    let negatives = Negatives::new(pool.negatives, train, catalog)?;
    let slate_size = pool.slate_size.unwrap_or(1);
    let config = PoolConfig { size: pool.size, slate_size, ..PoolConfig::new(seed) };
    Ok(Some(Pools::new(config, negatives, train)?))
}

/// Adds the further inputs that pools depend on to the inputs of a part.
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
