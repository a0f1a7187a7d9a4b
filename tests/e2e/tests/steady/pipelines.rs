use std::fs;

use serde_json::json;
use sluice_e2e::{GIFTS, Host, PATIENCE, Site, World, eventually, metric};

const GIFT: &str = r#"{"user_id":7,"gift_type":1,"gift_total_amount":5}"#;

fn await_sum(site: &Site, table: &str, sum: i64) {
    site.tables().await_rows(metric("gift_sum"), table, json!([["1", sum]]));
}

/// The gift totals under this name, into a table of this name.
fn add(site: &Site, name: &str, table: &str) {
    site.add_pipeline(name, "gift_sum", |pipeline| pipeline["sink"][0]["table"] = table.into());
}

fn remove(site: &Site, name: &str) {
    fs::remove_file(site.path("pipelines").join(format!("{name}.toml"))).unwrap();
}

fn await_names(host: &mut Host, names: &[&str]) {
    eventually(&format!("the pipelines are {names:?}"), PATIENCE, || {
        host.assert_runs();
        let running: Vec<String> = host.status()?.pipelines.into_iter().map(|pipeline| pipeline.name).collect();
        (running == names).then_some(()).ok_or_else(|| format!("{running:?}"))
    });
}

#[test]
fn a_new_file_starts_a_pipeline_a_changed_one_restarts_it_and_a_removed_one_ends_it() {
    let site = Site::empty(World::Embedded, 1);
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_names(&mut host, &[]);
    add(&site, "first", "one");
    await_sum(&site, "one", 5);
    add(&site, "second", "two");
    await_sum(&site, "two", 5);
    add(&site, "second", "three");
    await_sum(&site, "three", 5);
    remove(&site, "second");
    await_names(&mut host, &["first"]);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, "one", 10);
    let first = host.wait("first", "it runs", |pipeline| pipeline.state == "running");
    assert_eq!(first.count("records"), 2, "no change of another pipeline restarted it");
    for table in ["two", "three"] {
        await_sum(&site, table, 5);
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_removed_pipeline_flushes_what_it_has_read() {
    let site = Site::empty(World::Embedded, 1);
    site.send(GIFTS, &[GIFT]);
    site.add_pipeline("gifts", "gift_sum", |pipeline| {
        // So long that only the end flushes a second time.
        pipeline["sink"][0]["flush"] = sluice_e2e::toml("rows = 1000000\ninterval = '1h'\nretries = 0");
    });
    let mut host = Host::start(&site);
    let table = metric("gift_sum").table;
    await_sum(&site, table, 5);
    site.send(GIFTS, &[GIFT]);
    host.wait("gifts", "it has read the second gift", |pipeline| pipeline.count("records") == 2);
    remove(&site, "gifts");
    await_sum(&site, table, 10);
    await_names(&mut host, &[]);
}

#[test]
fn a_broken_file_is_refused_with_its_problems_and_what_ran_before_runs_on() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "gifts", "one");
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(&site);
    await_sum(&site, "one", 5);
    let file = site.path("pipelines/gifts.toml");
    let good = fs::read_to_string(&file).unwrap();
    site.write(&file, good.replace("[source]", "[source]\ntopics = \"x\"").as_bytes());
    site.write(&site.path("pipelines/twin.toml"), good.as_bytes());
    for said in ["source.topics", "source.group"] {
        eventually(&format!("the log says what is wrong with {said}"), PATIENCE, || {
            let log = host.log();
            let line = log.lines().find(|line| line.contains("refused") && line.contains(said));
            line.map(drop).ok_or(log)
        });
    }
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, "one", 10);
    fs::remove_file(site.path("pipelines/twin.toml")).unwrap();
    site.write(&file, good.replace("\"one\"", "\"two\"").as_bytes());
    await_sum(&site, "two", 10);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pipeline_whose_table_is_missing_goes_on_once_somebody_makes_it() {
    let site = Site::empty(World::Embedded, 1);
    let table = metric("gift_sum").table;
    add(&site, "other", "other");
    site.add_pipeline("gifts", "gift_sum", |pipeline| pipeline["sink"][0]["create"] = false.into());
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_sum(&site, "other", 5);
    let stopped = host.wait("gifts", "it has stopped", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.as_ref().is_some_and(|reason| reason.contains(table)), "{stopped:?}");
    site.tables().execute(format!("CREATE TABLE {table} (gift_type TEXT PRIMARY KEY, gift_total_amount INTEGER)"));
    await_sum(&site, table, 5);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pipeline_whose_table_is_gone_stops_though_no_more_records_come() {
    let site = Site::empty(World::Embedded, 1);
    let table = metric("gift_sum").table;
    // One that the host may make anew it does.
    site.add_pipeline("gifts", "gift_sum", |pipeline| pipeline["sink"][0]["create"] = false.into());
    site.tables().execute(format!("CREATE TABLE {table} (gift_type TEXT PRIMARY KEY, gift_total_amount INTEGER)"));
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_sum(&site, table, 5);
    site.tables().execute(format!("DROP TABLE {table}"));
    site.send(GIFTS, &[GIFT]);
    let stopped = host.wait("gifts", "it has stopped", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.as_ref().is_some_and(|reason| reason.contains(table)), "{stopped:?}");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_table_that_somebody_dropped_is_made_anew_with_every_group() {
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        let table = metric("gift_sum").table;
        site.add_pipeline("gifts", "gift_sum", |_| {});
        let other = GIFT.replace("\"gift_type\":1", "\"gift_type\":2");
        site.send(GIFTS, &[GIFT, &other]);
        let host = Host::start(&site);
        site.tables().await_rows(metric("gift_sum"), table, json!([["1", 5], ["2", 5]]));
        assert_eq!(host.terminate().code, Some(0));
        site.tables().execute(format!("DROP TABLE {table}"));
        site.send(GIFTS, &[GIFT]);
        let host = Host::start(&site);
        site.tables().await_rows(metric("gift_sum"), table, json!([["1", 10], ["2", 5]]));
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn changes_that_wait_for_a_slow_table_are_bounded_and_all_of_them_reach_it() {
    // As `MAX_CHANGED_GROUPS` and the most rows of a batch are.
    const BOUND: u64 = 131_072;
    const BATCH: u64 = 8_192;
    const USERS: u64 = 2 * BOUND + 10 * BATCH;
    const COUNT: &str = "SELECT COUNT(*) FROM live_gift_by_user";
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline("gift_by_user", "gift_by_user", |_| {});
    let gift = |user| format!(r#"{{"user_id":{user},"gift_total_amount":1}}"#);
    site.send(GIFTS, &[gift(0)]);
    let mut host = Host::start(&site);
    host.wait("gift_by_user", "it has written", |pipeline| pipeline.count("rows") == 1);
    let held = site.tables().hold("LOCK TABLES live_gift_by_user WRITE");
    site.send(GIFTS, &(1..USERS).map(gift).collect::<Vec<_>>());
    let full = host.wait("gift_by_user", "it reads no further", |pipeline| {
        pipeline.count("pending") >= BOUND
            && pipeline.lag().is_some_and(|unread| pipeline.count("records") + unread == USERS)
    });
    assert!(full.count("pending") < BOUND + BATCH && full.lag() > Some(0), "{full:?}");
    drop(held);
    eventually("every user has a row", PATIENCE, || {
        let rows = site.tables().number(COUNT)?;
        (rows == i64::try_from(USERS).unwrap()).then_some(()).ok_or_else(|| rows.to_string())
    });
    assert_eq!(host.terminate().code, Some(0));
}
