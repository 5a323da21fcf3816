//! A page with one block of each kind: `cargo run -p sidereal-page --example page -- page.html`.

use std::path::PathBuf;

use sidereal_page::{
    Bar, BarPlot, BarSeries, Card, CardList, Cards, Histogram, LinePlot, Page, PageError, Panel,
    Series, Table,
};

fn main() -> Result<(), PageError> {
    let path = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "page.html".into()));
    let mut page = Page::new("One of each");
    page.push_summary("Every kind of block that a page can hold.");
    page.push(Table {
        caption: "A table".into(),
        header: ["colour", "share"].map(String::from).into(),
        rows: vec![
            ["blue", "0.6"].map(String::from).into(),
            ["red", "0.4"].map(String::from).into(),
        ],
        notes: vec!["Shares of what was counted.".into()],
    });
    let waves = [("sine", 0.0), ("cosine", 1.57)].map(|(name, phase)| Series {
        name: name.into(),
        points: (0..200).map(|i| f64::from(i) / 20.0).map(|x| (x, (x + phase).sin())).collect(),
    });
    page.push(LinePlot {
        caption: "Curves".into(),
        x_axis: "x".into(),
        y_axis: "y".into(),
        series: waves.into(),
    });
    let bar = |value: f64| Some(Bar { value, interval: Some((value - 0.1, value + 0.1)) });
    page.push(BarPlot {
        caption: "Bars with intervals".into(),
        y_axis: "share".into(),
        groups: ["first", "second"].map(String::from).into(),
        series: vec![BarSeries { name: "blue".into(), bars: vec![bar(0.6), bar(0.3)] }],
    });
    let counts = (0..32).map(|code| f64::from(code * (32 - code))).collect();
    page.push(Histogram {
        caption: "A histogram".into(),
        x_axis: "code".into(),
        y_axis: "items".into(),
        panels: vec![Panel { name: "level 1".into(), counts }],
    });
    let lists = vec![CardList::new("lines", ["one", "two"]).with_lines(["three"], |_| true)];
    page.push(Cards {
        caption: "Cards".into(),
        cards: vec![Card { title: "A card".into(), lists }],
    });
    page.write(&path)
}
