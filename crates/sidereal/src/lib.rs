//! Generative recommendation over Semantic IDs.
