//! The candidates of samples, and the sizes of slates.

use sidereal_data::{NegativeKind, Negatives, TrainSet};
use sidereal_files::hash_json;
use sidereal_prompts::{PoolConfig, Pools};
use sidereal_sid::Catalog;
use sidereal_train::Binding;

use crate::error::LabError;
use crate::recipe::pool::CandidatePools;
use crate::recipe::slate::SlateConfig;

/// The candidates of samples, drawn as the recipe says, and slates to learn; `None` for a recipe without
/// either.
pub(crate) fn pools<'c>(
    (config, slate): (Option<&CandidatePools>, Option<SlateConfig>),
    seed: u64,
    train: &'c TrainSet,
    catalog: &'c Catalog,
) -> Result<Option<Pools<'c>>, LabError> {
    let Some(pool) = config else {
        let Some(SlateConfig { size }) = slate else { return Ok(None) };
        // No task of such a recipe shows candidates, so none are drawn.
        let negatives = Negatives::new(NegativeKind::Random, train, catalog)?;
        let config = PoolConfig { size: size.max(2), slate_size: size, ..PoolConfig::new(seed) };
        return Ok(Some(Pools::new(config, negatives, train)?));
    };
    let negatives = Negatives::new(pool.negatives, train, catalog)?;
    let slate_size = pool.slate_size.unwrap_or(1);
    let config = PoolConfig { size: pool.size, slate_size, ..PoolConfig::new(seed) };
    Ok(Some(Pools::new(config, negatives, train)?))
}

/// Adds the further inputs that pools depend on to the inputs of a part.
pub(crate) fn bind(
    config: Option<&CandidatePools>,
    slate: Option<SlateConfig>,
    seed: u64,
    inputs: &mut Binding,
) -> Result<(), LabError> {
    if let Some(slate) = slate {
        inputs.insert("slate".to_owned(), hash_json(&(slate, seed))?);
    }
    if let Some(pool) = config {
        inputs.insert("pool".to_owned(), hash_json(&(pool, seed))?);
    }
    Ok(())
}
