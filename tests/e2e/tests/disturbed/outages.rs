use sluice_e2e::{Corpus, Host, Leave, METRICS, Outage, Server, Site, World, expected};

use crate::{PATIENCE, alone, wait_for_rows};

/// Takes the server away from a working host, waits until `affected` says that it holds, and brings the server back.
fn assert_right_after_an_outage(server: Server, affected: &str) {
    let _alone = alone();
    let corpus = Corpus::generate(5, 40_000, 60_000, 3);
    let expected = expected(&corpus.topics(), &[]);
    let site = Site::new(World::Servers, 3);
    site.load(&corpus, 0.0, 0.3);
    let mut host = Host::start(&site);
    wait_for_rows(&mut host);
    let outage = Outage::begin(server, Leave::Stop);
    if server != Server::Kafka {
        site.load(&corpus, 0.3, 0.6);
    }
    let held = host.wait(affected, "it holds, and says why", |pipeline| pipeline.state == "holding");
    assert!(held.reason.is_some(), "{held:?}");
    outage.end();
    site.load(&corpus, if server == Server::Kafka { 0.3 } else { 0.6 }, 1.0);
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
    wait_for_rows(&mut host);
    let outage = Outage::begin(Server::Mariadb, Leave::Stop);
    site.load(&corpus, 0.01, 1.0);
    host.wait("live_cleanup", "it holds, with records to be read", |pipeline| {
        pipeline.state == "holding" && pipeline.lag.is_some_and(|lag| lag > 0)
    });
    outage.end();
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    let peak = host.peak_memory();
    assert!(peak < LIMIT, "the host had up to {peak} bytes resident");
    assert_eq!(host.terminate().code, Some(0));
}
