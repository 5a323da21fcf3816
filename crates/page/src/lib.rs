//! Self-contained HTML pages: tables, plots as inline SVG, cards of text.
//!
//! A page needs no network and no script, follows the reader's light or dark setting, and is
//! readable on a telephone. [`Page::push`] takes [`Block`]s in reading order; plots that follow
//! each other stand side by side where there is room. For numbers on a terminal use the reports'
//! own text.
//!
//! ```
//! use sidereal_page::{LinePlot, Page, Series};
//!
//! let mut page = Page::new("A run");
//! let points = vec![(1.0, 4.0), (2.0, 2.5)];
//! page.push(LinePlot {
//!     caption: "Loss".into(),
//!     x_axis: "step".into(),
//!     y_axis: "nats".into(),
//!     series: vec![Series { name: "train".into(), points }],
//! });
//! assert!(page.render()?.contains("<svg"));
//! # Ok::<(), sidereal_page::PageError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `block` | the plain data: [`Table`], [`LinePlot`], [`BarPlot`], [`Histogram`], [`Cards`] |
//! | `scale` | axis ranges and thinning of long curves |
//! | `plot` | data to SVG |
//! | `render` | blocks to HTML through `page.html`; writing to a file |

mod block;
mod plot;
mod render;
mod scale;
mod text;

pub use block::{
    Bar, BarPlot, BarSeries, Block, Card, CardList, Cards, Histogram, Line, LinePlot, Page, Panel,
    Series, Table,
};
pub use render::PageError;
