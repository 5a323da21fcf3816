//! The kinds of systems that a leaderboard trains by itself.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sidereal_baselines::neural::NEURAL_MODELS;
use sidereal_baselines::{
    CategoryKernel, Ease, EaseConfig, ItemNeighbours, ItemTransition, Neighbours, NeighboursConfig,
    Popularity, Transition, TransitionConfig, VectorKernel, WordKernel,
};
use sidereal_train::Observer;

use super::neural::Neural;
use super::settings::{Settings, table_of};
use super::system::{BoardSystem, BoardTask, Fitted};
use crate::error::LabError;

/// Makes a system that has not learned anything yet.
type New = fn() -> Box<dyn BoardSystem>;

/// The kinds that are not neural, in the order of their names in the documentation.
const KINDS: [(&str, New); 7] = [
    ("popularity", || Box::new(MostPopular)),
    ("transitions", || Box::new(Transitions)),
    ("item-neighbours", || Box::new(NearItems)),
    ("ease", || Box::new(Linear { last: None })),
    ("words", || Box::new(Words)),
    ("categories", || Box::new(Categories)),
    ("text-vectors", || Box::new(TextVectors)),
];

/// Names of the kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name).chain(NEURAL_MODELS)
}

/// A system of a kind.
pub(crate) fn system_of(kind: &str) -> Option<Box<dyn BoardSystem>> {
    let simple = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, make)| make());
    simple.or_else(|| Some(Box::new(Neural::of(kind)?)))
}

/// The settings of a kind as its type spells them.
fn read<T: DeserializeOwned>(kind: &'static str, settings: &Settings) -> Result<T, LabError> {
    serde_json::from_value(table_of(settings))
        .map_err(|source| LabError::BoardSettings { kind, source })
}

/// No settings at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// The weight of earlier items, the only setting of the kernels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyDecay {
    /// Range `(0, 1]`.
    decay: f64,
}

struct MostPopular;

impl BoardSystem for MostPopular {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let NoSettings {} = read("popularity", settings)?;
        let num_items = task.dataset.num_items();
        Ok(Fitted::by_scores(Popularity::fit(num_items, task.sequences)?, num_items))
    }
}

struct Transitions;

impl BoardSystem for Transitions {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let config: TransitionConfig = read("transitions", settings)?;
        let settings = Transition::try_from(config)?;
        let model = ItemTransition::fit(&settings, task.dataset.num_items(), task.sequences)?;
        let num_pairs = model.num_pairs();
        Ok(Fitted::by_scores(model, num_pairs))
    }
}

struct NearItems;

impl BoardSystem for NearItems {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let config: NeighboursConfig = read("item-neighbours", settings)?;
        let settings = Neighbours::try_from(config)?;
        let model = ItemNeighbours::fit(&settings, task.dataset.num_items(), task.sequences)?;
        let num_pairs = model.num_pairs();
        Ok(Fitted::by_scores(model, num_pairs))
    }
}

/// EASE. The last model is kept, because another decay needs no other matrix.
struct Linear {
    last: Option<(f64, Ease)>,
}

impl BoardSystem for Linear {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let config: EaseConfig = read("ease", settings)?;
        let num_items = task.dataset.num_items();
        // The old matrix goes before the new one comes.
        let kept = self.last.take().filter(|(l2, _)| l2.to_bits() == config.l2.to_bits());
        let model = match kept {
            Some((_, model)) => model.with_decay(config.decay)?,
            None => Ease::fit(&config, num_items, task.sequences)?,
        };
        self.last = Some((config.l2, model.clone()));
        Ok(Fitted::by_scores(model, num_items * num_items.saturating_sub(1)))
    }
}

struct Words;

impl BoardSystem for Words {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let OnlyDecay { decay } = read("words", settings)?;
        Ok(Fitted::by_scores(WordKernel::fit(task.texts, decay)?, 0))
    }
}

struct Categories;

impl BoardSystem for Categories {
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let OnlyDecay { decay } = read("categories", settings)?;
        let items = task.dataset.items();
        if items.iter().all(|item| item.categories.is_empty()) {
            return Err(LabError::BoardNeeds {
                kind: "categories",
                what: "categories in the data",
            });
        }
        Ok(Fitted::by_scores(CategoryKernel::fit(items, decay)?, 0))
    }
}

struct TextVectors;

impl BoardSystem for TextVectors {
    fn uses_vectors(&self) -> bool {
        true
    }

    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        _: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let OnlyDecay { decay } = read("text-vectors", settings)?;
        let what = "a sentence encoder: set `encoder`, or give `--encoder DIR`";
        let needs = || LabError::BoardNeeds { kind: "text-vectors", what };
        let vectors = task.vectors.ok_or_else(needs)?;
        Ok(Fitted::by_scores(VectorKernel::new(vectors.view(), decay)?, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_kind_does_not_have_are_refused_by_name() {
        let settings = Settings::from([("decey".to_owned(), 0.5.into())]);
        let error = read::<TransitionConfig>("transitions", &settings).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains("transitions") && source.contains("decey"), "{source}");
        assert!(read::<NoSettings>("popularity", &settings).is_err());
        assert!(kinds().all(|kind| system_of(kind).is_some()) && system_of("other").is_none());
    }
}
