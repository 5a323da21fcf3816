//! Area under the ROC curve.

use crate::MetricError;

/// Probability that a random positive scores above a random negative, ties counted one half.
///
/// ```text
/// (Σ mid-ranks of the positives − P(P + 1)/2) / (P · N)
/// ```
/// The Mann-Whitney statistic, by one sort.
///
/// ```
/// let value = sidereal_metrics::auc(&[0.9, 0.5, 0.5], &[true, true, false])?;
/// assert_eq!(value, 0.75); // one pair won, one tied
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
///
/// # Errors
/// [`MetricError::Length`] if the slices differ in length, [`MetricError::NotFinite`] on a NaN
/// score, [`MetricError::OneClass`] if all labels are equal.
pub fn auc(scores: &[f64], labels: &[bool]) -> Result<f64, MetricError> {
    let (found, expected) = (labels.len(), scores.len());
    if found != expected {
        return Err(MetricError::Length { what: "labels", found, expected });
    }
    if let Some((index, value)) = scores.iter().enumerate().find(|(_, score)| score.is_nan()) {
        return Err(MetricError::NotFinite { what: "score", index, value: *value });
    }
    let positives = labels.iter().filter(|label| **label).count();
    let negatives = labels.len() - positives;
    if positives == 0 || negatives == 0 {
        return Err(MetricError::OneClass { positives, negatives });
    }
    let mut pairs: Vec<(f64, bool)> =
        scores.iter().map(|score| score + 0.0).zip(labels.iter().copied()).collect(); // −0 → 0
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut before, mut rank_sum) = (0, 0.0);
    for tie in pairs.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let mid_rank = before as f64 + f64::midpoint(tie.len() as f64, 1.0);
        rank_sum += mid_rank * tie.iter().filter(|(_, label)| *label).count() as f64;
        before += tie.len();
    }
    let (positives, negatives) = (positives as f64, negatives as f64);
    Ok((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_has_no_auc() {
        assert_eq!(
            auc(&[0.1, 0.2], &[true, true]),
            Err(MetricError::OneClass { positives: 2, negatives: 0 })
        );
        assert!(matches!(auc(&[f64::NAN], &[true]), Err(MetricError::NotFinite { index: 0, .. })));
        assert!(auc(&[0.1], &[]).is_err());
    }

    #[test]
    fn the_two_zeros_tie() {
        assert_eq!(auc(&[0.0, -0.0], &[true, false]), Ok(0.5));
    }
}
