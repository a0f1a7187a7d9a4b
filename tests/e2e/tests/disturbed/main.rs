//! The host on servers and disks that go away and come back. One test at a time, and no other test binary beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking, and their names are their claims"
)]

mod disks;
mod kills;
mod outages;
mod storms;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_e2e::{Corpus, Host, METRICS, Site, start_servers};

/// A server that starts again takes its time, and clients find out in their own.
const PATIENCE: Duration = Duration::from_secs(300);

/// Nobody else takes servers away, and every server is there, whatever became of the test before.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    start_servers();
    alone
}

/// Waits until every pipeline has written.
fn wait_for_rows(host: &mut Host) {
    for metric in &METRICS {
        host.wait(metric.name, "it has written", |pipeline| pipeline.count("flushes") > 0);
    }
}

/// Writes what follows `from` to the topics in small parts, so that there is always something to read.
fn drip(site: &Site, corpus: &Corpus, from: f64) {
    const PARTS: u32 = 40;
    let at = |part: u32| from + (1.0 - from) * f64::from(part) / f64::from(PARTS);
    for part in 0..PARTS {
        site.load(corpus, at(part), at(part + 1));
    }
}
