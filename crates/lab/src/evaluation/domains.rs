//! The test by domain, where the data have several.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_baselines::{PerDomain, Recommender};
use sidereal_data::{DomainId, Domains, SampleId, Split};
use sidereal_metrics::{Candidates, Level, RankingRun, Report, SeenItems};
use sidereal_page::{BarPlot, Block, Page, Table};
use sidereal_policy::{BeamSearch, Excluded};

use super::tables::{Measured, Tables};
use super::{POPULARITY, TRANSITIONS, read_rankings, score_kind};
use crate::LabError;
use crate::pipeline::Context;
use crate::run::Run;
use crate::{Pipeline, Stage};
use sidereal_train::Observer;
use sidereal_train::Prompt;
use sidereal_train::{Batching, Ranking, rank_without};

/// The test of all systems by the users of one domain, item level, seen items kept: with the items of
/// all domains as candidates, and with those of the domain alone (`NAME, in the domain`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DomainReport {
    /// Name of the domain.
    pub domain: String,
    /// Every system's metrics over these users, with intervals, protocols and paired tests.
    pub report: Report,
}

impl Pipeline<'_> {
    /// What `fit` makes of the training events, of each domain by itself where there are several: a
    /// user is answered by items of the domain that the history is of.
    pub(crate) fn fitted<'s, R: Recommender + 's>(
        &'s self,
        context: &Context<'_>,
        mut fit: impl FnMut(&Split) -> Result<R, LabError>,
    ) -> Result<Box<dyn Recommender + 's>, LabError> {
        let Some(domains) = self.dataset.domains() else {
            return Ok(Box::new(fit(&context.split)?));
        };
        let of =
            |domain: DomainId| context.split.of_users(|user| domains.of_user(user) == Some(domain));
        Ok(Box::new(PerDomain::fit(domains, |domain| fit(&of(domain)))?))
    }

    /// The rows and paired tests of `tables` by domain, and those among the items of each domain;
    /// none where the data have no domains. A domain without test users is left out, and the log
    /// says so.
    pub(crate) fn by_domain(
        &self,
        run: &Run,
        tables: &Tables,
        at_start: &BTreeSet<String>,
    ) -> Result<Vec<DomainReport>, LabError> {
        let Some(domains) = self.dataset.domains() else { return Ok(Vec::new()) };
        let none = BTreeSet::new();
        let mut among: Vec<(&Stage, RankingRun<SampleId>)> = Vec::new();
        for stage in self.stages_over_all() {
            let rankings = read_rankings(run, stage, &in_domain_file(stage))?;
            let placed = rankings.iter().map(|r| (r.id, r.item_placement(&none)));
            among.push((stage, placed.collect()));
        }
        let mut reports = Vec::new();
        for (domain, name) in domains.iter() {
            let of_domain = |run: &RankingRun<SampleId>| {
                run.filter(|id| domain_of(*id, domains) == Some(domain))
            };
            let mut part = tables.without_rows();
            let candidates = Candidates::Domain(domains.items(domain).count());
            for (how, run) in tables.kept() {
                let run = of_domain(run);
                if run.num_samples() == 0 {
                    continue;
                }
                // These rank items of the domain alone as it is.
                if how.system == POPULARITY || how.system == TRANSITIONS {
                    let system = in_domain(how.system);
                    let how = Measured { system: &system, candidates, ..how };
                    part.push(how, run.clone(), Vec::new())?;
                }
                part.push(how, run, Vec::new())?;
            }
            for (stage, run) in &among {
                let run = of_domain(run);
                if run.num_samples() == 0 {
                    continue;
                }
                let how = Measured {
                    system: &in_domain(&stage.label),
                    candidates,
                    seen_items: SeenItems::Kept,
                    level: Level::Item,
                    beam_width: NonZeroUsize::new(self.recipe.evaluate.beam_width),
                    chains: None,
                    score: score_kind(stage.training.scoring()),
                };
                part.push(how, run, Vec::new())?;
            }
            if part.report.rows().is_empty() {
                tracing::warn!(domain = name, "no test users");
                continue;
            }
            self.compare(&mut part)?;
            self.note_starts(at_start, &mut part);
            reports.push(DomainReport { domain: name.to_owned(), report: part.report });
        }
        Ok(reports)
    }
}

/// A ranking of the items of their own domain for every user.
pub(crate) fn rank_in_domains(
    domains: &Domains,
    search: &BeamSearch<'_>,
    asked: &[Prompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, LabError> {
    let mut rankings = Vec::with_capacity(asked.len());
    for (domain, _) in domains.iter() {
        let own = asked.iter().filter(|prompt| domain_of(prompt.id, domains) == Some(domain));
        let own: Vec<Prompt> = own.cloned().collect();
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

/// The name of a system that ranks the items of the user's domain alone.
pub(crate) fn in_domain(name: &str) -> String {
    format!("{name}, in the domain")
}

/// Where a stage's rankings of the items of each user's domain are.
pub(crate) fn in_domain_file(stage: &Stage) -> String {
    format!("rankings/{}.domain.json", stage.name)
}

/// The part of the manifest that they are.
pub(crate) fn in_domain_part(stage: &Stage) -> String {
    format!("rankings of {} in the domain", stage.name)
}

/// The domain of the user whose event a sample is.
fn domain_of(id: SampleId, domains: &Domains) -> Option<DomainId> {
    match id {
        SampleId::Event { user, .. } => domains.of_user(user),
        _ => None,
    }
}

impl DomainReport {
    /// Adds the report's tables and plots, which say whose users they are about.
    pub fn push_to(&self, page: &mut Page) {
        let mut part = Page::new("");
        self.report.push_to(&mut part);
        for mut block in part.blocks {
            if let Block::Table(Table { caption, .. }) | Block::Bars(BarPlot { caption, .. }) =
                &mut block
            {
                *caption = format!("users of {}: {caption}", self.domain);
            }
            page.push(block);
        }
    }
}

impl fmt::Display for DomainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "users of {}:\n{}", self.domain, self.report)
    }
}
