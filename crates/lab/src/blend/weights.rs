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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sentence_names_every_group_and_what_is_at_the_end_of_the_grid() {
        let terms = json!([
            { "name": "transitions", "weight": 19.2 },
            { "name": "text", "weight": 1.5 },
        ]);
        let group = |shortest: usize, longest: Option<usize>, used: bool| {
            json!({
                "shortest": shortest, "longest": longest, "num_cases": 300, "weights": [0.5, 0.25],
                "gain": 0.1, "standard_error": 0.01, "used": used,
            })
        };
        let fit = |groups: serde_json::Value, at_edge: &[&str]| -> PriorFit {
            let fit = json!({
                "metric": "HR@10", "seen_items": "kept", "num_cases": 600,
                "weights": { "terms": terms }, "value": 0.2, "policy_value": 0.1,
                "policy_values": [0.1], "trials": [], "scales": [], "groups": groups,
                "at_edge": at_edge,
            });
            serde_json::from_value(fit).unwrap()
        };
        let groups = json!([group(0, Some(3), true), group(4, None, false)]);
        let weights = BlendWeights {
            policies: vec!["policy".to_owned()],
            kept: fit(groups, &["transitions"]),
            removed: fit(json!([]), &[]),
            transitions: Vec::new(),
        };
        let edge = "transitions (up to the largest weight that was tried)";
        assert_eq!(
            weights.to_string(),
            format!(
                "the mean of the log-probabilities of policy; weights of the prior with seen items kept: \
                 19.20 {edge}, 1.50 text, after histories of 1 to 3 items (300 users) 0.50 {edge}, 0.25 \
                 text, after histories of 4 items or more (300 users) the same; removed: 19.20 transitions, \
                 1.50 text; chosen by HR@10 of 600 validation users."
            )
        );
    }
}
