//! Stages that train nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_policy::Scoring;

/// A stage that trains nothing: a row for the policy that it starts from, without any training or after an
/// earlier stage. It stands for the zero-shot rows of tables, such as `Qwen-SID` of SINGER's table 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UntrainedConfig {
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
}

impl Default for UntrainedConfig {
    fn default() -> Self {
        Self { scoring: Scoring::Full }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::path::Path;

    use crate::recipe::stage::Training;
    use crate::{LabError, Recipe};

    const HEAD: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'raw'\n";

    fn read(stage: &str) -> Result<Recipe, LabError> {
        Recipe::parse(&format!("{HEAD}{stage}"), Path::new("text"))
    }

    #[test]
    fn a_stage_that_trains_nothing_is_written_as_it_is_read() {
        let recipe = read("untrained = { scoring = 'renormalised' }\n").unwrap();
        let written = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&written, Path::new("text")).unwrap(), recipe, "{written}");
        let full = read("untrained = {}\n").unwrap();
        assert!(matches!(full.stages[0].training, Training::Untrained(_)));
        assert_ne!(full, recipe);
    }

    #[test]
    fn it_has_no_training_beside_it_and_nothing_to_learn_from() {
        for stage in
            ["untrained = {}\nsft = {}\n", "untrained = {}\nrl = {}\nreward = 'accuracy'\n", ""]
        {
            let error = read(stage).unwrap_err();
            let told = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            assert!(told.contains("needs one of"), "{stage}: {told}");
        }
        for (field, given) in
            [("users", "{ from = 0.0, to = 0.5 }"), ("domains", "['a']"), ("events", "'latest'")]
        {
            let error = read(&format!("untrained = {{}}\n{field} = {given}\n")).unwrap_err();
            let named = format!("`stage.raw.{field}` is `given`; expected no value");
            assert!(error.to_string().contains(&named), "{error}");
        }
    }
}
