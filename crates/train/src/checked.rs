//! Settings that were checked.

use std::ops::Deref;

/// Settings of a training that were checked: holding them is the proof that every range holds.
///
/// `check` of [`NextItemConfig`](crate::NextItemConfig), [`SftConfig`](crate::SftConfig),
/// [`RlConfig`](crate::RlConfig), [`PreferenceConfig`](crate::PreferenceConfig) and
/// [`ItemHeadConfig`](crate::ItemHeadConfig) makes them, and nothing else does. A training accepts nothing
/// else. They can be read but not changed: change a copy and check it. One wrapper serves all five, because a separate checked type for each would repeat some forty
/// settings, and because a check needs the name of the stage, which `TryFrom` cannot take.
///
/// ```
/// use sidereal_train::{Checked, SftConfig};
///
/// let checked: Checked<SftConfig> = SftConfig::default().check("sft")?;
/// assert_eq!(checked.epochs, 10);
/// let wrong = SftConfig { epochs: 0, ..(*checked).clone() };
/// let error = wrong.check("sft").unwrap_err();
/// assert_eq!(error.to_string(), "configuration: `stage.sft.sft.epochs` is 0; expected at least 1");
/// # Ok::<(), sidereal_train::TrainError>(())
/// ```
///
/// ```compile_fail
/// # let checked = sidereal_train::SftConfig::default().check("sft").unwrap();
/// let mut checked = checked;
/// checked.epochs = 0; // refused by the compiler
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Checked<T>(T);

impl<T> Checked<T> {
    /// Settings that the caller has just checked.
    pub(crate) const fn of(settings: T) -> Self {
        Self(settings)
    }
}

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
