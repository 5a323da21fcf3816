//! The weights of a blend.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_baselines::{PriorFit, TermWeight, TransitionConfig};

/// How the weights of a blend were chosen; the file `blends/NAME/weights.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlendWeights {
    /// The stages whose policies are averaged.
    pub policies: Vec<String>,
    /// Weights with seen items among the ranked.
    pub kept: PriorFit,
    /// Weights without them.
    pub removed: PriorFit,
    /// The settings of the transitions, where they are a part: of `kept`, then of `removed`; chosen on the same
    /// users.
    pub transitions: Vec<TransitionConfig>,
}

impl fmt::Display for BlendWeights {
    /// One sentence: the parts and their weights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = |fit: &PriorFit| {
            let of_term = |term: &TermWeight| format!("{:.2} {}", term.weight, term.name);
            let terms: Vec<String> = fit.weights.terms.iter().map(of_term).collect();
            if terms.is_empty() { "no prior".to_owned() } else { terms.join(", ") }
        };
        let policies = self.policies.join(", ");
        let cases = self.kept.num_cases;
        let (kept, removed) = (weights(&self.kept), weights(&self.removed));
        write!(
            f,
            "the mean of the log-probabilities of {policies}; weights of the prior with seen items kept: \
             {kept}; removed: {removed}; chosen on {cases} validation users."
        )
    }
}
