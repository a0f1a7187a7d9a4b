use std::thread;

use sluice_e2e::{Corpus, METRICS, Rows, Site, World, expected, sluice, toml};

fn run_until_caught_up(site: &Site) {
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    for metric in &METRICS {
        let line = finished.output.lines().find(|line| line.contains(metric.name) && line.contains("records"));
        assert!(line.is_some(), "a line for {} in {}", metric.name, finished.output);
    }
}

fn assert_caught_up(world: World, corpus: &Corpus, expected: &[Rows]) {
    let site = Site::new(world, 3);
    site.load(corpus, 0.0, 1.0);
    run_until_caught_up(&site);
    site.tables().assert_equal(expected);
}

#[test]
fn every_table_equals_the_oracles_on_servers_and_on_the_embedded_default() {
    let corpus = Corpus::generate(1, 200_000, 500_000, 3);
    thread::scope(|scope| {
        let oracle = scope.spawn(|| expected(&corpus.topics(), &[]));
        let site = Site::new(World::Servers, 3);
        site.load(&corpus, 0.0, 1.0);
        run_until_caught_up(&site);
        let expected = oracle.join().unwrap();
        site.tables().assert_equal(&expected);
        assert_caught_up(World::Embedded, &corpus, &expected);
    });
}

#[test]
fn a_region_that_the_pipeline_maps_is_in_the_table() {
    let corpus = Corpus::generate(2, 2_000, 10, 1);
    let expected = expected(&corpus.topics(), &["--region-field", "region"]);
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("live_cleanup", "live_cleanup", |pipeline| {
        pipeline["source"]["columns"]["region_code"] = toml("kind = 'int64'\nfield = 'region'");
    });
    site.load(&corpus, 0.0, 1.0);
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    assert_eq!(site.tables().rows(&METRICS[0], METRICS[0].table).unwrap(), expected[0]);
}
