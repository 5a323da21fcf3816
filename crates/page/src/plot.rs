//! Data to SVG.
//!
//! A plot has no background, and its text takes the colour of the page (through the style sheet of
//! the page), so one drawing serves light and dark pages.

use std::io;
use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, Circle, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _, PathElement,
    RGBColor, Rectangle, SVGBackend,
};
use plotters::style::{Color as _, IntoFont as _, RGBAColor, ShapeStyle};

use crate::scale::{is_drawable, range, stretches};
use crate::{BarPlot, LinePlot, Panel};

/// Colours of series, told apart on white and on black.
const COLOURS: [RGBColor; 12] = [
    RGBColor(59, 130, 246),
    RGBColor(249, 115, 22),
    RGBColor(16, 185, 129),
    RGBColor(225, 29, 72),
    RGBColor(139, 92, 246),
    RGBColor(202, 138, 4),
    RGBColor(8, 145, 178),
    RGBColor(107, 114, 128),
    RGBColor(190, 24, 183),
    RGBColor(77, 124, 15),
    RGBColor(146, 64, 14),
    RGBColor(99, 102, 241),
];
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Width and height, in the units of the drawing; the page scales it.
const SIZE: (u32, u32) = (480, 290);
const PANEL: (u32, u32) = (360, 190);
const TEXT: u32 = 13;

pub(super) type PlotError = DrawingAreaErrorKind<io::Error>;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Colour of the `index`-th series, as CSS spells it.
pub(super) fn colour(index: usize) -> String {
    let RGBColor(r, g, b) = pick(index);
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn pick(index: usize) -> RGBColor {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(GREY)
}

/// The curves as SVG; `None` if there is no finite point.
pub(super) fn lines(plot: &LinePlot) -> Result<Option<String>, PlotError> {
    let curves: Vec<_> = plot.series.iter().map(|series| stretches(&series.points)).collect();
    let points = || curves.iter().flatten().flatten();
    let x = range(points().map(|point| point.0), 0.0);
    let y = range(points().map(|point| point.1), 0.05);
    let (Some(x), Some(y)) = (x, y) else { return Ok(None) };
    let axes = Axes { x, y, x_name: &plot.x_axis, y_name: &plot.y_axis, groups: None };
    draw(SIZE, &axes, |chart| {
        for (index, curve) in curves.iter().enumerate() {
            let style = ShapeStyle { color: pick(index).into(), filled: true, stroke_width: 2 };
            for stretch in curve {
                match stretch.as_slice() {
                    [point] => chart.plotting_area().draw(&Circle::new(*point, 3, style))?,
                    many => chart.plotting_area().draw(&PathElement::new(many.to_vec(), style))?,
                }
            }
        }
        Ok(())
    })
    .map(Some)
}

/// The bars as SVG, from zero, with intervals as whiskers; `None` if there is no finite bar.
pub(super) fn bars(plot: &BarPlot) -> Result<Option<String>, PlotError> {
    let heights =
        plot.series.iter().flat_map(|series| series.bars.iter().flatten()).flat_map(|b| {
            let (low, high) = b.interval.unwrap_or((b.value, b.value));
            [b.value, low, high]
        });
    let Some(found) = range(heights, 0.0) else { return Ok(None) };
    let Some(y) = range([found.start, found.end, 0.0], 0.0) else { return Ok(None) };
    let room = 0.08 * (y.end - y.start);
    let y = if y.start < 0.0 { y.start - room } else { 0.0 }..y.end + room;
    let x = -0.5..plot.groups.len() as f64 - 0.5;
    let axes = Axes { x, y, x_name: "", y_name: &plot.y_axis, groups: Some(&plot.groups) };
    let width = 0.8 / plot.series.len().max(1) as f64;
    draw(SIZE, &axes, |chart| {
        for (index, series) in plot.series.iter().enumerate() {
            let fill = pick(index).mix(0.85).filled();
            for (group, bar) in series.bars.iter().enumerate() {
                let Some(bar) = bar.filter(|bar| is_drawable(bar.value)) else { continue };
                let left = group as f64 - 0.4 + width * index as f64;
                let (from, to) = (left + 0.06 * width, left + 0.94 * width);
                let area = chart.plotting_area();
                area.draw(&Rectangle::new([(from, 0.0), (to, bar.value)], fill))?;
                let Some((low, high)) = bar.interval else { continue };
                if is_drawable(low) && is_drawable(high) {
                    let (middle, half) = (f64::midpoint(from, to), 0.15 * width);
                    let cap = |y| vec![(middle - half, y), (middle + half, y)];
                    for path in [vec![(middle, low), (middle, high)], cap(low), cap(high)] {
                        area.draw(&PathElement::new(path, GREY.stroke_width(2)))?;
                    }
                }
            }
        }
        Ok(())
    })
    .map(Some)
}

/// One panel of a histogram as SVG; `None` if there is no finite count.
pub(super) fn panel(
    panel: &Panel,
    index: usize,
    names: (&str, &str),
) -> Result<Option<String>, PlotError> {
    let finite = panel.counts.iter().copied().filter(|count| is_drawable(*count));
    let Some(y) = range(finite.chain([0.0]), 0.0) else { return Ok(None) };
    if panel.counts.is_empty() {
        return Ok(None);
    }
    let x = -0.5..panel.counts.len() as f64 - 0.5;
    let axes = Axes { x, y, x_name: names.0, y_name: names.1, groups: None };
    let fill = pick(index).mix(0.85).filled();
    draw(PANEL, &axes, |chart| {
        for (bin, count) in panel.counts.iter().enumerate().filter(|(_, c)| is_drawable(**c)) {
            let middle = bin as f64;
            let corners = [(middle - 0.5, 0.0), (middle + 0.5, *count)];
            chart.plotting_area().draw(&Rectangle::new(corners, fill))?;
        }
        Ok(())
    })
    .map(Some)
}

struct Axes<'a> {
    x: Range<f64>,
    y: Range<f64>,
    x_name: &'a str,
    y_name: &'a str,
    /// Names at 0, 1, … of the horizontal axis, instead of numbers.
    groups: Option<&'a [String]>,
}

fn draw(
    size: (u32, u32),
    axes: &Axes<'_>,
    contents: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area: DrawingArea<SVGBackend<'_>, Shift> =
            SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin_right(12)
            .margin_top(8)
            .x_label_area_size(if axes.x_name.is_empty() { 24 } else { 42 })
            .y_label_area_size(62)
            .build_cartesian_2d(axes.x.clone(), axes.y.clone())?;
        let text = ("sans-serif", TEXT).into_font();
        let faint = |share: f64| -> RGBAColor { GREY.mix(share) };
        let name = |x: &f64| {
            let at = x.round();
            if (x - at).abs() > 1e-6 || at < 0.0 {
                return String::new();
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let group = axes.groups.and_then(|groups| groups.get(at as usize));
            group.cloned().unwrap_or_default()
        };
        let (x_number, y_number) = (number(&axes.x), number(&axes.y));
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(faint(0.0))
            .bold_line_style(faint(0.25))
            .axis_style(faint(0.6))
            .x_desc(axes.x_name)
            .y_desc(axes.y_name)
            .axis_desc_style(text.clone())
            .label_style(text)
            .y_labels(6)
            .y_label_formatter(&y_number);
        match axes.groups {
            Some(groups) => {
                mesh.disable_x_mesh().x_labels(groups.len().max(1)).x_label_formatter(&name)
            }
            None => mesh.x_labels(6).x_label_formatter(&x_number),
        };
        mesh.draw()?;
        contents(&mut chart)?;
        area.present()?;
    }
    Ok(svg)
}

/// Numbers as short as the axis allows: `12k`, `0.05`, `1.5e-4`.
fn number(axis: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let largest = axis.start.abs().max(axis.end.abs());
    let step = (axis.end - axis.start) / 10.0;
    move |value: &f64| {
        if value.abs() < step * 1e-6 {
            return "0".to_owned();
        }
        if !(1e-3..1e7).contains(&largest) {
            return format!("{value:.1e}");
        }
        if largest >= 1e4 && step >= 50.0 {
            return format!("{}k", trim(format!("{:.1}", value / 1e3)));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
        let decimals = (1.0 - step.log10()).ceil().clamp(0.0, 6.0) as usize;
        trim(format!("{value:.decimals$}"))
    }
}

fn trim(digits: String) -> String {
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bar, BarSeries, Series};

    #[test]
    fn numbers_are_short_and_true() {
        let text = |axis: Range<f64>, value: f64| number(&axis)(&value);
        assert_eq!(text(0.0..0.1, 0.05), "0.05");
        assert_eq!(text(0.0..30_000.0, 12_500.0), "12.5k");
        assert_eq!(text(0.0..30_000.0, 20_000.0), "20k");
        assert_eq!(text(0.0..300.0, 100.0), "100");
        assert_eq!(text(-1.0..1.0, -1e-17), "0");
        assert_eq!(text(0.0..1e-4, 5e-5), "5.0e-5");
        assert_eq!(text(0.0..1e-4, 0.0), "0");
    }

    #[test]
    fn a_plot_without_finite_points_is_none() {
        let points = vec![(0.0, f64::NAN)];
        let series = vec![Series { name: "loss".into(), points }];
        assert!(lines(&LinePlot { series, ..LinePlot::default() }).unwrap().is_none());
        assert!(bars(&BarPlot::default()).unwrap().is_none());
        assert!(panel(&Panel::default(), 0, ("", "")).unwrap().is_none());
    }

    #[test]
    fn extreme_values_are_drawn_in_time() {
        for (low, high) in
            [(-1e300, 1e300), (1.0, 1.0 + 1e-15), (1e15, 1e15 + 1e6), (0.0, 5e-324), (0.0, 0.0)]
        {
            let points = vec![(low, high), (high, low)];
            let series = vec![Series { name: "loss".into(), points }];
            let svg = lines(&LinePlot { series, ..LinePlot::default() }).unwrap();
            assert!(svg.is_some_and(|svg| !svg.contains("NaN")), "{low} {high}");
        }
    }

    #[test]
    fn the_longest_bar_fits_and_negative_ones_too() {
        let bar = |value| Some(Bar { value, interval: Some((value - 1.0, value + 1.0)) });
        let series = vec![BarSeries { name: "one".into(), bars: vec![bar(2.0), None, bar(-3.0)] }];
        let groups = ["a", "b", "c"].map(String::from).to_vec();
        let svg = bars(&BarPlot { groups, series, ..BarPlot::default() }).unwrap().unwrap();
        assert!(svg.contains(">\na\n") || svg.contains(">a<"), "{svg}");
        // Two bars; plotters draws nothing else as a rectangle.
        assert_eq!(svg.matches("<rect").count(), 2);
    }
}
