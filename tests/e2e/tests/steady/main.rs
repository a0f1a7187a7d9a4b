//! The host on servers that stay up, and on the embedded default.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking, and their names are their claims"
)]

mod admin;
mod board;
mod configuration;
mod dead_letters;
mod decimals;
mod demo;
mod deployment;
mod ending;
mod figures;
mod files;
mod generator;
mod hosts;
mod identity_source;
mod identity_tables;
mod keys;
mod log;
mod many_letters;
mod pipelines;
mod poison;
mod records;
mod recovery;
mod restart;
mod state;
mod straight;
mod topics;
mod transaction;
mod windows;
