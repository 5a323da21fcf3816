//! The answers of a stage's policy to the users of the test, with items of their own domain.

use sidereal_data::{DomainId, Domains, SampleId};
use sidereal_policy::{BeamSearch, Excluded};
use sidereal_train::{Batching, Binding, EncodedPrompt, Observer, Ranking, rank_without};

use crate::error::LabError;
use crate::parts::answers::{AnswerFile, Respondent, TestUsers};
use crate::recipe::Recipe;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// The rankings of a stage, of the items of each user's domain.
pub(crate) struct DomainRankings<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) users: &'a TestUsers<'a>,
    pub(crate) domains: &'a Domains,
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("rankings of {stage} in the domain")
}

/// The file of these rankings within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("rankings/{stage}.domain.json")
}

impl Part for DomainRankings<'_> {
    type Output = AnswerFile<Ranking>;

    fn name(&self) -> String {
        name(&self.by.stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        Some(self.by.search.of_answers(self.by.stage))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        self.by.inputs()
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.by.stage.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let model = self.by.open()?;
        let search = self.by.beam_search(&model);
        let job = format!("test {} by domain", self.by.stage.name);
        let (asked, batching) = (self.users.asked()?, self.by.batching(&job));
        let rankings = rank_in_domains(self.domains, &search, asked, batching, observer)?;
        self.read(folder)?.save(&rankings)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<AnswerFile<Ranking>, LabError> {
        let stage = &self.by.stage.name;
        Ok(AnswerFile::new(folder.path(&file(stage)), stage))
    }
}

/// Ranks for every user the items of the user's domain.
fn rank_in_domains(
    domains: &Domains,
    search: &BeamSearch<'_>,
    asked: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, LabError> {
    let mut rankings = Vec::with_capacity(asked.len());
    for (domain, _) in domains.iter() {
        let own = asked.iter().filter(|prompt| domain_of(prompt.id, domains) == Some(domain));
        let own: Vec<EncodedPrompt> = own.cloned().collect();
        if own.is_empty() {
            continue;
        }
        let excluded = Excluded::all_but(search.constraint.trie(), domains.items(domain))?;
        rankings.extend(rank_without(&excluded, search, &own, batching, observer)?);
    }
    // A published Semantic ID may have items of several domains.
    for ranking in &mut rankings {
        let domain = domains.of_item(ranking.target);
        for items in &mut ranking.found {
            items.retain(|item| domains.of_item(*item) == domain);
        }
    }
    Ok(rankings)
}

/// The domain of the user whose event a sample is.
pub(crate) fn domain_of(id: SampleId, domains: &Domains) -> Option<DomainId> {
    match id {
        SampleId::Event { user, .. } => domains.of_user(user),
        _ => None,
    }
}
