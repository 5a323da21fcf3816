use crate::{Group, Reward};

/// 1 for a rollout that is the target, else 0.
///
/// ```text
/// R_acc(y) = 1[y = y*]
/// ```
/// SINGER eq 6. Range `{0, 1}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accuracy;

impl Reward for Accuracy {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        group.hits().map(|hit| f64::from(u8::from(hit))).collect()
    }
}
