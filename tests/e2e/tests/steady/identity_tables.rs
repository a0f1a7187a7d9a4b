//! A table is what it is, not what it is called: one that was dropped, emptied or is elsewhere gets its rows, or a person is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use sluice_e2e::{Finished, GIFTS, Host, PATIENCE, Pipeline, Site, Tables, World, eventually, metric, sluice};

const TABLE: &str = "live_gift_total_amount";

/// What a person makes when the table is missing.
/// The table as somebody makes it.
fn by_hand(world: World) -> String {
    let collation = world.exact_collation();
    format!(
        "CREATE TABLE live_gift_total_amount (gift_type VARCHAR(64) COLLATE {collation} PRIMARY KEY, gift_total_amount BIGINT)"
    )
}

fn gift(of: u8, amount: u32) -> String {
    format!(r#"{{"gift_type":{of},"gift_total_amount":{amount}}}"#)
}

/// Three groups of one gift each.
fn totals(world: World, create: bool) -> Site {
    let site = Site::empty(world, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline["sink"][0].as_table_mut().unwrap().insert("create".into(), create.into());
    });
    if !create {
        if world == World::Embedded {
            fs::File::create(site.path("live.db")).unwrap();
        }
        site.tables().execute(by_hand(world));
    }
    site.send(GIFTS, &[gift(1, 5), gift(2, 7), gift(3, 9)]);
    site
}

fn all() -> Value {
    json!([["1", 5], ["2", 7], ["3", 9]])
}

fn await_rows(tables: &Tables, rows: Value) {
    tables.await_rows(metric("gift_sum"), TABLE, rows);
}

fn command(site: &Site, arguments: &[&str]) -> Finished {
    let config = site.config();
    sluice(&[arguments, &["--config", config.to_str().unwrap()]].concat())
}

fn done(site: &Site, arguments: &[&str]) -> String {
    let finished = command(site, arguments);
    assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.output);
    finished.output
}

fn says(what: &str) -> impl Fn(&Pipeline) -> bool {
    move |pipeline| pipeline.tables.as_ref().is_some_and(|said| said.contains(what)) && !pipeline.refreshing
}

/// The ways in which a table loses its rows.
fn losses(world: World) -> Vec<String> {
    let drop = "DROP TABLE live_gift_total_amount";
    let mut losses = vec!["DELETE FROM live_gift_total_amount".to_owned(), format!("{drop}; {}", by_hand(world))];
    if world.has_servers() {
        losses.push("TRUNCATE TABLE live_gift_total_amount".to_owned());
    }
    losses
}

fn refilled_while_running(world: World) {
    for loss in losses(world) {
        let site = totals(world, false);
        let mut host = Host::start(&site);
        await_rows(&site.tables(), all());
        site.tables().execute(loss.clone());
        // Without another record.
        await_rows(&site.tables(), all());
        host.wait("gift_sum", &format!("after {loss}, it says what it did"), says("all groups are written again"));
        assert!(host.log().contains("all groups are written again"), "{}", host.log());
        site.send(GIFTS, &[gift(1, 5)]);
        await_rows(&site.tables(), json!([["1", 10], ["2", 7], ["3", 9]]));
        assert_eq!(host.terminate().code, Some(0));
    }
}

fn refilled_at_the_start(world: World) {
    for loss in losses(world) {
        let site = totals(world, false);
        let host = Host::start(&site);
        await_rows(&site.tables(), all());
        assert_eq!(host.terminate().code, Some(0));
        site.tables().execute(loss.clone());
        let mut host = Host::start(&site);
        await_rows(&site.tables(), all());
        host.wait("gift_sum", &format!("after {loss}, it says what it did"), says("all groups are written again"));
        assert_eq!(host.terminate().code, Some(0));
        // Once.
        let before = host_log(&site);
        let mut host = Host::start(&site);
        host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running" && pipeline.lag() == Some(0));
        assert_eq!(host.terminate().code, Some(0));
        assert!(!host_log(&site)[before.len()..].contains("written again"), "{}", host_log(&site));
    }
}

fn host_log(site: &Site) -> String {
    fs::read_to_string(site.seat().log).unwrap()
}

#[test]
fn a_table_on_a_server_that_loses_its_rows_while_the_host_runs_gets_them_back() {
    refilled_while_running(World::Servers);
}

#[test]
fn a_table_on_mysql_that_loses_its_rows_while_the_host_runs_gets_them_back() {
    refilled_while_running(World::Mysql);
}

#[test]
fn an_embedded_table_that_loses_its_rows_while_the_host_runs_gets_them_back() {
    refilled_while_running(World::Embedded);
}

#[test]
fn a_table_on_a_server_that_lost_its_rows_while_no_host_ran_gets_them_back() {
    refilled_at_the_start(World::Servers);
}

#[test]
fn a_table_on_mysql_that_lost_its_rows_while_no_host_ran_gets_them_back() {
    refilled_at_the_start(World::Mysql);
}

#[test]
fn an_embedded_table_that_lost_its_rows_while_no_host_ran_gets_them_back() {
    refilled_at_the_start(World::Embedded);
}

#[test]
fn a_table_that_is_dropped_under_the_host_is_made_anew_or_asked_for() {
    for create in [true, false] {
        let site = totals(World::Servers, create);
        let mut host = Host::start(&site);
        await_rows(&site.tables(), all());
        site.tables().execute(format!("DROP TABLE {TABLE}"));
        if !create {
            let stopped = host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
            assert!(stopped.reason.unwrap().contains("set create = true, or run CREATE TABLE"));
            site.tables().execute(by_hand(World::Servers));
        }
        await_rows(&site.tables(), all());
        assert_eq!(host.terminate().code, Some(0));
    }
}

fn given_back_its_column(world: World) {
    let site = totals(world, true);
    let host = Host::start(&site);
    await_rows(&site.tables(), all());
    assert_eq!(host.terminate().code, Some(0));
    site.tables().execute(format!("ALTER TABLE {TABLE} DROP COLUMN gift_total_amount"));
    let mut host = Host::start(&site);
    host.wait("gift_sum", "all groups are written again", says("all groups are written again"));
    await_rows(&site.tables(), all());
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_column_that_a_table_on_a_server_lacks_is_added_and_filled_where_the_table_may_be_made() {
    given_back_its_column(World::Servers);
}

#[test]
fn a_column_that_an_embedded_table_lacks_is_added_and_filled_where_the_table_may_be_made() {
    given_back_its_column(World::Embedded);
}

#[test]
fn another_database_behind_the_url_stops_the_pipeline_until_somebody_says_what_is_right() {
    let site = totals(World::Servers, true);
    let host = Host::start(&site);
    await_rows(&site.tables(), all());
    assert_eq!(host.terminate().code, Some(0));
    let own = site.mysql_url();
    let other = format!("{own}_b");
    let (server, database) = other.rsplit_once('/').unwrap();
    site.tables().execute(format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
    let there = Tables::Mysql(other.clone());
    let lead_to = |url: &str| {
        site.configure(|config| config["connections"]["livedb"]["mysql"]["url"] = url.into());
    };

    lead_to(&other);
    let mut host = Host::start(&site);
    let stopped = host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped").reason.unwrap();
    let was = own.rsplit_once('/').unwrap().1;
    for part in [
        format!("went to database `{was}` of"),
        format!("leads to database `{database}` of"),
        "`sluice resync gift_sum`".to_owned(),
        "`sluice state adopt gift_sum`".to_owned(),
        "correct the url".to_owned(),
    ] {
        assert!(stopped.contains(&part), "{part} in {stopped}");
    }
    assert!(!stopped.contains(server), "no url: {stopped}");
    assert_eq!(host.terminate().code, Some(0));

    // It was a mistake.
    lead_to(&own);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    site.send(GIFTS, &[gift(1, 1)]);
    await_rows(&site.tables(), json!([["1", 6], ["2", 7], ["3", 9]]));
    assert_eq!(host.terminate().code, Some(0));

    // It is meant.
    lead_to(&other);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    let said = done(&site, &["resync", "gift_sum"]);
    assert!(said.contains("writes all of its 3 groups again, to livedb."), "{said}");
    await_rows(&there, json!([["1", 6], ["2", 7], ["3", 9]]));
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running" && !pipeline.refreshing);
    assert_eq!(host.terminate().code, Some(0));

    // It has the rows already: the one before was no copy, and is taken for one.
    lead_to(&own);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    assert_eq!(host.terminate().code, Some(0));
    let config = site.config();
    let adopted = sluice(&["state", "--config", config.to_str().unwrap(), "adopt", "gift_sum"]);
    assert_eq!(adopted.code, Some(0), "{}", adopted.output);
    assert!(adopted.output.contains("databases and tables"), "{}", adopted.output);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    assert_eq!(host.terminate().code, Some(0));
    site.tables().execute(format!("DROP DATABASE {database}"));
}

#[test]
fn an_sqlite_file_that_is_moved_or_removed_under_the_host_is_made_anew_with_all_rows() {
    for removed in [true, false] {
        let site = totals(World::Embedded, true);
        let host = Host::start(&site);
        await_rows(&site.tables(), all());
        let file = site.path("live.db");
        match removed {
            true => fs::remove_file(&file).unwrap(),
            false => fs::rename(&file, site.path("moved.db")).unwrap(),
        }
        site.send(GIFTS, &[gift(1, 5)]);
        eventually("the file is there again", PATIENCE, || {
            file.exists().then_some(()).ok_or_else(|| "it isn't".to_owned())
        });
        await_rows(&site.tables(), json!([["1", 10], ["2", 7], ["3", 9]]));
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "nobody else reads it");
        assert_eq!(host.terminate().code, Some(0));
        let mut host = Host::start(&site);
        host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
        await_rows(&site.tables(), json!([["1", 10], ["2", 7], ["3", 9]]));
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn a_resync_writes_all_groups_also_if_the_host_is_killed_right_after_the_answer() {
    let site = totals(World::Servers, true);
    let host = Host::start(&site);
    await_rows(&site.tables(), all());
    // Nothing that the host could see.
    let hurt = format!("UPDATE {TABLE} SET gift_total_amount = 0 WHERE gift_type = '2'");
    site.tables().execute(hurt.clone());
    let said = done(&site, &["resync", "gift_sum"]);
    assert!(said.contains("3 groups"), "{said}");
    await_rows(&site.tables(), all());

    site.tables().execute(hurt);
    let held = site.tables().hold(&format!("BEGIN; SELECT * FROM {TABLE} FOR UPDATE"));
    done(&site, &["resync", "gift_sum"]);
    host.kill();
    drop(held);
    let mut host = Host::start(&site);
    await_rows(&site.tables(), all());
    host.wait("gift_sum", "it is done", |pipeline| pipeline.state == "running" && !pipeline.refreshing);
    let none = command(&site, &["resync", "nobody"]);
    assert!(none.code == Some(1) && none.output.contains("there are gift_sum"), "{}", none.output);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_transformers_table_that_lost_rows_is_said_with_what_brings_them_back() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("visits", "gift_sum", |pipeline| {
        pipeline.remove("step");
        pipeline["source"]["columns"] =
            sluice_e2e::toml("at = { kind = 'int64', field = '_offset' }\ngift_type = 'utf8'");
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.insert("table".into(), "visits".into());
        sink.insert("key".into(), toml::Value::Array(vec!["at".into()]));
        sink.insert("create".into(), true.into());
    });
    site.send(GIFTS, &[gift(1, 5)]);
    let mut host = Host::start(&site);
    host.wait("visits", "it has written", |pipeline| pipeline.count("rows") == 1);
    fs::rename(site.path("live.db"), site.path("moved.db")).unwrap();
    site.send(GIFTS, &[gift(2, 5)]);
    let says_how = says("run `sluice state reset visits`");
    host.wait("visits", "it says what is lost and goes on", |pipeline| {
        pipeline.count("rows") == 2 && says_how(pipeline)
    });
    let refused = command(&site, &["resync", "visits"]);
    assert!(refused.code == Some(1) && refused.output.contains("no groups to write again"), "{}", refused.output);
    assert_eq!(host.terminate().code, Some(0));
}

/// So many pipelines that each with connections of its own would be over any small server's limit.
#[test]
fn many_pipelines_share_the_connections_that_they_are_allowed() {
    const PIPELINES: usize = 40;
    const CONNECTIONS: i64 = 4;
    let site = Site::empty(World::Servers, 1);
    site.configure(|config| {
        let mysql = config["connections"]["livedb"]["mysql"].as_table_mut().unwrap();
        mysql.insert("connections".into(), CONNECTIONS.into());
    });
    let database = site.mysql_url().rsplit_once('/').unwrap().1.to_owned();
    let names: Vec<String> = (0..PIPELINES).map(|number| format!("gifts_{number}")).collect();
    for name in &names {
        site.add_pipeline(name, "gift_sum", |pipeline| {
            let sink = pipeline["sink"][0].as_table_mut().unwrap();
            sink.insert("table".into(), name.as_str().into());
            sink.insert("create".into(), true.into());
            pipeline.insert("on_error".into(), "dead_letter".into());
        });
    }
    site.send(GIFTS, &[gift(1, 5), gift(2, 7), gift(3, 9)]);
    let host = Host::start(&site);
    let mut most = 0;
    let mut look = || {
        let sessions = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'");
        // This one is of another database.
        let there = Tables::Mysql(sluice_e2e::server("SLUICE_TEST_MARIADB")).number(&sessions).unwrap();
        most = most.max(there);
    };
    for (round, sums) in [all(), json!([["1", 10], ["2", 7], ["3", 9]])].into_iter().enumerate() {
        if round > 0 {
            site.send(GIFTS, &[gift(1, 5)]);
        }
        let sums = sluice_e2e::ordered(serde_json::from_value(sums).unwrap());
        eventually("all tables are right", PATIENCE * 2, || {
            look();
            let right = |name: &&String| site.tables().rows(metric("gift_sum"), name) == Ok(sums.clone());
            let wrong: Vec<_> = names.iter().filter(|name| !right(name)).collect();
            if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
        });
    }
    // Besides the host's there is one of the test that reads, and one or two that the server has not seen ending.
    assert!(most <= CONNECTIONS + 3, "{most} sessions");
    assert_eq!(host.terminate().code, Some(0));
}
