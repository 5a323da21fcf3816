//! The result of a finished run.

mod changed_cases;
mod page;
pub(crate) mod scaling;
mod shares;
pub(crate) mod showcase;

use sidereal_metrics::Report;
use sidereal_quantizer::{Collisions, QualityReport};
use sidereal_sid::Catalog;
use sidereal_train::Record;

use crate::evaluation::{
    BucketRow, ChangedAnswers, DescriptionRow, DomainReport, ExerciseRow, LabelRow, TargetsRow,
};
use crate::outcome::showcase::Showcase;
use crate::recipe::scaling::ScalingConfig;
use crate::recipe::stage::Stage;
use crate::tested_users::TestedUsers;

/// The result of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunResult {
    /// The trainings, in order.
    pub stages: Vec<Stage>,
    /// Every system's metrics, with intervals, protocols and paired tests.
    pub report: Report,
    /// The test of the stages by kind of user.
    pub buckets: Vec<BucketRow>,
    /// The test by domain; empty if the data have none.
    pub domains: Vec<DomainReport>,
    /// General ability of the stages; empty if the recipe does not test it.
    pub exercises: Vec<ExerciseRow>,
    /// Next items in free words; empty if the recipe does not ask for them.
    pub descriptions: Vec<DescriptionRow>,
    /// The test of users with several targets; empty if the recipe has none.
    pub targets: Vec<TargetsRow>,
    /// Label prediction; empty if the recipe does not test it.
    pub labels: Vec<LabelRow>,
    /// Answers that reasoning changed; empty if the recipe does not test reasoning.
    pub changed: Vec<ChangedAnswers>,
    /// How many users of the test were asked, if the recipe asks for some.
    pub tested: Option<TestedUsers>,
    /// The figure over the compute of training that the recipe asks for; see [`scaling`](Self::scaling).
    pub scaling_of: Option<ScalingConfig>,
    /// Quality of the codes before collisions were resolved.
    pub quality: QualityReport,
    /// How items that shared all their codes were resolved; `None` for published Semantic IDs.
    pub collisions: Option<Collisions>,
    /// Training records, in order.
    pub records: Vec<Record>,
    /// A few users' recommendations.
    pub showcases: Vec<Showcase>,
    /// Items and their Semantic IDs.
    pub catalog: Catalog,
}
