//! Items that a blend recommends, and what their scores are made of.

use sidereal_baselines::Contribution;
use sidereal_lab::{BlendExplanation, ServedBlend};
use sidereal_metrics::SeenItems;
use sidereal_policy::device;

use super::{Args, name};
use crate::failure::Usage;
use crate::output::line;

/// Asks the blend of this name in the folder of the run.
pub(super) fn print(args: &Args, blend: &str) -> anyhow::Result<()> {
    if args.data.are_given() {
        return Err(Usage::error("a blend needs no data: leave out the flags for data"));
    }
    let blend = ServedBlend::open(&args.run, blend, device(&args.device)?)?;
    let (dataset, catalog) = (blend.items(), blend.catalog());
    let history = args.history.iter().map(|text| blend.find(text));
    let history = history.collect::<Result<Vec<_>, _>>()?;
    let seen = if args.keep_seen { SeenItems::Kept } else { SeenItems::Removed };
    line("after")?;
    for item in &history[history.len().saturating_sub(blend.max_history())..] {
        line(format_args!("  {}", name(*item, dataset, catalog)?))?;
    }
    let found = blend.explain(&history, args.k, seen)?;
    line("next")?;
    for best in &found {
        line(format_args!("  {:7.3}  {}", best.score, name(best.item, dataset, catalog)?))?;
    }
    if args.explain {
        line("what the scores are made of")?;
        for best in &found {
            line(format_args!("  {:7.3}  {}", best.score, name(best.item, dataset, catalog)?))?;
            explain(best)?;
        }
    }
    Ok(())
}

/// Prints the parts of a score; those that it is the sum of are indented least.
fn explain(best: &BlendExplanation) -> anyhow::Result<()> {
    line(format_args!("    {:7.3}  mean log-probability of the policies", best.mean_log_prob))?;
    for (stage, log_prob) in &best.policies {
        line(format_args!("      {log_prob:7.3}  {stage}"))?;
    }
    for Contribution { name, weight, value, contribution, .. } in &best.terms {
        match value {
            Some(value) => {
                line(format_args!("    {contribution:7.3}  {name}: {weight:.2} × {value:.3}"))?;
            }
            None => {
                line(format_args!("    {contribution:7.3}  {name}: not used, its weight is 0"))?;
            }
        }
    }
    Ok(())
}
