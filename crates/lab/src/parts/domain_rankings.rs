//! The answers of a stage's policy to the users of the test, with items of their own domain.

use sidereal_data::{DomainId, Domains, SampleId};
use sidereal_policy::{BeamSearch, Excluded};
use sidereal_train::{Batching, EncodedPrompt, Observer, Ranking, rank_without};

use crate::error::LabError;
use crate::parts::answers::{AnswersOfStage, Respondent, TestUsers};
use crate::pool_task::is_over_all_titles;

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

impl AnswersOfStage for DomainRankings<'_> {
    type Answer = Ranking;

    fn by(&self) -> Respondent<'_> {
        self.by
    }

    fn name_of(stage: &str) -> String {
        name(stage)
    }

    fn file_of(stage: &str) -> String {
        file(stage)
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<Ranking>, LabError> {
        let model = self.by.open()?;
        let mut search = self.by.beam_search(&model);
        let job = format!("test {} by domain", self.by.stage.name);
        let batching = self.by.batching(&job);
        let task = self.by.stage.task;
        if is_over_all_titles(task) {
            search.constraint = self.by.bench.answers(task);
            let asked = self.by.bench.prompts(task, &self.users.samples())?;
            return rank_in_domains(self.domains, &search, &asked, batching, observer);
        }
        rank_in_domains(self.domains, &search, self.users.asked()?, batching, observer)
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
