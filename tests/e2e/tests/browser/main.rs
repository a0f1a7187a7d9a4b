//! The board's pages in a real browser, on a real host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking, and their names are their claims"
)]

mod ageing;
mod charts;
mod orders;
mod pictures;
mod plain;
mod records;
mod stage;
