//! Datasets, splits, prompts and tasks for generative recommendation.
