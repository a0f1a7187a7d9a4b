use sluice_e2e::{
    Corpus, GIFTS, Host, Leave, METRICS, Outage, Server, Site, World, await_sums, digest, expected, expected_of, guest,
    metric,
};

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

/// What is deployed while the database is away waits for it, as the rows of the one before do. Each gift is counted once, by one of
/// the two, and those that came before the new one could run aren't its.
#[test]
fn an_operator_that_is_deployed_while_the_database_is_away_takes_over_once_it_is_back() {
    let _alone = alone();
    let corpus = Corpus::generate(9, 1, 60_000, 3);
    let (site, gifts) = (Site::empty(World::Servers, 3), metric("gift_sum"));
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    let load = |from, to| corpus.load(GIFTS, site.topic(GIFTS), from, to);
    load(0.0, 0.3);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it has written", |pipeline| pipeline.count("flushes") > 0);
    let outage = Outage::begin(Server::Mariadb, Leave::Stop);
    load(0.3, 0.6);
    let held = host.wait("gift_sum", "it holds, with everything read", |pipeline| {
        pipeline.state == "holding" && pipeline.lag() == Some(0)
    });
    assert!(held.count("flush_retries") > 0, "{held:?}");
    // It counts in groups of its own.
    let new = guest("gift_sum_apart");
    site.write(&site.path("operators/gift_sum.wasm"), &new);
    let waits = host.wait("gift_sum", "the new one waits", |pipeline| {
        pipeline.refused.as_ref().is_some_and(|reason| reason.starts_with("waits: "))
    });
    assert_eq!(waits.operator.unwrap().generation, 1);
    outage.end();
    let swapped = host.wait_for_artifact("gift_sum", &digest(&new));
    assert_eq!((swapped.operator.unwrap().generation, swapped.refused), (2, None));
    load(0.6, 1.0);
    let expected_of = |topics: &std::path::Path| expected_of(&[*gifts], topics, &[]).remove(0);
    let both = await_sums(&site.tables(), gifts, &expected_of(&corpus.topics()));
    assert_eq!(both.plain, expected_of(corpus.part(0.6).path()), "what the old one had read");
    assert_eq!(host.terminate().code, Some(0));
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
        pipeline.state == "holding" && pipeline.lag().is_some_and(|lag| lag > 0)
    });
    outage.end();
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    let peak = host.peak_memory();
    assert!(peak < LIMIT, "the host had up to {peak} bytes resident");
    assert_eq!(host.terminate().code, Some(0));
}
