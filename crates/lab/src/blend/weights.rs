//! The weights of a blend.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sidereal_baselines::{
    PriorFit, PriorWeights, ScaleBy, TermWeight, TransitionConfig, UserScale,
};

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
        let policies = self.policies.join(", ");
        let PriorFit { num_cases, metric, .. } = &self.kept;
        let (kept, removed) = (chosen(&self.kept), chosen(&self.removed));
        write!(
            f,
            "the mean of the log-probabilities of {policies}; weights of the prior with seen items kept: \
             {kept}; removed: {removed}; chosen by {metric} of {num_cases} validation users."
        )
    }
}

/// The weights of every part, those of groups of histories beside the overall ones.
fn chosen(fit: &PriorFit) -> String {
    let PriorWeights { terms, scale, .. } = &fit.weights;
    if terms.is_empty() {
        return "no prior".to_owned();
    }
    let overall: Vec<f32> = terms.iter().map(|term| term.weight).collect();
    let mut text = named(fit, &overall);
    for group in &fit.groups {
        let lengths = match group.longest {
            Some(longest) => format!("of {} to {longest} items", group.shortest.max(1)),
            None => format!("of {} items or more", group.shortest),
        };
        let weights = match group.weights.as_ref().filter(|_| group.used) {
            Some(weights) => named(fit, weights),
            None => "the same".to_owned(),
        };
        let users = group.num_cases;
        let _ = write!(text, ", after histories {lengths} ({users} users) {weights}");
    }
    if let Some(UserScale { by, bounds, factors }) = scale {
        let by = match by {
            ScaleBy::Mass { term } => format!("the mass of {term}"),
            _ => "the length of the history".to_owned(),
        };
        let _ = write!(text, ", all times {factors:?} by {by} (bounds {bounds:?})");
    }
    text
}

/// The weight of every term with its name.
fn named(fit: &PriorFit, weights: &[f32]) -> String {
    let of_term = |(term, weight): (&TermWeight, &f32)| {
        let at_edge = fit.at_edge.contains(&term.name);
        let remark = if at_edge { " (up to the largest weight that was tried)" } else { "" };
        format!("{weight:.2} {}{remark}", term.name)
    };
    let terms: Vec<String> = fit.weights.terms.iter().zip(weights).map(of_term).collect();
    terms.join(", ")
}
