//! The parts of a run. Each has a file of its own, named after what the part makes.

pub(crate) mod answers;
pub(crate) mod blended_rankings;
pub(crate) mod descriptions;
pub(crate) mod domain_rankings;
pub(crate) mod exercises;
pub(crate) mod extended_base;
pub(crate) mod greedy_texts;
pub(crate) mod head_answers;
pub(crate) mod item_vectors;
pub(crate) mod labels;
pub(crate) mod policy;
pub(crate) mod published_ids;
pub(crate) mod quantized_ids;
pub(crate) mod question_rankings;
pub(crate) mod rankings;
pub(crate) mod reasoning;
pub(crate) mod semantic_ids;
pub(crate) mod stage_test;
pub(crate) mod teacher_texts;
pub(crate) mod title_answers;
pub(crate) mod trained_tokenizer;
pub(crate) mod vocabulary;
