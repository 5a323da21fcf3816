//! The settings of a leaderboard, as a TOML file spells them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sidereal_metrics::{Metric, MetricSource, SeenItems};

use super::settings::Settings;
use super::systems;
use crate::error::LabError;
use crate::recipe::embed::ItemField;
use crate::setting::check_counts;
use crate::split::SplitConfig;

/// Which systems are trained and tested on a dataset, and under which rules: the same for all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardRecipe {
    /// Seeds of the trainings. The first one also draws the validation users. A system without random
    /// numbers is trained with the first alone.
    pub seeds: Vec<u64>,
    /// The number of items of a history that a system sees; the latest ones are kept. Recipes of
    /// whole runs have their own. Range `1..`.
    pub max_history: usize,
    /// What is held out for validation and test.
    #[serde(default)]
    pub split: SplitConfig,
    /// Resamples of the bootstrap, from which intervals and tests come. Range `1..`.
    #[serde(default = "thousand")]
    pub resamples: usize,
    /// Name of the dataset in the file of published numbers; without it none are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Folder of the sentence encoder for systems that use vectors of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PathBuf>,
    /// The texts of an item that systems of texts read.
    #[serde(default = "titles")]
    pub fields: Vec<ItemField>,
    /// How settings are chosen.
    pub tune: TuneConfig,
    /// The systems, in the order of the table.
    #[serde(rename = "system")]
    pub systems: Vec<SystemConfig>,
}

/// How the settings of every system are chosen: on the same validation users, with the same number of
/// points, within the same time. Nothing is chosen on the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneConfig {
    /// What is maximised: a metric of the target's rank.
    pub metric: Metric,
    /// Whether seen items compete while settings are chosen.
    pub seen_items: SeenItems,
    /// Validation users, drawn by the first seed. Range `1..`; all of them if there are fewer.
    pub users: usize,
    /// The most points of its grid that a system may try. Range `1..`.
    pub points: usize,
    /// Wall-clock minutes after which a system begins no further point, and after which a training that
    /// heeds it ends. Range `(0, ∞)`.
    pub minutes: f64,
}

/// One system: a kind with settings and a grid, or a recipe whose run gives the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemConfig {
    /// Name of its files: small letters, digits and hyphens.
    pub name: String,
    /// Name in the table; without it `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What is trained: one of [`BoardRecipe::kinds`]. Either this or `recipe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A recipe of a whole run, by the name of its preset or by its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Labels of the stages and blends of `recipe` that become rows of the table, each over all items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<String>,
    /// Replaces the seeds of the leaderboard, for a system that takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Name of the system in the file of published numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Settings that are not chosen.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// Values of the settings that are chosen. The walk begins at the first value of each, and takes the
    /// settings in the order of their names. `"train.lr"` is the key `lr` of a table `train`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grid: BTreeMap<String, Vec<Value>>,
}

fn thousand() -> usize {
    1000
}

fn titles() -> Vec<ItemField> {
    vec![ItemField::Title]
}

impl BoardRecipe {
    /// Reads settings from a TOML file.
    ///
    /// # Errors
    /// [`LabError::Io`], and those of [`parse`](Self::parse).
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(path)
            .map_err(|source| LabError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads settings from the text of a TOML file; `path` is for messages.
    ///
    /// # Errors
    /// [`LabError::Toml`] for a text that is not TOML or has a wrong key; [`LabError::Setting`] for a value
    /// outside its range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabError> {
        let refuse = |source| LabError::Toml { path: path.to_owned(), source: Box::new(source) };
        let recipe: Self = toml::from_str(text).map_err(refuse)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The kinds that a system may have.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        systems::kinds()
    }

    /// Accepts settings with which a leaderboard is possible.
    ///
    /// # Errors
    /// [`LabError::Setting`] names the field.
    pub fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("seeds", self.seeds.len()),
            ("max_history", self.max_history),
            ("resamples", self.resamples),
            ("fields", self.fields.len()),
            ("tune.users", self.tune.users),
            ("tune.points", self.tune.points),
            ("system", self.systems.len()),
        ])?;
        if self.tune.metric.source() != MetricSource::Ranks {
            let needed = "a metric of ranks, such as NDCG@10";
            return refuse("tune.metric", self.tune.metric.to_string(), needed);
        }
        if !(self.tune.minutes > 0.0 && self.tune.minutes.is_finite()) {
            return refuse(
                "tune.minutes",
                self.tune.minutes.to_string(),
                "a finite number above 0",
            );
        }
        if self.fields.contains(&ItemField::Rewritten) {
            return refuse(
                "fields",
                "rewritten",
                "texts of the data: a leaderboard has no teacher",
            );
        }
        let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
        for system in &self.systems {
            system.check()?;
            if !names.insert(&system.name) {
                return refuse("system", format!("`{}` twice", system.name), "names of their own");
            }
            for label in system.labels() {
                if !labels.insert(label.clone()) {
                    return refuse("system", format!("two rows `{label}`"), "labels of their own");
                }
            }
        }
        Ok(())
    }

    /// The seeds of a system.
    pub(crate) fn seeds_of<'a>(&'a self, system: &'a SystemConfig) -> &'a [u64] {
        system.seeds.as_deref().unwrap_or(&self.seeds)
    }

    /// The seed that draws the validation users.
    pub(crate) fn first_seed(&self) -> u64 {
        self.seeds.first().copied().unwrap_or_default()
    }
}

impl SystemConfig {
    /// Names of its rows in the table.
    pub(crate) fn labels(&self) -> Vec<String> {
        let label = self.label.as_ref().unwrap_or(&self.name);
        match (self.rows.as_slice(), &self.recipe) {
            ([_], Some(_)) | (_, None) => vec![label.clone()],
            (rows, Some(_)) => rows.iter().map(|row| format!("{label}: {row}")).collect(),
        }
    }

    fn check(&self) -> Result<(), LabError> {
        let field = |key: &str| format!("system.{}{key}", self.name);
        let plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            let needed = "small letters, digits and hyphens: it names a folder";
            return refuse("system.name", format!("`{}`", self.name), needed);
        }
        match (&self.kind, &self.recipe) {
            (Some(kind), None) => {
                if !systems::kinds().any(|known| known == kind) {
                    let known = systems::kinds().collect::<Vec<_>>().join(", ");
                    let found = format!("`{kind}`, and the kinds are {known}");
                    return refuse(&field(".kind"), found, "one of the kinds");
                }
                if !self.rows.is_empty() {
                    return refuse(&field(".rows"), "given", "`rows` with a `recipe` alone");
                }
            }
            (None, Some(_)) => {
                if self.rows.is_empty() {
                    let needed = "the labels of the stages and blends that become rows";
                    return refuse(&field(".rows"), "empty", needed);
                }
                if !(self.settings.is_empty() && self.grid.is_empty()) {
                    let needed =
                        "a recipe, which has its own settings, without `settings` and `grid`";
                    return refuse(&field(""), "a recipe with settings", needed);
                }
            }
            _ => return refuse(&field(""), "both or neither", "either `kind` or `recipe`"),
        }
        if let Some((key, _)) = self.grid.iter().find(|(_, values)| values.is_empty()) {
            return refuse(&field(&format!(".grid.{key}")), "empty", "at least one value");
        }
        if let Some(key) = self.grid.keys().find(|key| self.settings.contains_key(*key)) {
            let needed = "either a value in `settings` or values in `grid`";
            return refuse(&field(&format!(".{key}")), "given twice", needed);
        }
        match &self.seeds {
            Some(seeds) if seeds.is_empty() => {
                refuse(&field(".seeds"), "empty", "at least one seed")
            }
            _ => Ok(()),
        }
    }
}

fn refuse(field: &str, found: impl Into<String>, needed: &'static str) -> Result<(), LabError> {
    Err(LabError::Setting { field: field.to_owned(), found: found.into(), needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "seeds = [1]\nmax_history = 50\n[tune]\nmetric = 'NDCG@10'\n\
        seen_items = 'removed'\nusers = 9\npoints = 3\nminutes = 1.0\n";

    fn parse(systems: &str) -> Result<BoardRecipe, LabError> {
        BoardRecipe::parse(&format!("{HEAD}{systems}"), Path::new("board.toml"))
    }

    #[test]
    fn a_system_is_a_kind_or_the_rows_of_a_recipe() {
        let board = parse(
            "[[system]]\nname = 'pop'\nkind = 'popularity'\n\
             [[system]]\nname = 'one'\nrecipe = 'strong'\nrows = ['trees + priors']\n\
             [[system]]\nname = 'two'\nlabel = 'Two'\nrecipe = 'strong'\nrows = ['a', 'b']\n",
        )
        .unwrap();
        let labels: Vec<String> = board.systems.iter().flat_map(SystemConfig::labels).collect();
        assert_eq!(labels, ["pop", "one", "Two: a", "Two: b"]);
    }

    #[test]
    fn what_cannot_be_a_leaderboard_is_named() {
        for (systems, named) in [
            ("", "missing field `system`"),
            ("[[system]]\nname = 'A b'\nkind = 'popularity'\n", "system.name"),
            ("[[system]]\nname = 'a'\n", "either `kind` or `recipe`"),
            ("[[system]]\nname = 'a'\nkind = 'oracle'\n", "item-neighbours"),
            ("[[system]]\nname = 'a'\nrecipe = 'strong'\n", "system.a.rows"),
            ("[[system]]\nname = 'a'\nkind = 'ease'\n[system.grid]\nl2 = []\n", "system.a.grid.l2"),
            (
                "[[system]]\nname = 'a'\nkind = 'ease'\n[system.grid]\nl2 = [1.0]\n\
                 [system.settings]\nl2 = 2.0\n",
                "system.a.l2",
            ),
            (
                "[[system]]\nname = 'a'\nkind = 'ease'\n[[system]]\nname = 'a'\nkind = 'ease'\n",
                "`a` twice",
            ),
        ] {
            let error = parse(systems).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let told = format!("{error} {}", source.unwrap_or_default());
            assert!(told.contains(named), "{systems}: {told}");
        }
    }
}
