//! Residual quantisation of item embeddings into Semantic IDs.
