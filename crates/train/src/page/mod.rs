//! Self-contained HTML pages: tables, plots as inline SVG, cards of text.
//!
//! A page needs no network and no script, follows the reader's light or dark setting, and is
//! readable on a telephone. [`Page::push`] takes [`Block`]s in reading order; plots that follow
//! each other stand side by side where there is room.
//!
//! | module | holds |
//! |---|---|
//! | `block` | the plain data: [`Table`], [`LinePlot`], [`BarPlot`], [`Histogram`], [`Cards`] |
//! | `scale` | axis ranges and thinning of long curves |
//! | `plot` | data to SVG |
//! | `render` | blocks to HTML through `page.html`; writing to a file |
//! | `report` | blocks of a [`Report`](sidereal_metrics::Report) of metrics |

mod block;
mod plot;
mod render;
mod report;
mod scale;

pub use block::{
    Bar, BarPlot, BarSeries, Block, Card, CardList, Cards, Histogram, Line, LinePlot, Page, Panel,
    Series, Table,
};
pub use render::PageError;
