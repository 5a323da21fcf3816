//! What share of the users a run learned from and was tested on.

use super::RunResult;
use crate::recipe::stage::UserShare;

impl RunResult {
    /// A sentence for each share: of the users of the test, and of those whose events a stage learned from. None where
    /// all users took part.
    #[must_use]
    pub fn shares(&self) -> Vec<String> {
        let tested = self.tested.filter(|tested| tested.asked < tested.all);
        let learned = self.stages.iter().filter_map(|stage| {
            let UserShare { from, to } = stage.users?;
            let percent = 100.0 * (to - from);
            let label = &stage.label;
            Some(format!("{label} learned from the events of {percent:.1} % of the users."))
        });
        tested.map(|tested| tested.to_string()).into_iter().chain(learned).collect()
    }
}
