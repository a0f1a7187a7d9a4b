//! The zoo of operators, good and bad: each is named for what it does, and a test says what the host answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod artifacts;
mod cache;
mod folding;
mod guests;
mod limits;
mod log_lines;
mod opening;
mod probing;
mod processing;
