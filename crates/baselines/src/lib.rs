//! Recommenders to compare with.
