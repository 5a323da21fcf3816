//! What the policies of a blend recommend, with a prior over the items, to the users of the test.

mod asked;
mod exact;
mod guided;
mod prior;

use std::path::PathBuf;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_baselines::{Prior, PriorFit, PriorSearch};
use sidereal_data::{HeldOut, Sample};
use sidereal_files::{hash_json, read_json, write_json, write_json_line};
use sidereal_metrics::SeenItems;
use sidereal_train::{Binding, Observer, Ranking};

use self::asked::{AskedPolicies, rule_name};
use self::exact::Exact;
use self::guided::Guided;
use crate::blend::files::{file, folder, weights};
use crate::blend::store;
use crate::blend::weights::BlendWeights;
use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::item_vectors::VectorFile;
use crate::parts::policy::weights_file;
use crate::recipe::Recipe;
use crate::recipe::blend::BlendConfig;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};
use crate::workbench::items::ItemTexts;
use crate::workbench::{Reads, Workbench};

/// The rankings of a blend.
pub(crate) struct BlendedRankings<'a> {
    /// Of any tree: the data are those of all.
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) texts: ItemTexts<'a>,
    pub(crate) blend: &'a BlendConfig,
    /// The policies, each with the workbench of its tree.
    pub(crate) policies: Vec<Respondent<'a>>,
    /// Items of a ranking.
    pub(crate) count: usize,
}

/// The rankings of a blend, by the rule for seen items: the weights are chosen for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blended {
    /// With seen items among the ranked.
    pub(crate) kept: Vec<Ranking>,
    /// Without them.
    pub(crate) removed: Vec<Ranking>,
}

/// The files of a blend, which are read when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct BlendFiles {
    rankings: PathBuf,
    weights: PathBuf,
}

impl BlendFiles {
    pub(crate) fn load(&self) -> Result<Blended, LabError> {
        Ok(read_json(&self.rankings)?)
    }

    pub(crate) fn weights(&self) -> Result<BlendWeights, LabError> {
        Ok(read_json(&self.weights)?)
    }
}

/// The name of the part of a blend.
pub(crate) fn name(blend: &str) -> String {
    format!("blend {blend}")
}

impl Part for BlendedRankings<'_> {
    type Output = BlendFiles;

    fn name(&self) -> String {
        name(&self.blend.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let blend = BlendConfig { label: None, ..self.blend.clone() };
        let mut own = Recipe { seed: self.bench.seed, blends: vec![blend], ..Recipe::blank() };
        own.evaluate.users = self.policies.first().and_then(|policy| policy.search.users);
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.bench.inputs()?;
        inputs.insert("count".to_owned(), hash_json(&self.count)?);
        for policy in &self.policies {
            let stage = &policy.stage.name;
            inputs.insert(format!("policy {stage}"), weights_hash(policy)?);
            if self.writes_words() {
                let asked = policy.search.of_answers(policy.stage);
                inputs.insert(format!("search {stage}"), hash_json(&asked)?);
            }
        }
        if let Some(vectors) = self.texts.vectors {
            inputs.insert("embeddings".to_owned(), vectors.hash(VectorFile::NAME)?);
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        let name = &self.blend.name;
        let of_prior = store::FILES.map(|file| format!("{}/{file}", folder(name)));
        PartFiles::always([file(name), weights(name)].into_iter().chain(of_prior))
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let asked = self.asked()?;
        let valid = self.valid();
        let (known, transitions) = prior::fit(self, &valid)?;
        let items = self.bench.dataset.items();
        let mut ranked = |rule| {
            let prior = known.prior(items, rule)?;
            self.ranked(&*asked, prior, &valid, rule, observer)
        };
        let (kept, removed) = (ranked(SeenItems::Kept)?, ranked(SeenItems::Removed)?);
        let files = self.read(folder)?;
        let dir = folder.within(&self::folder(&self.blend.name))?;
        let stages = self.policies.iter().map(|policy| policy.stage.name.clone());
        let chosen = BlendWeights {
            policies: stages.clone().collect(),
            kept: kept.1,
            removed: removed.1,
            transitions,
        };
        write_json(&files.weights, &chosen)?;
        let hashed = stages.zip(&self.policies);
        let hashed = hashed.map(|(stage, policy)| Ok((stage, weights_hash(policy)?)));
        known.save(dir.dir(), &hashed.collect::<Result<_, LabError>>()?)?;
        write_json_line(&files.rankings, &Blended { kept: kept.0, removed: removed.0 })?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<BlendFiles, LabError> {
        let name = &self.blend.name;
        let (rankings, weights) = (folder.path(&file(name)), folder.path(&weights(name)));
        Ok(BlendFiles { rankings, weights })
    }
}

/// The rankings of all users and the weights that made them.
type Ranked = (Vec<Ranking>, PriorFit);

impl BlendedRankings<'_> {
    /// Whether its policies write words.
    fn writes_words(&self) -> bool {
        matches!(self.bench.reads, Reads::Words(_))
    }

    /// The policies, opened.
    fn asked(&self) -> Result<Box<dyn AskedPolicies + '_>, LabError> {
        if self.writes_words() {
            Ok(Box::new(Guided::open(self.blend, &self.policies)?))
        } else {
            Ok(Box::new(Exact::open(self.blend, &self.policies, self.count)?))
        }
    }

    /// The validation users on whom the weights are chosen.
    fn valid(&self) -> Vec<Sample<'_>> {
        let Self { bench, blend, .. } = self;
        let mut valid: Vec<Sample<'_>> =
            bench.split.valid.samples().filter(|sample| !sample.history.is_empty()).collect();
        valid.shuffle(&mut stream(bench.seed, Purpose::Validation, 0));
        valid.truncate(blend.valid_users);
        valid
    }

    /// The test's rankings under weights that are chosen on validation users by one rule for seen items.
    fn ranked(
        &self,
        asked: &dyn AskedPolicies,
        prior: Prior<'static>,
        valid: &[Sample<'_>],
        seen_items: SeenItems,
        observer: &mut dyn Observer,
    ) -> Result<Ranked, LabError> {
        let (blend, rule) = (self.blend, rule_name(seen_items));
        let mut search = PriorSearch::new(seen_items);
        search.metric = blend.choose_by.metric();
        search.by_history.clone_from(&blend.by_history);
        search.min_group_cases = blend.group_users;
        if !blend.by_user {
            search.buckets = 1;
        }
        let job = format!("weights of {}, seen {rule}", blend.name);
        let fit = asked.fit(&search, &prior, valid, &job, observer)?;
        tracing::info!(blend = blend.name, "weights of a blend\n{fit}");
        let prior = prior.with_weights(fit.weights.clone())?;
        let users: Vec<Sample<'_>> = self.bench.split.test.samples().collect();
        let job = format!("test {}, seen {rule}", blend.name);
        let rankings = asked.rank(&prior, seen_items, &users, &job, observer)?;
        Ok((rankings, fit))
    }
}

/// The hash of the weights of a policy.
fn weights_hash(policy: &Respondent<'_>) -> Result<String, LabError> {
    policy.policy.hash(&weights_file(&policy.stage.name))
}
