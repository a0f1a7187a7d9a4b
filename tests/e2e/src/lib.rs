//! What the end-to-end tests are written with: real servers, a real host process, and the oracle.
//!
//! ```text
//! Corpus (records as files) ──┬──▶ oracle ───────────────────────────────▶ rows ─┐
//!                             └──▶ Site (topics, tables) ──▶ Host ──▶ Tables ──▶ rows, equal
//! ```
//!
//! A [`Site`] has topics, a database, operators and pipelines of its own, so tests run side by side. Those that stop servers
//! are in a test binary of their own, since cargo runs binaries one after another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's library fails by panicking, with what it saw"
)]

mod apart;
mod browser;
mod corpus;
mod gate;
mod guest;
mod host;
mod kafka;
mod oracle;
mod outage;
pub mod published;
mod site;
mod storm;
mod tables;
mod volume;
mod webdriver;

use std::time::{Duration, Instant};

pub use apart::{Apart, await_rows_of_either, await_sums};
pub use browser::{Browser, Screen};
pub use corpus::{Corpus, ENTRIES, GIFTS};
pub use gate::Gate;
pub use guest::{assembled, digest, guest, rebuilt, zoo_guest};
pub use host::{Finished, Host, Pipeline, Status, compile, sluice, sluice_command};
pub use kafka::Topic;
pub use oracle::{Kind, METRICS, Metric, Rows, WINDOWED, expected, expected_of, metric, ordered};
pub use outage::{Leave, Outage, Server, start_servers};
pub use site::{Seat, Site, World};
pub use sluice_testing::root;
pub use storm::{storm, swap_storm};
pub use tables::{Held, Tables};
pub use volume::Volume;

/// How long anything may take that ought to happen soon. Generous: a busy machine is no failure, and what doesn't happen at all
/// may take its time to say so.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The address of a server, from an environment variable that `make test` sets.
pub fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} isn't set: run `make test`, or `make services` and then what it prints"))
}

/// A TOML table as a value, for editing pipelines.
pub fn toml(text: &str) -> toml::Value {
    toml::Value::Table(text.parse().expect("valid TOML"))
}

/// Asks again and again until there is an answer. `what` is said, with the last refusal, when the time is up.
///
/// Servers and the host are other processes, which no channel announces anything from: this is the one place that waits by
/// asking.
pub fn eventually<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + patience;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(refusal) if Instant::now() > end => panic!("{what}: not within {patience:?}: {refusal}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
