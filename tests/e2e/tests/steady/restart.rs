use sluice_e2e::{Corpus, Host, METRICS, PATIENCE, Site, World, expected, toml};

/// Runs a host over the first part of the corpus, ends it while it works, and lets another one do the rest.
fn assert_right_after_an_end_in_the_middle(world: World, end: impl Fn(Host)) {
    let corpus = Corpus::generate(3, 30_000, 60_000, 3);
    let site = Site::new(world, 3);
    site.load(&corpus, 0.0, 0.6);
    let mut host = Host::start(&site);
    for metric in &METRICS {
        host.wait(metric.name, "it has begun", |pipeline| pipeline.count("records") > 0);
    }
    end(host);
    site.load(&corpus, 0.6, 1.0);
    let host = Host::start(&site);
    site.tables().await_equal(&expected(&corpus.topics(), &[]), PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
}

fn terminate(host: Host) {
    let finished = host.terminate();
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

#[test]
fn sigterm_in_the_middle_changes_no_table_on_servers() {
    assert_right_after_an_end_in_the_middle(World::Servers, terminate);
}

#[test]
fn sigterm_in_the_middle_changes_no_table_on_the_embedded_default() {
    assert_right_after_an_end_in_the_middle(World::Embedded, terminate);
}

#[test]
fn a_crash_in_the_middle_changes_no_table_on_servers() {
    assert_right_after_an_end_in_the_middle(World::Servers, Host::kill);
}

#[test]
fn a_crash_in_the_middle_changes_no_table_on_mysql() {
    assert_right_after_an_end_in_the_middle(World::Mysql, Host::kill);
}

#[test]
fn what_was_read_before_sigterm_is_in_the_tables_after_it() {
    let corpus = Corpus::generate(4, 2_000, 2_000, 1);
    let site = Site::empty(World::Embedded, 1);
    for metric in &METRICS {
        site.add_pipeline(metric.name, metric.name, |pipeline| {
            // So long that only the end flushes.
            pipeline["sink"][0]["flush"] = toml("rows = 1000000\ninterval = '1h'\nretries = 0");
        });
    }
    site.load(&corpus, 0.0, 1.0);
    let mut host = Host::start(&site);
    host.wait_until_read(PATIENCE);
    terminate(host);
    site.tables().assert_equal(&expected(&corpus.topics(), &[]));
}
