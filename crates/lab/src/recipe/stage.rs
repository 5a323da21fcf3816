//! One training of a run: what it starts from and how it goes on.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_policy::Scoring;
use sidereal_prompts::Task;
use sidereal_train::{
    ItemHeadConfig, NextItemConfig, PreferenceConfig, RewardConfig, RlConfig, SftConfig,
};

use crate::error::LabError;
use crate::recipe::answering::Answering;
use crate::recipe::untrained::UntrainedConfig;
use crate::setting::of_stage;

/// Names that the folder of a run uses itself.
const TAKEN: [&str; 13] = [
    "blends",
    "codebooks",
    "embed",
    "enrich",
    "exercises",
    "labels",
    "quantize",
    "rankings",
    "reasoning",
    "test",
    "tokenizer",
    "trees",
    "written",
];

/// A training stage. It has a folder in the run and a row in the tables.
///
/// Several stages may start from the same stage. In this way variants are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawStage", into = "RawStage")]
pub struct Stage {
    /// Folder within the run: lower-case letters, digits, `-`.
    pub name: String,
    /// Name in tables and plots.
    pub label: String,
    /// The stage whose weights it starts from. Without it, the stage starts from a new model.
    pub from: Option<String>,
    /// Whether it starts from random weights in the shape of the pretrained model, with its tokenizer.
    pub from_scratch: bool,
    /// The task of its policy in reinforcement, preference training, validation and test:
    /// [`Task::NextItem`], answered by a Semantic ID of the whole catalogue;
    /// [`Task::TitleChoice`], answered by a title from the pool in the prompt;
    /// [`Task::TitleSlate`], answered by several titles from the pool; [`Task::SidSlate`], answered by several
    /// Semantic IDs from it; [`Task::CatalogueSlate`], answered by several Semantic IDs of the whole catalogue;
    /// [`Task::TitleHistoryToTitle`] and [`Task::SidHistoryToTitle`], answered by a
    /// title of the whole catalogue; or [`Task::TitleHistoryToItem`], answered by a recommendation head. The
    /// mixture of a supervised stage says what it learns.
    pub task: Task,
    /// The domains whose samples and items it learns from, also in validation. Without it, all domains of
    /// the data. Legal answers and the test always use the whole catalogue.
    pub domains: Option<Vec<String>>,
    /// The users whose events it learns from. Without it, all users. Validation uses all users.
    pub users: Option<UserShare>,
    /// Which of their training events it learns from.
    pub events: EventPart,
    /// The tree of Semantic IDs that its policy writes, from 1. Tree 1 is the run's catalogue; each other is
    /// made by the same settings with another seed.
    pub tree: NonZeroUsize,
    /// The kind of training.
    pub training: Training,
}

impl Stage {
    /// The stage as parts depend on it, without its label, which only the tables use.
    pub(crate) fn without_label(&self) -> Self {
        Self { label: self.name.clone(), ..self.clone() }
    }
}

/// A part of each user's training events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventPart {
    /// All.
    #[default]
    All,
    /// All but the latest, which is left for a later stage.
    AllButLatest,
    /// The latest as target, after all that came before it: what a stage of `all-but-latest` has not
    /// learned.
    Latest,
}

impl EventPart {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// A part of the users, who stand in an order drawn by the recipe's seed: shares that do not overlap have
/// no user in common. Reinforcement may so ask what supervised training has not learned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserShare {
    /// Where it begins. Range `[0, 1)`.
    pub from: f64,
    /// Where it ends. Range `(from, 1]`.
    pub to: f64,
}

/// What a stage does.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a recipe has a few stages")]
#[non_exhaustive]
pub enum Training {
    /// Next-item training of a policy that reads items.
    NextItem(NextItemConfig),
    /// Supervised fine-tuning.
    Sft(SftConfig),
    /// Online reinforcement.
    Rl {
        /// Settings.
        config: RlConfig,
        /// What a rollout is worth.
        reward: RewardConfig,
    },
    /// Preference training.
    Preference(PreferenceConfig),
    /// Training with a recommendation head.
    ItemHead(ItemHeadConfig),
    /// Nothing: its policy is the one that it starts from.
    Untrained(UntrainedConfig),
}

impl Training {
    /// Its table in a recipe.
    pub(crate) const fn table(&self) -> &'static str {
        match self {
            Self::NextItem(_) => "next_item",
            Self::Sft(_) => "sft",
            Self::Rl { .. } => "rl",
            Self::Preference(_) => "preference",
            Self::ItemHead(_) => "item_head",
            Self::Untrained(_) => "untrained",
        }
    }

    /// How its policy answers.
    pub(crate) const fn answering(&self) -> Answering {
        match self {
            Self::Untrained(config) => config.answering,
            _ => Answering::Search,
        }
    }

    /// How the probability of a code is normalised, in training and afterwards.
    #[must_use]
    pub const fn scoring(&self) -> Scoring {
        match self {
            Self::NextItem(_) => Scoring::Renormalised,
            Self::Sft(config) => config.scoring,
            Self::Rl { config, .. } => config.scoring,
            Self::Preference(config) => config.scoring,
            // Words alone are scored.
            Self::ItemHead(_) => Scoring::Full,
            Self::Untrained(config) => config.scoring,
        }
    }
}

/// A stage as a recipe spells it: `[stage.sft]`, or `[stage.rl]` with `[stage.reward]`, says which kind it is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawStage {
    /// Folder within the run: lower-case letters, digits and `-`.
    name: String,
    /// Name in tables and plots; without it, `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The earlier stage whose best weights it starts from; without it, the model as it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Whether it starts from random weights in the shape of `pretrained.base`, with its tokenizer, instead of the
    /// weights of that model; without `from`.
    #[schemars(extend("default" = false))]
    #[serde(default, skip_serializing_if = "is_false")]
    from_scratch: bool,
    /// The task of its policy in reinforcement, preference training, validation and test: `next-item`,
    /// `title-choice`, `title-slate`, `sid-slate`, or, without a pool, `catalogue-slate`, `title-history-to-title`,
    /// `sid-history-to-title` or, with a recommendation head, `title-history-to-item`. What a supervised stage learns
    /// is said by its mixture.
    #[schemars(extend("default" = "next-item"))]
    #[serde(default = "next_item", skip_serializing_if = "is_next_item")]
    task: Task,
    /// The domains whose samples and items it learns from; without it, all that the data have.
    #[serde(skip_serializing_if = "Option::is_none")]
    domains: Option<Vec<String>>,
    /// The users whose events it learns from; without it, all. Validation is of all users.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<UserShare>,
    /// Which of their training events it learns from.
    #[schemars(extend("default" = "all"))]
    #[serde(default, skip_serializing_if = "EventPart::is_all")]
    events: EventPart,
    /// The tree of Semantic IDs that its policy writes. Tree 1 is the run's catalogue; each other is made by
    /// the same settings with another seed. Range `1..`.
    #[schemars(extend("default" = 1))]
    #[serde(default = "first", skip_serializing_if = "is_first")]
    tree: NonZeroUsize,
    /// Next-item training of a policy that reads items. A stage has either this, or `sft`, or `rl`, or
    /// `preference`, or `item_head`, or `untrained`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_item: Option<NextItemConfig>,
    /// Supervised fine-tuning.
    #[serde(skip_serializing_if = "Option::is_none")]
    sft: Option<SftConfig>,
    /// Online reinforcement, with its `reward`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rl: Option<RlConfig>,
    /// What a rollout of reinforcement is worth. A stage with `rl` needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<RewardConfig>,
    /// Preference training, S-DPO or DPO.
    #[serde(skip_serializing_if = "Option::is_none")]
    preference: Option<PreferenceConfig>,
    /// Training with a recommendation head, alone or after chains of thought (`RecPO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    item_head: Option<ItemHeadConfig>,
    /// No training: the policy is the one that the stage starts from, for the rows of models as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    untrained: Option<UntrainedConfig>,
}

const fn first() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_first(tree: &NonZeroUsize) -> bool {
    *tree == first()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
const fn is_false(value: &bool) -> bool {
    !*value
}

const fn next_item() -> Task {
    Task::NextItem
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_next_item(task: &Task) -> bool {
    *task == Task::NextItem
}

impl TryFrom<RawStage> for Stage {
    type Error = String;

    fn try_from(raw: RawStage) -> Result<Self, String> {
        let RawStage {
            name, label, from, from_scratch, task, domains, users, events, tree, ..
        } = raw;
        let kinds = [
            raw.next_item.map(Training::NextItem),
            raw.sft.map(Training::Sft),
            raw.preference.map(Training::Preference),
            raw.item_head.map(Training::ItemHead),
            raw.untrained.map(Training::Untrained),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let training = match (kinds.next(), kinds.next(), raw.rl, raw.reward) {
            (Some(training), None, None, None) => training,
            (None, None, Some(config), Some(reward)) => Training::Rl { config, reward },
            (None, None, Some(_), None) => {
                return Err(format!(
                    "stage `{name}` has `rl` and no `reward`; say what a rollout is worth, for example \
                     `reward = \"accuracy\"`"
                ));
            }
            _ => {
                return Err(format!(
                    "stage `{name}` needs one of `next_item`, `sft`, `rl` (with its `reward`), \
                     `preference`, `item_head` and `untrained`"
                ));
            }
        };
        let label = label.unwrap_or_else(|| name.clone());
        Ok(Self { name, label, from, from_scratch, task, domains, users, events, tree, training })
    }
}

impl From<Stage> for RawStage {
    fn from(stage: Stage) -> Self {
        let Stage { name, label, from, from_scratch, task, domains, users, events, tree, training } =
            stage;
        let mut raw = Self {
            name,
            label: Some(label),
            from,
            from_scratch,
            task,
            domains,
            users,
            events,
            tree,
            next_item: None,
            sft: None,
            rl: None,
            reward: None,
            preference: None,
            item_head: None,
            untrained: None,
        };
        match training {
            Training::NextItem(config) => raw.next_item = Some(config),
            Training::Sft(config) => raw.sft = Some(config),
            Training::Preference(config) => raw.preference = Some(config),
            Training::ItemHead(config) => raw.item_head = Some(config),
            Training::Untrained(config) => raw.untrained = Some(config),
            Training::Rl { config, reward } => {
                (raw.rl, raw.reward) = (Some(config), Some(reward));
            }
        }
        raw
    }
}

/// Accepts stages from scratch if there is a pretrained model whose shape they take, and nothing else that they start
/// from.
pub(crate) fn check_scratch(stages: &[Stage], pretrained: bool) -> Result<(), LabError> {
    let Some(stage) =
        stages.iter().find(|stage| stage.from_scratch && (stage.from.is_some() || !pretrained))
    else {
        return Ok(());
    };
    Err(LabError::Setting {
        field: format!("stage.{}.from_scratch", stage.name),
        found: "true".to_owned(),
        needed: if pretrained {
            "no value beside `from`: the stage starts from another one"
        } else {
            "no value without `[pretrained]`: a `model` begins with random weights in any case"
        },
    })
}

/// Accepts stages that can be trained one after the other.
pub(crate) fn check(stages: &[Stage]) -> Result<(), LabError> {
    let refuse = |stage: &Stage, field: &str, found: &str, needed| {
        let field = format!("stage.{}.{field}", stage.name);
        Err(LabError::Setting { field, found: format!("`{found}`"), needed })
    };
    if stages.is_empty() {
        let (field, found) = ("stage".to_owned(), "missing".to_owned());
        return Err(LabError::Setting { field, found, needed: "at least one `[[stage]]`" });
    }
    for (index, stage) in stages.iter().enumerate() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = stage.name.as_str();
        if name.is_empty() || !name.chars().all(plain) || TAKEN.contains(&name) {
            return refuse(
                stage,
                "name",
                name,
                "lower-case letters, digits and `-`, and not the name of another part of the run",
            );
        }
        let before = &stages[..index];
        if before.iter().any(|other| other.name == name) {
            return refuse(stage, "name", name, "a name that no other stage has");
        }
        if before.iter().any(|other| other.label == stage.label) {
            return refuse(stage, "label", &stage.label, "a label that no other stage has");
        }
        if let Some(from) = &stage.from
            && !before.iter().any(|other| other.name == *from && other.tree == stage.tree)
        {
            return refuse(stage, "from", from, "the name of an earlier stage of the same tree");
        }
        if let Some(names) = &stage.domains
            && (names.is_empty() || (1..names.len()).any(|at| names[..at].contains(&names[at])))
        {
            let needed = "at least one domain, each only once; leave the key out for all domains";
            return refuse(stage, "domains", &names.join(", "), needed);
        }
        if let Some(UserShare { from, to }) = stage.users
            && !(0.0 <= from && from < to && to <= 1.0)
        {
            let needed = "a range within 0 to 1 whose start is below its end";
            return refuse(stage, "users", &format!("{from} to {to}"), needed);
        }
        let supervised = matches!(stage.training, Training::NextItem(_) | Training::Sft(_));
        if supervised && stage.events == EventPart::Latest {
            let needed = "`all` or `all-but-latest`: supervised training learns whole histories";
            return refuse(stage, "events", "latest", needed);
        }
        match &stage.training {
            Training::NextItem(config) => {
                config.check(name)?;
            }
            Training::Sft(config) => drop(config.check(name)?),
            Training::Rl { config, reward } => {
                drop(config.check(name)?);
                of_stage(name, reward.check(config))?;
            }
            Training::Preference(config) => drop(config.check(name)?),
            Training::ItemHead(config) => drop(config.check(name)?),
            Training::Untrained(_) => {
                if let Some(field) = limited(stage) {
                    let needed = "no value, because the stage trains nothing";
                    return refuse(stage, field, "given", needed);
                }
            }
        }
    }
    Ok(())
}

/// The first key of a stage that says what it learns from.
fn limited(stage: &Stage) -> Option<&'static str> {
    let keys = [
        ("domains", stage.domains.is_some()),
        ("users", stage.users.is_some()),
        ("events", stage.events != EventPart::All),
    ];
    keys.into_iter().find(|(_, given)| *given).map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Recipe;

    #[test]
    fn a_stage_from_scratch_needs_the_shape_of_a_pretrained_model_and_no_other_start() {
        let whole = Recipe::preset("singer/language").unwrap();
        let scratch: Vec<&str> = whole
            .stages
            .iter()
            .filter(|stage| stage.from_scratch)
            .map(|stage| stage.name.as_str())
            .collect();
        assert_eq!(scratch, ["sft-scratch"]);
        let refused = |mut recipe: Recipe| {
            let text = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::parse(&text, Path::new("same")).unwrap().stages, recipe.stages);
            let stage = recipe.stages.iter_mut().find(|stage| stage.name == "singer").unwrap();
            stage.from_scratch = true;
            recipe.check().unwrap_err().to_string()
        };
        let error = refused(whole);
        assert!(error.contains("stage.singer.from_scratch") && error.contains("`from`"), "{error}");
        let mut own = Recipe::preset("singer/small").unwrap();
        own.stages[0].from_scratch = true;
        let error = own.check().unwrap_err().to_string();
        assert!(error.contains("stage.sft.from_scratch"), "{error}");
    }
}
