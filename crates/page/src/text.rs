//! Tables as text, for terminals.

use std::fmt;

use comfy_table::presets;

use crate::Table;

impl fmt::Display for Table {
    /// The caption, the table, and a line for each note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = comfy_table::Table::new();
        text.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(&self.header);
        text.add_rows(&self.rows);
        writeln!(f, "{}\n{text}", self.caption)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_its_caption_its_cells_and_its_notes() {
        let cells = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        let table = Table {
            caption: "HR@10".to_owned(),
            header: cells(["system", "mean"]),
            rows: vec![cells(["SFT", "0.1000"]), cells(["SFT + RL", "0.1200"])],
            notes: vec!["two runs".to_owned()],
        };
        let text = table.to_string();
        let places = ["HR@10\n", "system", "SFT ", "0.1000", "SFT + RL", "0.1200", "two runs\n"]
            .map(|part| text.find(part).unwrap_or_else(|| panic!("no `{part}` in {text}")));
        assert!(places.is_sorted(), "{text}");
    }
}
