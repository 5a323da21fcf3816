//! The settings of an RQ-VAE in a recipe, with LETTER's terms or without.

use std::borrow::Cow;

use linfa::ParamGuard as _;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sidereal_quantizer::{QuantizerError, RqVaeParams};

use crate::error::LabError;

/// The settings of an RQ-VAE that the run sets itself.
const OF_THE_RUN: [&str; 3] = ["codebook_sizes", "seed", "device"];
const ALIGNMENT: &str = "alignment_weight";

/// Settings of an RQ-VAE, each as [`RqVaeParams`] has it and with its default, but for the sizes of the
/// codebooks, the seed and the device, which the run gives.
#[derive(Debug, Clone, PartialEq)]
pub struct RqVaeConfig(RqVaeParams);

/// Settings of an RQ-VAE with LETTER's terms: those of [`RqVaeConfig`], where the weight of the alignment
/// with collaborative vectors is 0.02 and that of the diversity of the codes is 0.0001, as in the paper.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterConfig(RqVaeParams);

impl Default for RqVaeConfig {
    /// The defaults of the quantizer.
    fn default() -> Self {
        Self(RqVaeParams::new([], 0))
    }
}

impl Default for LetterConfig {
    /// The weights of the paper, and the defaults of the quantizer.
    fn default() -> Self {
        Self(RqVaeParams::new([], 0).alignment_weight(0.02).diversity_weight(0.0001))
    }
}

impl RqVaeConfig {
    /// The settings in the form of the quantizer.
    pub(crate) fn params(&self, given: Given<'_>) -> Result<RqVaeParams, LabError> {
        params(&self.0, given)
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        let weight = check(&self.0, "rq-vae", codebook_sizes)?;
        if weight > 0.0 {
            return Err(LabError::Setting {
                field: format!("sids.rq-vae.{ALIGNMENT}"),
                found: weight.to_string(),
                needed: "0, because only the method `letter` aligns codes with collaborative vectors",
            });
        }
        Ok(())
    }
}

impl LetterConfig {
    /// The settings in the form of the quantizer.
    pub(crate) fn params(&self, given: Given<'_>) -> Result<RqVaeParams, LabError> {
        params(&self.0, given)
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        let weight = check(&self.0, "letter", codebook_sizes)?;
        if weight <= 0.0 {
            return Err(LabError::Setting {
                field: format!("sids.letter.{ALIGNMENT}"),
                found: weight.to_string(),
                needed: "a number above 0, or the method `rq-vae` without alignment",
            });
        }
        Ok(())
    }
}

/// The settings that the run gives an RQ-VAE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) codebook_sizes: &'a [usize],
    pub(crate) seed: u64,
    /// Named as the quantizer names devices.
    pub(crate) device: &'a str,
}

/// The settings together with those that the run gives.
fn params(own: &RqVaeParams, given: Given<'_>) -> Result<RqVaeParams, LabError> {
    let json = |source| LabError::Json { path: "sids".into(), source };
    let mut settings = settings_of(own).map_err(json)?;
    settings.insert("codebook_sizes".to_owned(), given.codebook_sizes.into());
    settings.insert("seed".to_owned(), given.seed.into());
    settings.insert("device".to_owned(), given.device.into());
    serde_json::from_value(Value::Object(settings)).map_err(json)
}

/// Accepts settings with which there are codes; returns the weight of the alignment.
fn check(own: &RqVaeParams, method: &str, codebook_sizes: &[usize]) -> Result<f64, LabError> {
    let given = Given { codebook_sizes, seed: 0, device: "cpu" };
    match params(own, given)?.check_ref() {
        Err(QuantizerError::Setting { setting, needed, found }) => {
            let field = format!("sids.{method}.{setting}");
            return Err(LabError::Setting { field, found, needed });
        }
        Err(other) => return Err(other.into()),
        Ok(_) => {}
    }
    let settings = settings_of(own)
        .map_err(|source| LabError::Json { path: format!("sids.{method}").into(), source })?;
    Ok(settings.get(ALIGNMENT).and_then(Value::as_f64).unwrap_or_default())
}

/// The settings by their names, without those that the run gives and those that are left out.
fn settings_of(params: &RqVaeParams) -> Result<Map<String, Value>, serde_json::Error> {
    let settings: Map<String, Value> = Map::deserialize(serde_json::to_value(params)?)?;
    let own = settings.into_iter();
    let own = own.filter(|(key, value)| !OF_THE_RUN.contains(&key.as_str()) && !value.is_null());
    Ok(own.collect())
}

/// Settings as a recipe spells them, on top of these.
fn read<'de, D: Deserializer<'de>>(
    defaults: &RqVaeParams,
    deserializer: D,
) -> Result<RqVaeParams, D::Error> {
    let given: Map<String, Value> = Map::deserialize(deserializer)?;
    if let Some(key) = OF_THE_RUN.into_iter().find(|key| given.contains_key(*key)) {
        return Err(D::Error::custom(format_args!("`{key}` is given by the run: leave it out")));
    }
    let mut settings = settings_of(defaults).map_err(D::Error::custom)?;
    settings.extend(given);
    settings.insert("codebook_sizes".to_owned(), Value::Array(Vec::new()));
    settings.insert("seed".to_owned(), 0.into());
    serde_path_to_error::deserialize(Value::Object(settings)).map_err(|error| {
        let key = error.path().to_string();
        let inner = error.into_inner();
        match key.as_str() {
            "." | "?" => D::Error::custom(inner),
            key => D::Error::custom(format_args!("`{key}`: {inner}")),
        }
    })
}

fn write<S: Serializer>(params: &RqVaeParams, serializer: S) -> Result<S::Ok, S::Error> {
    settings_of(params).map_err(S::Error::custom)?.serialize(serializer)
}

impl<'de> Deserialize<'de> for RqVaeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Self::default().0, deserializer).map(Self)
    }
}

impl Serialize for RqVaeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for LetterConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Self::default().0, deserializer).map(Self)
    }
}

impl Serialize for LetterConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

/// The quantizer's schema of its settings, without those that the run gives and with these defaults.
fn schema(about: &str, defaults: &RqVaeParams, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = RqVaeParams::json_schema(generator);
    schema.insert("description".to_owned(), about.into());
    schema.remove("required");
    if let Some(Value::Object(keys)) = schema.get_mut("properties") {
        keys.retain(|key, _| !OF_THE_RUN.contains(&key.as_str()));
        for (key, value) in settings_of(defaults).into_iter().flatten() {
            if let Some(Value::Object(key)) = keys.get_mut(&key) {
                key.insert("default".to_owned(), value);
            }
        }
    }
    schema
}

impl JsonSchema for RqVaeConfig {
    fn schema_name() -> Cow<'static, str> {
        "RqVaeConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(
            "Settings of an RQ-VAE, whose latent rows are quantised.",
            &Self::default().0,
            generator,
        )
    }
}

impl JsonSchema for LetterConfig {
    fn schema_name() -> Cow<'static, str> {
        "LetterConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema("Settings of an RQ-VAE with LETTER's terms.", &Self::default().0, generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Given<'_> = Given { codebook_sizes: &[4, 4], seed: 7, device: "cpu" };

    #[test]
    fn the_defaults_are_those_of_the_quantizer_and_of_letter() {
        let plain = RqVaeParams::new([4, 4], 7);
        assert_eq!(RqVaeConfig::default().params(GIVEN).unwrap(), plain);
        let letter = plain.alignment_weight(0.02).diversity_weight(0.0001);
        assert_eq!(LetterConfig::default().params(GIVEN).unwrap(), letter);
    }

    #[test]
    fn settings_are_written_and_read_as_toml_and_as_json() {
        let text = "steps = 9\nschedule = { layer-wise = { steps_per_level = 3 } }\n\
            early_stop = { metric = 'collision-rate', patience = 5 }\nsinkhorn_epsilons = [0, 0.5]\n";
        let config: RqVaeConfig = toml::from_str(text).unwrap();
        config.check(&[4, 4]).unwrap();
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<RqVaeConfig>(&written).unwrap(), config, "{written}");
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<RqVaeConfig>(&written).unwrap(), config, "{written}");
        // Whole numbers are numbers.
        let whole: LetterConfig = toml::from_str("alignment_weight = 1").unwrap();
        assert_eq!(whole, toml::from_str("alignment_weight = 1.0").unwrap());
    }
}
