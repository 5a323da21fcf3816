//! Blocks to HTML, and HTML to a file.

use std::io;
use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use sidereal_files::write_whole;

use crate::plot::{self, PlotError};
use crate::{Block, Card, Page, Table};

const TEMPLATE: &str = include_str!("page.html");

/// Why a page could not be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum PageError {
    /// A row of a table is not as long as the header.
    #[error("table `{caption}`: row {row} has {found} cells, the header has {expected}")]
    Row { caption: String, row: usize, found: usize, expected: usize },
    /// A series does not have one bar for each group.
    #[error("plot `{caption}`: series `{series}` has {found} bars for {expected} groups")]
    Bars { caption: String, series: String, found: usize, expected: usize },
    /// A plot could not be drawn.
    #[error("cannot draw the plot `{caption}`")]
    Plot {
        caption: String,
        #[source]
        source: PlotError,
    },
    /// The template could not be filled.
    #[error("cannot fill the page's template")]
    Template(#[from] minijinja::Error),
    /// The file could not be written.
    #[error("cannot write the page `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What the template sees of a block.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum View<'a> {
    Table(&'a Table),
    Figure { caption: &'a str, plots: Vec<Plot<'a>>, legend: Vec<Entry<'a>>, wide: bool },
    Cards { caption: &'a str, cards: &'a [Card] },
}

#[derive(Serialize)]
struct Plot<'a> {
    name: &'a str,
    /// Trusted markup; `None` if there is nothing to draw.
    svg: Option<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    colour: String,
}

impl Page {
    /// The page as HTML, without references to anything outside it.
    ///
    /// All text is escaped.
    ///
    /// # Errors
    /// [`PageError::Row`], [`PageError::Bars`], [`PageError::Plot`], [`PageError::Template`].
    pub fn render(&self) -> Result<String, PageError> {
        #[derive(Serialize)]
        struct Context<'a> {
            title: &'a str,
            summary: &'a [String],
            blocks: Vec<View<'a>>,
        }
        let blocks = self.blocks.iter().map(view).collect::<Result<_, _>>()?;
        let context = Context { title: &self.title, summary: &self.summary, blocks };
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        Ok(environment.render_named_str("page.html", TEMPLATE, context)?)
    }

    /// Writes the page to a file, which is either the old one or the whole new one, never a part.
    ///
    /// # Errors
    /// Those of [`render`](Self::render), and [`PageError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), PageError> {
        let html = self.render()?;
        write_whole(path, |out| out.write_all(html.as_bytes())).map_err(|error| {
            let (path, source) = error.into_parts();
            PageError::Io { path, source }
        })
    }
}

fn view(block: &Block) -> Result<View<'_>, PageError> {
    let failed = |caption: &str| {
        let caption = caption.to_owned();
        move |source| PageError::Plot { caption, source }
    };
    match block {
        Block::Table(table) => {
            let expected = table.header.len();
            match table.rows.iter().map(Vec::len).enumerate().find(|(_, len)| *len != expected) {
                Some((row, found)) => {
                    let caption = table.caption.clone();
                    Err(PageError::Row { caption, row, found, expected })
                }
                None => Ok(View::Table(table)),
            }
        }
        Block::Lines(lines) => {
            let svg = plot::lines(lines).map_err(failed(&lines.caption))?;
            let names = lines.series.iter().map(|series| series.name.as_str());
            let plots = vec![Plot { name: "", svg }];
            Ok(View::Figure { caption: &lines.caption, plots, legend: legend(names), wide: false })
        }
        Block::Bars(bars) => {
            let expected = bars.groups.len();
            if let Some(odd) = bars.series.iter().find(|series| series.bars.len() != expected) {
                let (caption, series) = (bars.caption.clone(), odd.name.clone());
                return Err(PageError::Bars { caption, series, found: odd.bars.len(), expected });
            }
            let svg = plot::bars(bars).map_err(failed(&bars.caption))?;
            let names = bars.series.iter().map(|series| series.name.as_str());
            let plots = vec![Plot { name: "", svg }];
            Ok(View::Figure { caption: &bars.caption, plots, legend: legend(names), wide: false })
        }
        Block::Histogram(histogram) => {
            let names = (histogram.x_axis.as_str(), histogram.y_axis.as_str());
            let panels = histogram.panels.iter().enumerate().map(|(index, panel)| {
                let svg = plot::panel(panel, index, names).map_err(failed(&histogram.caption))?;
                Ok(Plot { name: &panel.name, svg })
            });
            let plots = panels.collect::<Result<_, PageError>>()?;
            Ok(View::Figure { caption: &histogram.caption, plots, legend: Vec::new(), wide: true })
        }
        Block::Cards(cards) => Ok(View::Cards { caption: &cards.caption, cards: &cards.cards }),
    }
}

fn legend<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Entry<'a>> {
    names.enumerate().map(|(i, name)| Entry { name, colour: plot::colour(i) }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{BarPlot, BarSeries, CardList, Cards, LinePlot, Series};

    const EVIL: &str = "</svg></style><script>alert(1)</script>\"'&";

    fn evil_page() -> Page {
        let mut page = Page::new(EVIL);
        page.push_summary(EVIL);
        page.push(Table {
            caption: EVIL.into(),
            header: vec![EVIL.into()],
            rows: vec![vec![EVIL.into()]],
            notes: vec![EVIL.into()],
        });
        page.push(LinePlot {
            caption: EVIL.into(),
            x_axis: EVIL.into(),
            y_axis: EVIL.into(),
            series: vec![Series { name: EVIL.into(), points: vec![(0.0, 1.0), (1.0, 2.0)] }],
        });
        page.push(BarPlot {
            groups: vec![EVIL.into()],
            series: vec![BarSeries { name: EVIL.into(), bars: vec![Some(crate::Bar::default())] }],
            ..BarPlot::default()
        });
        let lists = vec![CardList::new(EVIL, [EVIL]).with_lines([EVIL], |_| true)];
        page.push(Cards { caption: EVIL.into(), cards: vec![Card { title: EVIL.into(), lists }] });
        page
    }

    #[test]
    fn no_text_becomes_markup() {
        let html = evil_page().render().unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.matches("&lt;script").count() >= 12);
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }

    #[test]
    fn nothing_is_fetched() {
        let html = evil_page().render().unwrap();
        let outside = html.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!outside.contains(word), "{word}");
        }
    }

    #[test]
    fn ragged_data_is_refused() {
        let mut page = Page::new("");
        page.push(Table {
            caption: "metrics".into(),
            header: vec!["a".into(), "b".into()],
            rows: vec![vec!["1".into()]],
            ..Table::default()
        });
        let error = page.render().unwrap_err();
        assert_eq!(error.to_string(), "table `metrics`: row 0 has 1 cells, the header has 2");
        let series = vec![BarSeries { name: "sft".into(), bars: vec![None] }];
        let mut page = Page::new("");
        page.push(BarPlot { caption: "hits".into(), series, ..BarPlot::default() });
        let error = page.render().unwrap_err();
        assert_eq!(error.to_string(), "plot `hits`: series `sft` has 1 bars for 0 groups");
    }

    #[test]
    fn a_plot_without_data_says_so() {
        let mut page = Page::new("");
        page.push(LinePlot { caption: "loss".into(), ..LinePlot::default() });
        assert!(page.render().unwrap().contains("no data"));
    }

    #[test]
    fn writing_replaces_the_file_and_leaves_nothing_else() {
        let folder = std::env::temp_dir().join(format!("page-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("report.html");
        fs::write(&path, "old").unwrap();
        Page::new("new").write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("<title>new</title>"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let error = Page::new("new").write(&folder.join("missing/report.html")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
