//! The quality of Semantic IDs as a section of an HTML page.

use sidereal_page::{Histogram, LinePlot, Page, Panel, Series, Table};
use sidereal_sid::Catalog;

use crate::{LevelQuality, Predicted, QualityReport};

impl QualityReport {
    /// Adds a table of all levels, how well they say what follows, the use of every code, and error and neighbour agreement by
    /// level as far as they were measured.
    ///
    /// `catalog` is where the counts of codes come from: pass the one that this is the report of,
    /// or the one that its codes became when collisions were resolved.
    pub fn push_to(&self, page: &mut Page, catalog: &Catalog) {
        page.push(self.overview());
        page.push(self.table());
        self.prediction.iter().for_each(|prediction| page.push(predicted(prediction)));
        page.push(usage(catalog));
        let error = by_level("left after the level", &self.levels, |level| level.relative_error);
        if let Some(error) = error {
            page.push(LinePlot {
                caption: "Reconstruction error".to_owned(),
                x_axis: "level".to_owned(),
                y_axis: "share of variance".to_owned(),
                series: vec![error],
            });
        }
        let near = by_level("nearest neighbours", &self.levels, |level| level.neighbour_agreement);
        let chance = by_level("two random items", &self.levels, |level| level.chance_agreement);
        if let Some(near) = near {
            page.push(LinePlot {
                caption: "Neighbours that share the codes up to a level".to_owned(),
                x_axis: "level".to_owned(),
                y_axis: "share".to_owned(),
                series: std::iter::once(near).chain(chance).collect(),
            });
        }
    }

    fn overview(&self) -> Table {
        let rows = [
            ("items", self.num_items.to_string()),
            ("distinct Semantic IDs", self.num_sids.to_string()),
            ("collision rate", percent(self.collision_rate)),
            ("items that share their Semantic ID", percent(self.shared_rate)),
            ("most items of one Semantic ID", self.max_items_per_sid.to_string()),
        ];
        Table {
            caption: "Semantic IDs".to_owned(),
            header: ["", "value"].map(str::to_owned).to_vec(),
            rows: rows.map(|(name, value)| vec![name.to_owned(), value]).to_vec(),
            ..Table::default()
        }
    }

    fn table(&self) -> Table {
        let header = [
            "level",
            "codes",
            "used",
            "entropy",
            "perplexity",
            "Gini",
            "prefixes",
            "fan-out",
            "most",
            "error",
        ];
        let rows = self.levels.iter().enumerate().map(|(at, level)| {
            vec![
                (at + 1).to_string(),
                level.codebook_size.to_string(),
                percent(level.usage),
                format!("{:.3}", level.entropy),
                format!("{:.1}", level.perplexity),
                format!("{:.3}", level.gini),
                level.num_prefixes.to_string(),
                format!("{:.2}", level.mean_fan_out),
                level.max_fan_out.to_string(),
                level.relative_error.map_or_else(String::new, |error| format!("{error:.3}")),
            ]
        });
        Table {
            caption: "Levels; entropy in nats, error as a share of variance".to_owned(),
            header: header.map(str::to_owned).to_vec(),
            rows: rows.collect(),
            ..Table::default()
        }
    }
}

/// Nats of the next item, level by level and in all.
fn predicted(predicted: &Predicted) -> Table {
    let prediction = &predicted.measured;
    let row = |name: String, nats: f64, unigram: f64| {
        vec![name, format!("{nats:.3}"), format!("{unigram:.3}"), format!("{:.3}", unigram - nats)]
    };
    let levels = prediction.levels.iter().enumerate();
    let levels = levels.map(|(at, q)| row((at + 1).to_string(), q.nats, q.unigram_nats));
    let total = row("item".to_owned(), prediction.nats, prediction.unigram_nats);
    Table {
        caption: format!(
            "How well codes say which item follows: nats of {} held-out training events, given the item \
             before and by frequency alone",
            prediction.num_pairs
        ),
        header: ["level", "nats", "by frequency", "gain"].map(str::to_owned).to_vec(),
        rows: levels.chain([total]).collect(),
        notes: vec![predicted.meaning()],
    }
}

/// Items on each code of each level.
fn usage(catalog: &Catalog) -> Histogram {
    let spec = catalog.spec();
    let sizes = spec.codebook_sizes().iter().copied();
    let suffix = (spec.suffix_size() > 0).then_some(spec.suffix_size());
    let panels = sizes.chain(suffix).enumerate().map(|(level, size)| {
        let mut counts = vec![0.0; size];
        for sid in catalog.sids() {
            let slot = sid.get(level).and_then(|code| counts.get_mut(usize::from(*code)));
            if let Some(count) = slot {
                *count += 1.0;
            }
        }
        let kind = if level < spec.num_levels() { "level" } else { "suffix, level" };
        Panel { name: format!("{kind} {}", level + 1), counts }
    });
    Histogram {
        caption: "Use of codes".to_owned(),
        x_axis: "code".to_owned(),
        y_axis: "items".to_owned(),
        panels: panels.collect(),
    }
}

/// A curve over the levels that have the value; `None` if none has.
fn by_level(
    name: &str,
    levels: &[LevelQuality],
    value: impl Fn(&LevelQuality) -> Option<f64>,
) -> Option<Series> {
    let points: Vec<(f64, f64)> = levels
        .iter()
        .enumerate()
        .filter_map(|(at, level)| Some(((at + 1) as f64, value(level)?)))
        .collect();
    (!points.is_empty()).then(|| Series { name: name.to_owned(), points })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use sidereal_page::Block;

    use super::*;
    use crate::{Codebooks, Collisions, JudgedCodes, Prediction};

    #[test]
    fn the_section_counts_every_item_and_leaves_out_what_was_not_measured() {
        let codebooks =
            Codebooks::new(vec![array![[0.0], [10.0]], array![[-1.0], [1.0], [3.0]]]).unwrap();
        let rows = array![[-1.0f32], [1.0], [1.1], [11.0]];
        let codes = codebooks.encode(rows.view()).unwrap();
        let catalog = Collisions::Suffix.catalog(&codebooks, rows.view(), codes.view()).unwrap();
        let report = QualityReport::from_codes(codes.view(), &[2, 3]).unwrap();

        let mut page = Page::new("");
        report.push_to(&mut page, &catalog);
        let [Block::Table(_), Block::Table(levels), Block::Histogram(usage)] = &page.blocks[..]
        else {
            panic!("{:?}", page.blocks)
        };
        assert_eq!(levels.rows.len(), 2);
        assert_eq!(usage.panels[0].counts, [3.0, 1.0]);
        assert_eq!(usage.panels[1].counts, [1.0, 3.0, 0.0]);
        assert!(page.render().unwrap().contains("25.00 %")); // one Semantic ID fewer than four items

        let mut page = Page::new("");
        let (pair, codes) = ([0, 1].map(sidereal_sid::ItemId), codes.view());
        let measured = Prediction::measure(&catalog, &[pair], &[(pair[0], pair[1])]).unwrap();
        let report = report.with_prediction(measured, JudgedCodes::Own);
        let report = report.with_reconstruction(&codebooks, rows.view(), codes).unwrap();
        report.push_to(&mut page, &catalog);
        assert!(matches!(page.blocks.last(), Some(Block::Lines(plot)) if plot.series.len() == 1));
        // Two levels, a suffix, and the item.
        assert!(matches!(&page.blocks[2], Block::Table(nats) if nats.rows.len() == 4));
    }
}
