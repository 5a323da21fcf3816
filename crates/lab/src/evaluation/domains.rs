//! The test by domain, if the data have several.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_data::{DomainId, Domains, SampleId};
use sidereal_metrics::{Candidates, Level, RankingRun, Report, SeenItems};
use sidereal_page::{BarPlot, Block, Page, Table};

use super::stage_answers::StageAnswers;
use super::systems::{POPULARITY, TRANSITIONS, in_domain};
use super::tables::{Measured, Tables, score_kind};
use crate::error::LabError;
use crate::parts::domain_rankings::domain_of;
use crate::recipe::stage::Stage;

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

/// The rankings of the stages over the items of each user's domain.
pub(crate) struct AmongDomains<'a> {
    domains: &'a Domains,
    beam_width: usize,
    placed: Vec<(&'a Stage, RankingRun<SampleId>)>,
}

impl<'a> AmongDomains<'a> {
    /// Reads the answers of the stages that were tested by domain.
    pub(crate) fn read(
        domains: &'a Domains,
        beam_width: usize,
        answers: &[StageAnswers<'a>],
    ) -> Result<Self, LabError> {
        let none = BTreeSet::new();
        let mut placed = Vec::new();
        for answered in answers {
            let Some(file) = &answered.in_domain else { continue };
            let rankings = file.value.load()?;
            let run = rankings.iter().map(|r| (r.id, r.item_placement(&none))).collect();
            placed.push((answered.stage, run));
        }
        Ok(Self { domains, beam_width, placed })
    }

    /// The rows of `tables` by domain, and the rows over the items of each domain, to which
    /// `finish` adds paired tests and marks. A domain without test users is left out, and the log
    /// says so.
    pub(crate) fn reports(
        &self,
        tables: &Tables,
        finish: impl Fn(&mut Tables) -> Result<(), LabError>,
    ) -> Result<Vec<DomainReport>, LabError> {
        let mut reports = Vec::new();
        for (domain, name) in self.domains.iter() {
            let mut part = tables.without_rows();
            self.push_rows(domain, tables, &mut part)?;
            if part.report.rows().is_empty() {
                tracing::warn!(domain = name, "the domain has no test users");
                continue;
            }
            finish(&mut part)?;
            reports.push(DomainReport { domain: name.to_owned(), report: part.report });
        }
        Ok(reports)
    }

    /// Adds the rows of one domain to `part`.
    fn push_rows(
        &self,
        domain: DomainId,
        tables: &Tables,
        part: &mut Tables,
    ) -> Result<(), LabError> {
        let of_domain = |run: &RankingRun<SampleId>| {
            run.filter(|id| domain_of(*id, self.domains) == Some(domain))
        };
        let candidates = Candidates::Domain(self.domains.items(domain).count());
        for (how, run) in tables.kept() {
            let run = of_domain(run);
            if run.num_samples() == 0 {
                continue;
            }
            // These already rank items of the domain only.
            if how.system == POPULARITY || how.system == TRANSITIONS {
                let system = in_domain(how.system);
                let how = Measured { system: &system, candidates, ..how };
                part.push(how, run.clone(), Vec::new())?;
            }
            part.push(how, run, Vec::new())?;
        }
        for (stage, run) in &self.placed {
            let run = of_domain(run);
            if run.num_samples() == 0 {
                continue;
            }
            let how = Measured {
                system: &in_domain(&stage.label),
                candidates,
                seen_items: SeenItems::Kept,
                level: Level::Item,
                beam_width: NonZeroUsize::new(self.beam_width),
                chains: None,
                score: score_kind(stage.training.scoring()),
            };
            part.push(how, run, Vec::new())?;
        }
        Ok(())
    }
}

impl DomainReport {
    /// Adds the tables and plots of the report, with the name of the domain.
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
