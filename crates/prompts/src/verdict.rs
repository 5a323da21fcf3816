//! The two answers to a question about a behaviour.

/// The user shows the behaviour.
pub const YES: &str = "yes";
/// The user does not show it.
pub const NO: &str = "no";
