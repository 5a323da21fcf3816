//! Draws the algorithms side by side: gradient coefficient against ratio, reward against prefix
//! length. Two SVG files. CPU, instant.
//! Run: `cargo run -p sidereal-rl --example curves -- docs/images`
use std::error::Error;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use sidereal_rl::{
    Accuracy, Gbpo, Group, Grpo, Gspo, RankReward, ResidualSensitive, Reward, RolloutBatch, Sage,
    Segments, SidLevel, Singer, StepSize, Stepwise, Surrogate,
};
use sidereal_sid::SemanticId;

type Curves = Vec<(&'static str, Vec<(f64, f64)>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: curves FOLDER")?);
    std::fs::create_dir_all(&folder)?;
    let positive = ("advantage +1", coefficients(1.0)?, 0.0..2.0, 0.0..2.0);
    let negative = ("advantage -1", coefficients(-1.0)?, 0.0..2.0, 0.0..2.8);
    let x = "probability ratio r (old probability 0.3)";
    let path = folder.join("gradient-coefficient.svg");
    draw(&path, x, "d objective / d logp, per unit of advantage", &[positive, negative])?;
    let rewards = ("4 levels; rank at position 1", rewards()?, 0.0..4.0, -1.5..1.1);
    draw(
        &folder.join("reward-by-prefix.svg"),
        "common prefix with the target",
        "reward",
        &[rewards],
    )
}

/// `d objective / d logp` over the advantage, for one rollout of one token.
fn coefficients(advantage: f64) -> Result<Curves, Box<dyn Error>> {
    let objectives = [
        ("GRPO", Surrogate::Grpo(Grpo::default())),
        ("DAPO", Surrogate::Grpo(Grpo::dapo())),
        ("GSPO", Surrogate::Gspo(Gspo::default())),
        ("GBPO", Surrogate::Gbpo(Gbpo)),
        ("SAGE, diversity at its mean", Surrogate::Sage(Sage::default())),
        ("SAGE, diversity 1 nat below its mean", Surrogate::Sage(Sage::default())),
    ];
    let tokens = Segments::uniform(1, 1);
    let mut curves = Curves::new();
    for (name, surrogate) in objectives {
        let diversity = if name.contains("below") { 1.0 } else { 2.0 };
        let mut points = Vec::new();
        for ratio in (1..=400).map(|i| f64::from(i) / 200.0) {
            let (old, advantages) = ([0.3f64.ln()], [advantage]);
            let new = [old[0] + ratio.ln()];
            let batch = RolloutBatch::new(&tokens, &new, &old, &advantages)?;
            let diversities = [diversity];
            let batch = batch.with_diversities(&diversities, 2.0)?;
            let slope = surrogate.objective(&batch, StepSize::of(&tokens))?.d_logp[0];
            points.push((ratio, slope / advantage));
        }
        curves.push((name, points));
    }
    Ok(curves)
}

/// Each reward of a lone rollout that shares 0 to 4 codes with the target.
fn rewards() -> Result<Curves, Box<dyn Error>> {
    let singer = |group: &Group<'_>| Singer::default().score(&group.with_hardness(false));
    let rewards: [(&str, Box<dyn Reward>); 7] = [
        ("accuracy", Box::new(Accuracy)),
        ("rank, as printed", Box::new(RankReward::Paper)),
        ("SINGER, not hard", Box::new(singer)),
        ("SID-level (SINGER, hard)", Box::new(SidLevel::default())),
        ("stepwise", Box::new(Stepwise)),
        ("residual-sensitive, 0.5", Box::new(ResidualSensitive::default())),
        ("residual-sensitive, 1", Box::new(ResidualSensitive::new(1.0)?)),
    ];
    let target = SemanticId::from([1; 4]);
    let sharing = |len: usize| (0..4).map(|level| u16::from(level < len)).collect::<SemanticId>();
    let score = |reward: &dyn Reward, len| reward.score(&Group::new(&target, &[sharing(len)]))[0];
    let points =
        |reward: &dyn Reward| (0..=4).map(|len| (len as f64, score(reward, len))).collect();
    Ok(rewards.into_iter().map(|(name, reward)| (name, points(reward.as_ref()))).collect())
}

type Panel = (&'static str, Curves, std::ops::Range<f64>, std::ops::Range<f64>);

fn draw(path: &Path, x: &str, y: &str, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let width = 640 * u32::try_from(panels.len())?;
    let root = SVGBackend::new(path, (width, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, curves, xs, ys)) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(xs.clone(), ys.clone())?;
        chart.configure_mesh().light_line_style(WHITE).x_desc(x).y_desc(y).draw()?;
        for (index, (name, points)) in curves.iter().enumerate() {
            let style = Palette99::pick(index).stroke_width(2);
            let inside = points.iter().copied().filter(|(_, value)| ys.contains(value));
            chart
                .draw_series(LineSeries::new(inside, style))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        let position = SeriesLabelPosition::UpperLeft;
        chart
            .configure_series_labels()
            .position(position)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    Ok(())
}
