//! Items, spelled as titles.

use sidereal_data::Dataset;
use sidereal_policy::{Constraint, SidTokenizer};
use tch::Device;

use crate::error::LabError;

/// Items, spelled as titles.
pub(crate) struct Titles {
    /// A title and the end of the turn.
    pub(crate) whole: Constraint,
    /// A title and the end of the line.
    pub(crate) lines: Constraint,
}

impl Titles {
    /// The titles of a dataset. An item without a title is only an end; no pool holds it.
    pub(crate) fn new(
        dataset: &Dataset,
        tokenizer: &SidTokenizer,
        device: Device,
    ) -> Result<Self, LabError> {
        let ended = |end: &[u32]| -> Result<Constraint, LabError> {
            let sequences = dataset
                .items()
                .iter()
                .map(|item| Ok([tokenizer.encode(&item.title)?.as_slice(), end].concat()))
                .collect::<Result<Vec<_>, LabError>>()?;
            Ok(Constraint::from_sequences(&sequences, device)?)
        };
        let line = line_end(tokenizer)?;
        Ok(Self { whole: ended(&[tokenizer.end_of_turn()])?, lines: ended(&[line])? })
    }
}

/// The token that ends a line of a slate.
///
/// # Errors
/// [`LabError::Setting`] for a tokenizer that has no such token.
pub(super) fn line_end(tokenizer: &SidTokenizer) -> Result<u32, LabError> {
    match tokenizer.encode("\n")?[..] {
        [end] => Ok(end),
        ref line => Err(LabError::Setting {
            field: "tokenizer".to_owned(),
            found: format!("a line end of {} tokens", line.len()),
            needed: "a line end of one token, because it separates the items of a slate",
        }),
    }
}
