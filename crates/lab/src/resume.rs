//! Decides whether a run may go on in its folder with a recipe, also for folders of earlier
//! versions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sidereal_files::write_whole;
use sidereal_prompts::{EnrichmentKind, PromptRegistry, Task};
use sidereal_train::{Binding, Checkpoints};
use tch::Device;

use crate::error::LabError;
use crate::evaluation;
use crate::parts::answers::SearchSettings;
use crate::parts::item_vectors::encoder_settings;
use crate::parts::{
    domain_rankings, item_vectors, policy, quantized_ids, rankings, reasoning, semantic_ids,
    teacher_texts, vocabulary,
};
use crate::recipe::Recipe;
use crate::recipe::learned::{used_kinds, used_tasks};
use crate::recipe::texts::TeacherConfig;
use crate::run::RunFolder;
use crate::run::part::SETTINGS;
use crate::run::settled::Settled;

/// The resolved settings of the last start.
const CONFIG: &str = "config.toml";

/// Opens the folder of a run for a recipe, and creates it if there is none.
///
/// Settings may differ from those of the last start if no training depends on them, and stages may be
/// added and left out. What depends on a changed setting is done again.
///
/// # Errors
/// [`LabError::File`] if another process works in the folder; [`LabError::OtherSetting`], which names the
/// first setting, if a stage was trained with another one; [`LabError::OtherRun`]; [`LabError::Io`].
pub(crate) fn open(dir: &Path, recipe: &Recipe, device: Device) -> Result<RunFolder, LabError> {
    let mut run = RunFolder::open(dir, device)?;
    let path = run.path(CONFIG);
    // The folder may have settings of a later version that this one does not know.
    let old = if path.exists() { Some(Recipe::load(&path)) } else { None };
    if let (true, Some(old)) = (run.manifest().settings.is_empty(), old.as_ref()) {
        match old {
            Ok(old) => adopt_settings(&mut run, old)?,
            Err(_) if run.manifest().stages.is_empty() => {}
            Err(_) => {
                return Err(LabError::OtherRun {
                    path: dir.to_owned(),
                    part: format!("{CONFIG}, which this version does not read"),
                });
            }
        }
    }
    check_settings(&run, recipe, old.and_then(Result::ok).as_ref())?;
    run.tell_environment();
    let text = toml::to_string_pretty(recipe)?;
    if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
        write_whole(&path, |out| out.write_all(text.as_bytes()))?;
    }
    Ok(run)
}

/// Reads the settings of a run's folder.
///
/// # Errors
/// Those of [`Recipe::load`].
pub(crate) fn recipe_of(dir: &Path) -> Result<Recipe, LabError> {
    Recipe::load(&dir.join(CONFIG))
}

/// Accepts a recipe if the stages that were trained were trained with it.
fn check_settings(run: &RunFolder, recipe: &Recipe, old: Option<&Recipe>) -> Result<(), LabError> {
    let mut trained = false;
    for stage in &recipe.stages {
        let name = &stage.name;
        let begun = [policy::weights_file(name), policy::checkpoints_folder(name)];
        if !begun.iter().any(|file| run.path(file).exists()) {
            continue;
        }
        trained = true;
        let Some(settled) = run.manifest().settings.get(name) else { continue };
        if let Some(part) = settled.difference(&policy::depends_on(recipe, stage))? {
            return Err(LabError::OtherSetting { path: run.path(name), part });
        }
    }
    let others = match old {
        Some(old) if trained => gathered(old)? != gathered(recipe)?,
        _ => false,
    };
    if others {
        let part = "set of tasks, on which its tokenizer or its teacher's texts depend".to_owned();
        return Err(LabError::OtherRun { path: run.folder().dir().to_owned(), part });
    }
    Ok(())
}

/// What is collected from all stages: the tasks on which a tokenizer is trained, and the kinds of texts
/// that a teacher writes within the run.
fn gathered(recipe: &Recipe) -> Result<(BTreeSet<EnrichmentKind>, BTreeSet<Task>), LabError> {
    let stages = &recipe.stages;
    let teacher = &recipe.texts.teacher;
    let kinds = if matches!(teacher, Some(TeacherConfig::Metadata | TeacherConfig::Model(_))) {
        used_kinds(stages, PromptRegistry::builtin()?.set(&recipe.prompts)?)?
    } else {
        BTreeSet::new()
    };
    let tasks = if recipe.tokenizer.is_some() { used_tasks(stages) } else { BTreeSet::new() };
    Ok((kinds, tasks))
}

/// Takes over the parts of a version that only stored a hash of their settings. All of them were made with
/// the recipe of the folder.
fn adopt_settings(run: &mut RunFolder, old: &Recipe) -> Result<(), LabError> {
    for (part, recipe) in parts_with_settings(old) {
        let record = run.manifest().stages.get(&part);
        let known = if let Some(record) = record {
            record.inputs.get(SETTINGS).cloned()
        } else {
            let checkpoints = run.path(&policy::checkpoints_folder(&part));
            Checkpoints::new(&checkpoints, Binding::new()).bound_to(SETTINGS)?
        };
        let settled = match known {
            Some(id) => Settled::known_as(id, &recipe)?,
            None if record.is_some() => Settled::new(&recipe)?,
            None => continue,
        };
        if let Some(record) = run.manifest_mut().stages.get_mut(&part) {
            record.inputs.insert(SETTINGS.to_owned(), settled.id.clone());
        }
        run.manifest_mut().settings.insert(part, settled);
    }
    let vectors = run.manifest_mut().stages.get_mut(item_vectors::NAME);
    if let (Some(embed), Some(record)) = (&old.embed, vectors) {
        record.inputs.extend(encoder_settings(&embed.encoder)?);
    }
    Ok(())
}

/// Every part that has settings, by name, with the settings that it depends on.
fn parts_with_settings(recipe: &Recipe) -> Vec<(String, Recipe)> {
    let Recipe { seed, split, embed, sids, pool, evaluate, stages, .. } = recipe;
    let search = SearchSettings::of(recipe);
    let model = recipe.texts.model();
    let vocabulary = vocabulary::depends_on(
        *seed,
        recipe.tokenizer.as_ref(),
        recipe.pretrained.as_ref(),
        &used_tasks(stages),
    );
    let mut parts = vec![
        (vocabulary::NAME.to_owned(), vocabulary),
        (teacher_texts::NAME.to_owned(), teacher_texts::depends_on(*seed, model)),
        (teacher_texts::BEFORE_IDS.to_owned(), teacher_texts::depends_on(*seed, model)),
        (
            evaluation::NAME.to_owned(),
            evaluation::depends_on(*seed, *split, *pool, evaluate, stages),
        ),
    ];
    // Published Semantic IDs have none.
    if let (Some(embed), Some(sids)) = (embed, sids) {
        let style = recipe.token_style.as_ref();
        let settings = quantized_ids::depends_on(*seed, embed, sids, style);
        parts.push((semantic_ids::NAME.to_owned(), settings));
    }
    for stage in stages {
        let name = &stage.name;
        let reasoning = evaluate.reasoning.as_ref();
        parts.push((name.clone(), policy::depends_on(recipe, stage)));
        parts.push((rankings::name(name), search.of_answers(stage)));
        parts.push((domain_rankings::name(name), search.of_answers(stage)));
        parts.push((reasoning::name(name), reasoning::depends_on(search, stage, reasoning)));
    }
    parts
}
