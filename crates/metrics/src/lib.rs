//! Ranking metrics with intervals and paired tests.
