//! Training loops, evaluation and reports.
