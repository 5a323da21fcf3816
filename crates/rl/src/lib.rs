//! Rewards, advantages and surrogate objectives over Semantic IDs.
