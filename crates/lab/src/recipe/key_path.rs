//! Finds the key of a recipe that an error is about.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as Keys, Segment};
use toml::{Table, Value};

use crate::error::LabError;

/// Reads a value from the table of a TOML file; `path` is for messages.
///
/// # Errors
/// [`LabError::TomlKey`] names the key whose value cannot be read; [`LabError::Toml`] if this is
/// the whole table.
pub(crate) fn read<T: DeserializeOwned>(table: Table, path: &Path) -> Result<T, LabError> {
    let stages = stage_names(&table);
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let key = dotted(error.path(), &stages);
        let (path, source) = (path.to_owned(), Box::new(error.into_inner()));
        if key.is_empty() {
            LabError::Toml { path, source }
        } else {
            LabError::TomlKey { path, key, source }
        }
    })
}

/// The names of the stages, in order.
fn stage_names(table: &Table) -> Vec<String> {
    let stages = table.get("stage").and_then(Value::as_array);
    let name = |stage: &Value| Some(stage.get("name")?.as_str()?.to_owned());
    stages.into_iter().flatten().map(|stage| name(stage).unwrap_or_default()).collect()
}

/// The keys with dots between them; stages have their names.
fn dotted(keys: &Keys, stages: &[String]) -> String {
    let mut dotted = String::new();
    for segment in keys {
        let key = match segment {
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Seq { index } => match stages.get(*index) {
                Some(name) if dotted == "stage" && !name.is_empty() => name.clone(),
                _ => index.to_string(),
            },
            Segment::Unknown => continue,
        };
        if !dotted.is_empty() {
            dotted.push('.');
        }
        dotted.push_str(&key);
    }
    dotted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    const TEXT: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'first'\n[stage.sft]\n\
        [[stage]]\nname = 'sft'\n[stage.sft.optim]\nlr = 1e-3\n\
        [[stage]]\nname = 'rl'\nfrom = 'sft'\nreward = 'accuracy'\n[stage.rl]\nobjective.grpo = {}\n";

    #[test]
    fn an_error_names_the_file_the_key_and_what_is_wrong() {
        let path = Path::new("mine.toml");
        Recipe::parse(TEXT, path).unwrap();
        for (from, to, key, cause) in [
            ("lr = 1e-3", "lr = 'fast'", "`stage.sft.sft.optim.lr`", "invalid type: string"),
            ("lr = 1e-3", "rate = 1", "`stage.sft.sft.optim", "unknown field `rate`"),
            ("grpo = {}", "grpo.clip = true", "`stage.rl.rl.objective.grpo.clip`", "boolean"),
            ("grpo = {}", "gppo = {}", "`stage.rl.rl.objective", "unknown variant `gppo`"),
            ("name = 'rl'\n", "name = 'rl'\nsft = {}\n", "`stage.rl`", "needs one of"),
            ("reward = 'accuracy'\n", "", "`stage.rl`", "`rl` and no `reward`"),
            ("resamples = 5", "resamples = -5", "`evaluate.resamples`", "-5"),
            ("base = 'base'", "bas = 'base'", "`pretrained", "unknown field `bas`"),
            ("seed = 1", "seed = 'one'", "`seed`", "invalid type: string"),
        ] {
            let error = Recipe::parse(&TEXT.replace(from, to), path).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("`mine.toml` is not valid") && text.contains(key),
                "{to}: {text}"
            );
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(cause), "{to}: {source}");
        }
        let error = Recipe::parse(&TEXT.replace("seed = 1\n", ""), path).unwrap_err();
        assert_eq!(error.to_string(), "configuration `mine.toml` is not valid");
    }
}
