//! Policies that must be language models for what they are asked.

use sidereal_policy::{LanguageModel, Policy, PolicyError};

use crate::TrainError;

/// The policy as a language model, which `what` needs.
///
/// # Errors
/// [`PolicyError::Unsupported`] for another kind of policy.
pub(crate) fn as_language_model<'m>(
    policy: &'m dyn Policy,
    what: &'static str,
) -> Result<&'m dyn LanguageModel, TrainError> {
    policy.language_model().ok_or_else(|| {
        TrainError::from(PolicyError::Unsupported {
            field: "policy",
            found: format!("{what} by a policy that writes no text"),
            expected: "a language model for it",
        })
    })
}
