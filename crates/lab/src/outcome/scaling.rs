//! Reasoning performance over the compute of training, with its fits (GREAM, figure 1).

use std::fmt;

use sidereal_metrics::{Metric, PolynomialFit};
use sidereal_page::{LinePlot, Page, Series, Table};

use super::RunResult;
use crate::evaluation::systems::with_reasoning;
use crate::recipe::scaling::ScalingConfig;

/// Points of a curve that is drawn.
const DRAWN: usize = 40;

/// A metric of answers after chains by the compute of the training, and least-squares fits in the logarithm of the
/// compute.
///
/// ```text
/// y ≈ a + b·x     and     y ≈ a + b·x + c·x²     with x = log10(FLOPs)
/// ```
/// The compute is that of the stage itself, without the stages that it starts from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scaling {
    /// What is measured.
    pub metric: Metric,
    /// Label of each stage, its floating-point operations, and the value of the metric, in the order of the recipe.
    pub points: Vec<(String, f64, f64)>,
    /// The line; `None` where fewer than two stages differ in their compute.
    pub line: Option<PolynomialFit>,
    /// The curve with a quadratic term; `None` with less than four points, through three of which it always goes.
    pub curve: Option<PolynomialFit>,
}

impl Scaling {
    /// The fits of points.
    #[must_use]
    pub fn new(metric: Metric, points: Vec<(String, f64, f64)>) -> Self {
        let fitted: Vec<(f64, f64)> =
            points.iter().map(|(_, flops, value)| (flops.log10(), *value)).collect();
        // Too few different points have no fit, which is shown as one that is missing.
        let line = PolynomialFit::new(&fitted, 1).ok();
        let curve = (fitted.len() > 3).then(|| PolynomialFit::new(&fitted, 2).ok()).flatten();
        Self { metric, points, line, curve }
    }

    /// Adds a table and a plot.
    pub(crate) fn push_to(&self, page: &mut Page) {
        let row = |(label, flops, value): &(String, f64, f64)| {
            vec![label.clone(), format!("{flops:.3e}"), format!("{value:.4}")]
        };
        page.push(Table {
            caption: format!("{} by the compute of the training", self.metric),
            header: ["system", "FLOPs", &self.metric.to_string()].map(String::from).into(),
            rows: self.points.iter().map(row).collect(),
            notes: self.fits().map(|(name, fit)| format!("{name}: {}", told(fit))).collect(),
        });
        let mut sorted: Vec<(f64, f64)> =
            self.points.iter().map(|(_, flops, value)| (flops.log10(), *value)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return };
        let (from, to) = (first.0, last.0);
        let drawn = |fit: &PolynomialFit| {
            let at = |step: usize| from + (to - from) * step as f64 / DRAWN as f64;
            (0..=DRAWN).map(|step| (at(step), fit.at(at(step)))).collect()
        };
        let fits: Vec<Series> = self
            .fits()
            .map(|(name, fit)| Series { name: name.to_owned(), points: drawn(fit) })
            .collect();
        let measured = Series { name: "measured".to_owned(), points: sorted };
        page.push(LinePlot {
            caption: format!("Scaling: {} by the compute of the training", self.metric),
            x_axis: "log10 of FLOPs".to_owned(),
            y_axis: self.metric.to_string(),
            series: [measured].into_iter().chain(fits).collect(),
        });
    }

    fn fits(&self) -> impl Iterator<Item = (&'static str, &PolynomialFit)> {
        let named = [("line in log10 FLOPs", &self.line), ("with a quadratic term", &self.curve)];
        named.into_iter().filter_map(|(name, fit)| Some((name, fit.as_ref()?)))
    }
}

/// The equation of a fit and its share of the variance.
fn told(fit: &PolynomialFit) -> String {
    let terms = fit.coefficients.iter().enumerate().map(|(power, coefficient)| match power {
        0 => format!("{coefficient:.4}"),
        1 => format!("{coefficient:+.4}·x"),
        _ => format!("{coefficient:+.4}·x^{power}"),
    });
    let equation = terms.collect::<Vec<_>>().join(" ");
    let share = fit
        .r_squared
        .map_or_else(|| "none, all values are equal".to_owned(), |r| format!("{r:.4}"));
    format!("{equation}, R² {share}")
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} by the compute of the training", self.metric)?;
        for (label, flops, value) in &self.points {
            writeln!(f, "  {label}: {flops:.3e} FLOPs, {value:.4}")?;
        }
        let fits: Vec<String> =
            self.fits().map(|(name, fit)| format!("  {name}: {}", told(fit))).collect();
        write!(f, "{}", fits.join("\n"))
    }
}

impl RunResult {
    /// The figure that `evaluate.scaling` asks for: stages without a value or without counted compute are left out.
    #[must_use]
    pub fn scaling(&self) -> Option<Scaling> {
        let ScalingConfig { stages, metric } = self.scaling_of.as_ref()?;
        let point = |name: &String| {
            let stage = self.stages.iter().find(|stage| stage.name == *name)?;
            let mut of_stage = self.records.iter().rev().filter(|record| record.stage == *name);
            let flops = of_stage.find_map(|record| record.values.get("flops_total"))?;
            let system = with_reasoning(&stage.label);
            let rows = self.report.rows().iter().filter(|row| row.system == system);
            let value =
                rows.flat_map(|row| &row.values).find(|entry| entry.metric == *metric)?.value;
            Some((stage.label.clone(), *flops, value))
        };
        Some(Scaling::new(*metric, stages.iter().filter_map(point).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(f64, f64)]) -> Vec<(String, f64, f64)> {
        values.iter().map(|(flops, value)| (format!("{flops:e}"), *flops, *value)).collect()
    }

    #[test]
    fn a_metric_that_grows_with_the_logarithm_of_the_compute_lies_on_a_line() {
        let metric: Metric = "Avg(Pass@1/5/10)".parse().unwrap();
        let of = |flops: f64| 0.01 * flops.log10() - 0.1;
        let flops = [1e16, 1e17, 3e17, 1e18, 1e19];
        let scaling = Scaling::new(metric, points(&flops.map(|flops| (flops, of(flops)))));
        let line = scaling.line.as_ref().unwrap();
        assert!((line.coefficients[1] - 0.01).abs() < 1e-9, "a hundredth for each tenfold");
        assert!((line.r_squared.unwrap() - 1.0).abs() < 1e-9);
        assert!(scaling.curve.as_ref().unwrap().coefficients[2].abs() < 1e-9);
        let text = scaling.to_string();
        assert!(text.contains("1.000e18 FLOPs, 0.0800") && text.contains("R² 1.0000"), "{text}");
    }

    #[test]
    fn a_curve_needs_a_point_more_than_it_has_coefficients() {
        let metric: Metric = "Pass@1".parse().unwrap();
        let scaling = Scaling::new(metric, points(&[(1e3, 0.1), (1e4, 0.3), (1e5, 0.2)]));
        assert!(scaling.line.is_some() && scaling.curve.is_none());
        let same = Scaling::new(metric, points(&[(1e3, 0.1), (1e3, 0.3)]));
        assert!(same.line.is_none());
        let mut page = Page::new("scaling");
        same.push_to(&mut page);
        scaling.push_to(&mut page);
    }
}
