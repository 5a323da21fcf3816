//! What a page is made of: plain data.

use serde::{Deserialize, Serialize};

/// A page: a title, a few lines that sum it up, and blocks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Title of the page and of the browser's tab.
    pub title: String,
    /// Lines under the title, as plain text.
    pub summary: Vec<String>,
    /// Contents, in reading order.
    pub blocks: Vec<Block>,
}

impl Page {
    /// A page without contents.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a line under the title.
    pub fn push_summary(&mut self, line: impl Into<String>) {
        self.summary.push(line.into());
    }

    /// Adds a block at the end.
    pub fn push(&mut self, block: impl Into<Block>) {
        self.blocks.push(block.into());
    }
}

/// One element of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// Rows and columns of text.
    Table(Table),
    /// Curves.
    Lines(LinePlot),
    /// Groups of bars with intervals.
    Bars(BarPlot),
    /// Counts over a range of indices.
    Histogram(Histogram),
    /// Boxes with lists of text.
    Cards(Cards),
}

/// A table of text; its first column is set to the left, the others to the right.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the table shows.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Cells, each row as long as the header.
    pub rows: Vec<Vec<String>>,
    /// Lines under the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Curves over a common axis.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinePlot {
    /// What the plot shows.
    pub caption: String,
    /// Name and unit of the horizontal axis.
    pub x_axis: String,
    /// Name and unit of the vertical axis.
    pub y_axis: String,
    /// The curves.
    pub series: Vec<Series>,
}

/// A named curve.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// `(x, y)`, by rising `x`. The curve is broken at a point that is not finite
    /// or beyond 1e300; long curves are
    /// thinned to the smallest and largest value of each stretch.
    pub points: Vec<(f64, f64)>,
}

/// Groups of bars: for each group, such as a metric, one bar a series, such as a system.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarPlot {
    /// What the plot shows.
    pub caption: String,
    /// Name and unit of the vertical axis.
    pub y_axis: String,
    /// Names under the axis.
    pub groups: Vec<String>,
    /// The series, each with a bar for every group.
    pub series: Vec<BarSeries>,
}

/// The bars of one series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarSeries {
    /// Name in the legend.
    pub name: String,
    /// A bar for every group, `None` if there is no value.
    pub bars: Vec<Option<Bar>>,
}

/// A value and the range in which it lies.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Height.
    pub value: f64,
    /// Lower and upper end of its interval.
    pub interval: Option<(f64, f64)>,
}

/// Counts over indices, one panel a distribution, such as the use of each level's codes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// What the panels show.
    pub caption: String,
    /// Name of the horizontal axis.
    pub x_axis: String,
    /// Name of the vertical axis.
    pub y_axis: String,
    /// The panels, each with its own axes.
    pub panels: Vec<Panel>,
}

/// One distribution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Name of the distribution.
    pub name: String,
    /// Count of each index, from 0.
    pub counts: Vec<f64>,
}

/// Boxes of text, such as users with their histories and recommendations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cards {
    /// What the cards show.
    pub caption: String,
    /// The cards.
    pub cards: Vec<Card>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Heading.
    pub title: String,
    /// Lists, one under the other.
    pub lists: Vec<CardList>,
}

/// A named list of lines.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardList {
    /// Name of the list.
    pub name: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The text.
    pub text: String,
    /// Whether it is set apart, such as the item that the user chose.
    pub marked: bool,
}

impl CardList {
    /// A list of unmarked lines.
    #[must_use]
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        lines: impl IntoIterator<Item = T>,
    ) -> Self {
        Self { name: name.into(), lines: Vec::new() }.with_lines(lines, |_| false)
    }

    /// The list with these lines after its own, marked where `marked` holds.
    #[must_use]
    pub fn with_lines<T: Into<String>>(
        mut self,
        lines: impl IntoIterator<Item = T>,
        marked: impl Fn(&str) -> bool,
    ) -> Self {
        self.lines.extend(lines.into_iter().map(Into::into).map(|text: String| {
            let marked = marked(&text);
            Line { text, marked }
        }));
        self
    }
}

macro_rules! into_block {
    ($($variant:ident($data:ty)),*) => {$(
        impl From<$data> for Block {
            fn from(data: $data) -> Self {
                Self::$variant(data)
            }
        }
    )*};
}

into_block!(Table(Table), Lines(LinePlot), Bars(BarPlot), Histogram(Histogram), Cards(Cards));
