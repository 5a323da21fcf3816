//! Item transitions as plain arrays, for files and other programs.

use super::ItemTransition;
use crate::BaselineError;

/// An [`ItemTransition`] as arrays: its matrix as compressed sparse rows, and its decay.
///
/// Row `i` holds the items that follow item `i` with their damped weights: the entries
/// `starts[i] .. starts[i + 1]` of `columns` and `weights`, columns upwards, each once.
///
/// # Shapes
/// `starts` `[N + 1]`; `columns`, `weights` `[pairs]`.
///
/// ```
/// use sidereal_baselines::{ItemTransition, Transition, TransitionArrays, TransitionConfig};
/// use sidereal_sid::ItemId;
///
/// let settings = Transition::try_from(TransitionConfig::default().with_backward(0.0))?;
/// let model = ItemTransition::fit(&settings, 3, &[[0, 1], [0, 2]].map(|s| s.map(ItemId)))?;
/// let arrays = TransitionArrays::from(model.clone());
/// assert_eq!((&arrays.starts[..], &arrays.columns[..]), (&[0, 2, 2, 2][..], &[1, 2][..]));
/// assert_eq!(ItemTransition::try_from(arrays)?, model);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionArrays {
    /// Weight of an item of the history relative to the next later one. Range `[0, 1]`.
    pub decay: f32,
    /// First entry of each row, and the number of entries.
    pub starts: Vec<usize>,
    /// The other item of each entry, below `N`.
    pub columns: Vec<u32>,
    /// The weight of each entry: finite, 0 or more.
    pub weights: Vec<f32>,
}

impl From<ItemTransition> for TransitionArrays {
    fn from(model: ItemTransition) -> Self {
        let ItemTransition { decay, starts, columns, weights } = model;
        Self { decay, starts, columns, weights }
    }
}

impl TryFrom<TransitionArrays> for ItemTransition {
    type Error = BaselineError;

    /// Makes the model from the arrays.
    ///
    /// # Errors
    /// [`BaselineError::Stored`] for arrays that are not as [`TransitionArrays`] says.
    fn try_from(arrays: TransitionArrays) -> Result<Self, BaselineError> {
        if let Some(problem) = problem(&arrays) {
            return Err(BaselineError::Stored { what: "item transitions", problem });
        }
        let TransitionArrays { decay, starts, columns, weights } = arrays;
        Ok(Self { decay, starts, columns, weights })
    }
}

/// What is wrong with the arrays.
fn problem(arrays: &TransitionArrays) -> Option<String> {
    let TransitionArrays { decay, starts, columns, weights } = arrays;
    if !(0.0..=1.0).contains(decay) {
        return Some(format!("the decay is {decay}, needed a number in [0, 1]"));
    }
    if columns.len() != weights.len() {
        let (columns, weights) = (columns.len(), weights.len());
        return Some(format!("there are {columns} columns and {weights} weights"));
    }
    let ends = (starts.first().copied(), starts.last().copied());
    if ends != (Some(0), Some(columns.len())) || !starts.is_sorted() {
        return Some(format!("the starts of rows must rise from 0 to {}", columns.len()));
    }
    let num_items = starts.len() - 1;
    for (row, range) in starts.windows(2).enumerate() {
        let columns = &columns[range[0]..range[1]];
        if !columns.is_sorted_by(|a, b| a < b) {
            return Some(format!("the columns of row {row} must rise"));
        }
        if let Some(column) = columns.last().filter(|column| **column as usize >= num_items) {
            return Some(format!("row {row} has the column {column}, but only {num_items} items"));
        }
    }
    let wrong = weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite()))?;
    Some(format!("weight {wrong} is {}, needed a finite number, 0 or more", weights[wrong]))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut TransitionArrays);

    #[test]
    fn arrays_that_are_no_matrix_are_refused() {
        let sound = || TransitionArrays {
            decay: 0.5,
            starts: vec![0, 2, 2, 3],
            columns: vec![0, 2, 1],
            weights: vec![0.1, 0.2, 0.3],
        };
        assert!(ItemTransition::try_from(sound()).is_ok());
        let refused: [(&str, Spoil); 8] = [
            ("decay", |a| a.decay = f32::NAN),
            ("starts", |a| a.starts.clear()),
            ("starts", |a| a.starts[3] = 2),
            ("starts", |a| a.starts[1] = 9),
            ("row 0 must rise", |a| a.columns[0] = 2),
            ("row 2 has the column 3", |a| a.columns[2] = 3),
            ("weights", |a| a.weights.truncate(2)),
            ("weight 1 is -1", |a| a.weights[1] = -1.0),
        ];
        for (named, spoil) in refused {
            let mut arrays = sound();
            spoil(&mut arrays);
            let told = ItemTransition::try_from(arrays).unwrap_err().to_string();
            assert!(told.contains(named), "{named}: {told}");
        }
    }
}
