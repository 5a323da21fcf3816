//! How the examples of the published systems carry out a recipe.

use anyhow::Context as _;
use sidereal::lab::Pipeline;
use sidereal::train::{Bars, TensorBoard};

/// Carries out a pipeline, prints its tables and writes `report.html`.
pub(crate) fn carry_out(title: &str, pipeline: &Pipeline<'_>) -> anyhow::Result<()> {
    let board = TensorBoard::new(&pipeline.out.join("tensorboard"));
    let outcome = pipeline.run(&mut (Bars::default(), board))?;
    println!("{}", outcome.report);
    for domain in &outcome.domains {
        println!("{domain}");
    }
    let page = pipeline.out.join("report.html");
    outcome.write_page(title, &page).context("cannot write the report")?;
    println!("report: {}", page.display());
    Ok(())
}
