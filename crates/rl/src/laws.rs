//! Laws that rewards, advantages and objectives should obey, each applied in one line.
//!
//! A law draws random cases and returns a [`Violation`] with the smallest counter-example it could
//! find, in Semantic-ID notation. A test that returns the law's result fails with that text:
//!
//! ```
//! use sidereal_rl::laws::{RewardLaws, Violation};
//! use sidereal_rl::{Group, SidLevel};
//!
//! fn reward_is_bounded() -> Result<(), Violation> {
//!     RewardLaws::new(SidLevel::default()).bounded(0.0..=1.0)
//! }
//! reward_is_bounded()?;
//!
//! let no_credit_for_the_first_code = |group: &Group<'_>| -> Vec<f64> {
//!     group.prefix_lens().map(|len| if len == 1 { -1.0 } else { len as f64 }).collect()
//! };
//! let violation = RewardLaws::new(no_credit_for_the_first_code).monotone_in_prefix().unwrap_err();
//! assert!(violation.to_string().contains("target <a_0>"), "{violation}");
//! # Ok::<(), Violation>(())
//! ```
//!
//! `PROPTEST_CASES` sets the number of cases of each law (256 unless set).

mod advantage;
mod reward;
mod surrogate;

pub use advantage::AdvantageLaws;
pub use reward::RewardLaws;
pub use surrogate::SurrogateLaws;

use std::fmt;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// A law that does not hold, and the smallest case found in which it does not.
///
/// `Debug` prints the same text as `Display`, so that a test returning it fails readably.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Name of the law: the method that applied it.
    pub law: &'static str,
    /// What was found.
    pub found: String,
    /// The smallest counter-example.
    pub case: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law `{}`: {}\n  smallest counter-example: {}", self.law, self.found, self.case)
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Violation {}

/// Runs `test` on random cases; a panic inside it counts as a violation too.
fn check<S: Strategy>(
    law: &'static str,
    cases: &S,
    test: impl Fn(&S::Value) -> Result<(), String>,
) -> Result<(), Violation>
where
    S::Value: fmt::Debug,
{
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(cases, |case| test(&case).map_err(TestCaseError::fail));
    outcome.map_err(|error| match error {
        TestError::Fail(reason, case) => {
            Violation { law, found: reason.to_string(), case: format!("{case:?}") }
        }
        TestError::Abort(reason) => {
            Violation { law, found: format!("gave up: {reason}"), case: "none".to_owned() }
        }
    })
}

/// Whether two results agree to `1e-9` of the larger, or of 1.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
