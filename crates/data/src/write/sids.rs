//! A table of items and their Semantic IDs, for people and spreadsheets.

use std::path::Path;

use sidereal_sid::Catalog;

use super::write_whole;
use crate::{DataError, Item};

/// Writes `item`, `semantic id`, `title`, separated by tabs, a line an item in identity order; a
/// field with a tab, a quote or a line end is quoted. Semantic IDs are in the catalogue's style.
///
/// # Errors
/// [`DataError::CatalogSize`], before anything is written; [`DataError::Io`].
pub fn write(path: &Path, items: &[Item], catalog: &Catalog) -> Result<(), DataError> {
    let (found, needed) = (catalog.sids().len(), items.len());
    if found != needed {
        return Err(DataError::CatalogSize { catalog: found, dataset: needed });
    }
    write_whole(path, |out| {
        let mut table = csv::WriterBuilder::new().delimiter(b'\t').from_writer(out);
        table.write_record(["item", "semantic id", "title"])?;
        for (item, sid) in items.iter().zip(catalog.sids()) {
            table.write_record([item.key.as_str(), &catalog.spec().text(sid), &item.title])?;
        }
        table.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidereal_sid::{SemanticId, SidSpec, TokenStyle};

    fn catalog() -> Catalog {
        let spec = SidSpec::new(vec![4, 4], 0).unwrap();
        let sids = [[0, 3], [2, 1]].map(SemanticId::new);
        Catalog::new(spec, sids.to_vec()).unwrap()
    }

    #[test]
    fn a_title_with_tabs_and_quotes_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.tsv");
        let items = [Item::new("a", "10\" pan,\tred\nsteel"), Item::new("b", "plain")];
        for style in TokenStyle::published() {
            let catalog = catalog().with_style(style);
            write(&path, &items, &catalog).unwrap();
            let mut table = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&path).unwrap();
            let rows: Vec<(String, String, String)> =
                table.deserialize().collect::<Result<_, _>>().unwrap();
            assert_eq!(rows.len(), items.len());
            for ((key, text, title), (item, sid)) in
                rows.iter().zip(items.iter().zip(catalog.sids()))
            {
                assert_eq!((key, title), (&item.key, &item.title));
                assert_eq!(&catalog.spec().parse(text).unwrap(), sid);
            }
        }
    }

    #[test]
    fn a_catalogue_of_other_items_is_refused_before_writing() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&dir.path().join("x"), &[Item::new("a", "")], &catalog()).unwrap_err();
        assert!(matches!(error, DataError::CatalogSize { catalog: 2, dataset: 1 }), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
