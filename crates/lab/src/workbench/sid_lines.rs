//! Items, spelled as lines of their Semantic IDs.

use sidereal_policy::{Constraint, SidTokenizer};
use sidereal_sid::Catalog;
use tch::Device;

use super::titles::line_end;
use crate::error::LabError;

/// The constraint under which each item is written as its Semantic ID, with the marks of its style, and the
/// end of the line. Items with one Semantic ID share its leaf.
///
/// Its tokens are those of the vocabulary, so codes and marks are scored like words: against the whole
/// vocabulary.
pub(crate) fn sid_lines(
    catalog: &Catalog,
    tokenizer: &SidTokenizer,
    device: Device,
) -> Result<Constraint, LabError> {
    let end = line_end(tokenizer)?;
    let sequences = catalog
        .sids()
        .iter()
        .map(|sid| {
            let mut line = tokenizer.encode(&catalog.spec().text(sid))?;
            line.push(end);
            Ok(line)
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    Ok(Constraint::from_sequences(&sequences, device)?)
}
