//! Next-item training of a stage with a policy that reads items.

use sidereal_policy::AnyPolicy;
use sidereal_train::{NextItem, NextItemConfig, NextItemData, Observer};

use super::material::Material;
use crate::error::LabError;

/// Next-item training.
pub(crate) fn train(
    config: &NextItemConfig,
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let AnyPolicy::Item(policy) = model else {
        return Err(LabError::Setting {
            field: format!("stage.{}.next_item", material.stage),
            found: format!("training of a policy of the kind `{}`", model.kind()),
            needed: "a policy of the kind `item`",
        });
    };
    let training = NextItem {
        stage: material.stage,
        config: &config.check(material.stage)?,
        seed: material.bench.seed,
        checkpoints: &material.checkpoints,
    };
    let data = NextItemData::of(material.train(), &material.scope.split.valid);
    Ok(training.run(*policy, &data, observer)?.into())
}
