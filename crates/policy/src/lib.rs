//! Language-model policies over Semantic IDs on libtorch.
