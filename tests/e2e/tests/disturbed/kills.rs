use std::thread;

use sluice_e2e::{Corpus, Host, Leave, METRICS, Outage, Server, Site, World, expected};

use crate::{PATIENCE, alone, drip, wait_for_rows};

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
        host.wait(metric.name, "it has come so far", |pipeline| {
            pipeline.count("records") >= records || pipeline.lag() == Some(0)
        });
        host.kill();
    }
    let host = Host::start(&site);
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
}

/// Kills the server while records keep coming. What it had answered counts, and what it had not is done again.
fn assert_right_after_a_kill(world: World, server: Server) {
    let _alone = alone();
    let corpus = Corpus::generate(8, 40_000, 80_000, 3);
    let site = Site::new(world, 3);
    site.load(&corpus, 0.0, 0.2);
    let mut host = Host::start(&site);
    wait_for_rows(&mut host);
    thread::scope(|scope| {
        let loading = scope.spawn(|| drip(&site, &corpus, 0.2));
        Outage::begin(server, Leave::Kill).end();
        loading.join().unwrap();
    });
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    for metric in &METRICS {
        host.wait(metric.name, "it runs again", |pipeline| pipeline.state == "running");
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn every_table_is_right_after_the_broker_was_killed() {
    assert_right_after_a_kill(World::Servers, Server::Kafka);
}

#[test]
fn every_table_is_right_after_the_database_was_killed() {
    assert_right_after_a_kill(World::Servers, Server::Mariadb);
}

#[test]
fn every_table_is_right_after_mysql_was_killed() {
    assert_right_after_a_kill(World::Mysql, Server::Mysql);
}

#[test]
fn every_table_is_right_after_hbase_was_killed() {
    assert_right_after_a_kill(World::Servers, Server::Hbase);
}

#[test]
fn every_table_is_right_after_the_lookups_server_was_killed() {
    assert_right_after_a_kill(World::Servers, Server::Thrift);
}

/// Topics beside tables, under kills of the broker and of the host: of each key the last record is the table's row, and nothing is
/// lost. What was written before a kill may come again after it.
#[test]
fn the_last_record_of_each_key_is_right_after_kills_of_broker_and_host() {
    const ROUNDS: u32 = 6;
    let _alone = alone();
    let corpus = Corpus::generate(31, 30_000, 60_000, 3);
    let site = Site::empty(World::Servers, 3);
    for metric in &METRICS {
        site.add_pipeline(metric.name, metric.name, |pipeline| {
            let key = pipeline["sink"][0]["key"].as_array().unwrap().clone();
            let key: Vec<&str> = key.iter().map(|name| name.as_str().unwrap()).collect();
            pipeline["sink"].as_array_mut().unwrap().push(site.topic_sink(metric.table, &key));
        });
    }
    let part = |round: u32| f64::from(round) / f64::from(ROUNDS);
    let mut host = Host::start(&site);
    for round in 0..ROUNDS {
        site.load(&corpus, part(round), part(round + 1));
        let metric = &METRICS[round as usize % METRICS.len()];
        host.wait(metric.name, "it has come so far", |pipeline| {
            pipeline.count("records") > 500 || pipeline.lag() == Some(0)
        });
        if round % 2 == 0 {
            let how = if round % 4 == 0 { Leave::Kill } else { Leave::Freeze };
            Outage::begin(Server::Kafka, how).end();
        } else {
            host.kill();
            host = Host::start(&site);
        }
    }
    site.published().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
}
