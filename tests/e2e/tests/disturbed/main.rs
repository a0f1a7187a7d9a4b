//! The host on servers that go away and come back. One test at a time, and no other test binary beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_e2e::{Corpus, Host, METRICS, Outage, Server, Site, World, expected};

/// A server that starts again takes its time, and clients find out in their own.
const PATIENCE: Duration = Duration::from_secs(120);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the server away from a working host, waits until `affected` says that it holds, and brings the server back.
fn assert_right_after_an_outage(server: Server, affected: &str) {
    let _alone = alone();
    let corpus = Corpus::generate(5, 40_000, 60_000, 3);
    let expected = expected(&corpus.topics(), &[]);
    let site = Site::new(World::Servers, 3);
    site.load(&corpus, 0.0, 0.3);
    let mut host = Host::start(&site);
    for metric in &METRICS {
        host.wait(metric.name, "it has written", |pipeline| pipeline.flushes > 0);
    }
    let outage = Outage::begin(server);
    if !matches!(server, Server::Kafka) {
        site.load(&corpus, 0.3, 0.6);
    }
    let held = host.wait(affected, "it holds, and says why", |pipeline| pipeline.state == "holding");
    assert!(held.reason.is_some(), "{held:?}");
    outage.end();
    site.load(&corpus, if matches!(server, Server::Kafka) { 0.3 } else { 0.6 }, 1.0);
    site.tables().await_equal(&expected, PATIENCE);
    for metric in &METRICS {
        host.wait(metric.name, "it runs again", |pipeline| pipeline.state == "running");
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn every_table_is_right_after_the_broker_was_away() {
    assert_right_after_an_outage(Server::Kafka, "gift_sum");
}

#[test]
fn every_table_is_right_after_the_database_was_away() {
    assert_right_after_an_outage(Server::Mariadb, "live_cleanup");
}

#[test]
fn every_table_is_right_after_the_lookups_server_was_away() {
    assert_right_after_an_outage(Server::Thrift, "module_count");
}

#[test]
fn memory_is_bounded_while_the_database_is_away() {
    // Five pipelines, each with its read-ahead, its waiting rows and a flush in hand.
    const LIMIT: u64 = 150_000_000;
    let _alone = alone();
    let corpus = Corpus::generate(6, 400_000, 1_000_000, 3);
    let site = Site::new(World::Servers, 3);
    site.load(&corpus, 0.0, 0.01);
    let mut host = Host::start(&site);
    for metric in &METRICS {
        host.wait(metric.name, "it has written", |pipeline| pipeline.flushes > 0);
    }
    let outage = Outage::begin(Server::Mariadb);
    site.load(&corpus, 0.01, 1.0);
    host.wait("live_cleanup", "it holds", |pipeline| pipeline.state == "holding");
    outage.end();
    host.wait_until_read(PATIENCE);
    let peak = host.peak_memory();
    assert!(peak < LIMIT, "the host had up to {peak} bytes resident");
    assert_eq!(host.terminate().code, Some(0));
    site.tables().assert_equal(&expected(&corpus.topics(), &[]));
}

/// Under load, with everything that a service has: 30 ends without warning, each at another moment.
#[test]
fn every_table_is_right_after_the_host_was_killed_thirty_times() {
    const KILLS: u32 = 30;
    let _alone = alone();
    let corpus = Corpus::generate(7, 90_000, 180_000, 3);
    let site = Site::new(World::Servers, 3);
    let mut random = fastrand::Rng::with_seed(7);
    for kill in 0..KILLS {
        site.load(&corpus, f64::from(kill) / f64::from(KILLS), f64::from(kill + 1) / f64::from(KILLS));
        let mut host = Host::start(&site);
        // The moment is when some pipeline has read so many of the records that this load brought.
        let (metric, records) = (random.choice(METRICS).expect("metrics"), random.u64(0..4_000));
        host.wait(metric.name, "it has come so far", |pipeline| pipeline.records >= records || pipeline.lag == Some(0));
        host.kill();
    }
    let host = Host::start(&site);
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
}

/// What a killed server had answered counts, and what it had not is done again.
#[test]
fn every_table_is_right_after_each_server_was_killed() {
    let _alone = alone();
    for server in [Server::Kafka, Server::Mariadb, Server::Thrift] {
        let corpus = Corpus::generate(8, 20_000, 40_000, 3);
        let site = Site::new(World::Servers, 3);
        site.load(&corpus, 0.0, 1.0);
        let host = Host::start(&site);
        Outage::kill(server).end();
        site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
        assert_eq!(host.terminate().code, Some(0));
    }
}
