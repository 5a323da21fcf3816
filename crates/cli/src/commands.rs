//! The commands, each with its arguments and what it does.

pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod enrich;
pub(crate) mod export;
pub(crate) mod keys;
pub(crate) mod leaderboard;
pub(crate) mod prepare;
pub(crate) mod recommend;
pub(crate) mod report;
pub(crate) mod sids;
pub(crate) mod train;
