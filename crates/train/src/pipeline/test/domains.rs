//! The test by domain, where the data have several.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_baselines::{PerDomain, Recommender};
use sidereal_corpus::{DomainId, Domains, SampleId, Split};
use sidereal_metrics::Report;
use sidereal_page::{BarPlot, Block, Page, Table};

use super::tables::Tables;
use crate::TrainError;
use crate::pipeline::{Context, Pipeline};

/// The test of all systems by the users of one domain: item level, seen items kept, the items of
/// all domains as candidates.
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
    pub(super) fn fitted<'s, R: Recommender + 's>(
        &'s self,
        context: &Context<'_>,
        mut fit: impl FnMut(&Split) -> Result<R, TrainError>,
    ) -> Result<Box<dyn Recommender + 's>, TrainError> {
        let Some(domains) = self.dataset.domains() else {
            return Ok(Box::new(fit(&context.split)?));
        };
        let of =
            |domain: DomainId| context.split.of_users(|user| domains.of_user(user) == Some(domain));
        Ok(Box::new(PerDomain::fit(domains, |domain| fit(&of(domain)))?))
    }

    /// The rows and paired tests of `tables` by domain; none where the data have no domains. A
    /// domain without test users is left out, and the log says so.
    pub(super) fn by_domain(&self, tables: &Tables) -> Result<Vec<DomainReport>, TrainError> {
        let Some(domains) = self.dataset.domains() else { return Ok(Vec::new()) };
        let mut reports = Vec::new();
        for (domain, name) in domains.iter() {
            let mut part = tables.without_rows();
            for (how, run) in tables.kept() {
                let run = run.filter(|id| domain_of(*id, domains) == Some(domain));
                if run.num_samples() > 0 {
                    part.push(how, run, Vec::new())?;
                }
            }
            if part.report.rows().is_empty() {
                tracing::warn!(domain = name, "no test users");
                continue;
            }
            self.compare(&mut part)?;
            reports.push(DomainReport { domain: name.to_owned(), report: part.report });
        }
        Ok(reports)
    }
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
