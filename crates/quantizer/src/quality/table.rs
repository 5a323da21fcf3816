//! The report as a table of text.

use std::fmt;

use super::QualityReport;

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} items, {} Semantic IDs: collision rate {:.2} %, {:.2} % of items share one, \
             at most {} on one",
            self.num_items,
            self.num_sids,
            100.0 * self.collision_rate,
            100.0 * self.shared_rate,
            self.max_items_per_sid
        )?;
        writeln!(
            f,
            "level   codes    used  usage  perplexity  entropy   gini  prefixes  fan-out  (max)  \
             sq. error  of variance  neighbours  (chance)"
        )?;
        for (level, q) in self.levels.iter().enumerate() {
            let optional = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
            };
            writeln!(
                f,
                "{level:>5} {:>7} {:>7} {:>5.1}% {:>11.1} {:>8.3} {:>6.3} {:>9} {:>8.2} {:>6} \
                 {:>10} {:>12} {:>11} {:>9}",
                q.codebook_size,
                q.used,
                100.0 * q.usage,
                q.perplexity,
                q.entropy,
                q.gini,
                q.num_prefixes,
                q.mean_fan_out,
                q.max_fan_out,
                optional(q.squared_error),
                optional(q.relative_error),
                optional(q.neighbour_agreement),
                optional(q.chance_agreement)
            )?;
        }
        match &self.prediction {
            Some(predicted) => predicted.fmt(f),
            None => Ok(()),
        }
    }
}
