//! `delivery = "transaction"`: each record's row is in the table once, whatever ends whenever.

use std::fs;

use serde_json::{Value, json};
use sluice_e2e::{
    Corpus, ENTRIES, GIFTS, Host, Kind, Metric, PATIENCE, Pipeline, Rows, Site, World, eventually, expected, metric,
    ordered, sluice, toml,
};
use sluice_testing::proxy::{Cut, Proxy, authority};
use toml::Table;

const PARTITIONS: usize = 3;

/// A row for each record: its place, and something of it. No two rows of the table are one.
const VISITS: Metric = Metric {
    name: "visits",
    table: "visits",
    columns: &[("place", Kind::Integer), ("at", Kind::Integer), ("room_id", Kind::Integer), ("ip", Kind::Text)],
};

/// A pipeline without steps and without a key.
fn add_visits(site: &Site, edit: impl FnOnce(&mut Table)) {
    site.add_pipeline("visits", "live_cleanup", |pipeline| {
        pipeline.remove("step");
        pipeline["source"]["columns"] = toml(
            "place = { kind = 'int64', field = '_partition' }\nat = { kind = 'int64', field = '_offset' }\nroom_id = \
             'int64'\nip = 'utf8'",
        );
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.remove("key");
        sink.insert("table".into(), "visits".into());
        sink.insert("delivery".into(), "transaction".into());
        sink.insert("flush".into(), toml("rows = 700\ninterval = '50ms'"));
        pipeline.insert("on_error".into(), "dead_letter".into());
        edit(pipeline);
    });
}

/// What the table must hold: a row for each of the first records of each partition.
fn visits(corpus: &Corpus, to: f64) -> Rows {
    let mut rows = Vec::new();
    for partition in 0..PARTITIONS {
        for (offset, record) in corpus.records(ENTRIES, partition, to).iter().enumerate() {
            let record: Value = serde_json::from_str(record).unwrap();
            let ip = match &record["ip"] {
                Value::String(ip) => json!(ip),
                Value::Null => Value::Null,
                other => json!(other.to_string()),
            };
            let room = match &record["room_id"] {
                Value::String(room) => room.trim().parse::<i64>().map_or(Value::Null, Value::from),
                other => other.clone(),
            };
            rows.push(vec![json!(partition), json!(offset), room, ip]);
        }
    }
    ordered(rows)
}

fn load(site: &Site, corpus: &Corpus, from: f64, to: f64) {
    site.load(corpus, from, to);
}

fn await_visits(site: &Site, corpus: &Corpus, to: f64) {
    site.tables().await_table(&VISITS, &visits(corpus, to));
}

fn each_row_is_there_once(world: World, kills: u32) {
    let corpus = Corpus::generate(21, 60_000, 10, PARTITIONS);
    let site = Site::empty(world, i32::try_from(PARTITIONS).unwrap());
    add_visits(&site, |_| {});
    let mut random = fastrand::Rng::with_seed(u64::from(kills));
    for kill in 0..kills {
        load(&site, &corpus, f64::from(kill) / f64::from(kills), f64::from(kill + 1) / f64::from(kills));
        let mut host = Host::start(&site);
        let records = random.u64(0..60_000 / u64::from(kills));
        host.wait("visits", "it has come so far", |pipeline| {
            pipeline.count("records") >= records || pipeline.lag() == Some(0)
        });
        host.kill();
    }
    let host = Host::start(&site);
    await_visits(&site, &corpus, 1.0);
    let finished = host.terminate();
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

#[test]
fn each_record_has_its_row_once_after_twelve_kills_on_the_embedded_default() {
    each_row_is_there_once(World::Embedded, 12);
}

#[test]
fn each_record_has_its_row_once_after_twelve_kills_on_servers() {
    each_row_is_there_once(World::Servers, 12);
}

#[test]
fn each_record_has_its_row_once_after_twelve_kills_on_mysql() {
    each_row_is_there_once(World::Mysql, 12);
}

/// The rows' intervals are in the database, so the state directory may be lost.
#[test]
fn a_host_with_an_empty_state_directory_goes_on_from_the_database() {
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let corpus = Corpus::generate(22, 20_000, 10, PARTITIONS);
        let site = Site::empty(world, 3);
        add_visits(&site, |_| {});
        for part in 0..4 {
            let (from, to) = (f64::from(part) / 4.0, f64::from(part + 1) / 4.0);
            load(&site, &corpus, from, to);
            let host = Host::start(&site);
            await_visits(&site, &corpus, to);
            host.kill();
            fs::remove_dir_all(site.path("state")).unwrap();
            fs::create_dir(site.path("state")).unwrap();
            // It must not matter any more.
            add_visits(&site, |pipeline| pipeline["source"]["start"] = "latest".into());
        }
    }
}

#[test]
fn records_are_read_again_whose_rows_a_restored_database_lacks() {
    let corpus = Corpus::generate(23, 20_000, 10, PARTITIONS);
    let site = Site::empty(World::Embedded, 3);
    add_visits(&site, |_| {});
    let (database, backup) = (site.path("live.db"), site.path("backup.db"));
    let run = |from: f64, to: f64| {
        load(&site, &corpus, from, to);
        let host = Host::start(&site);
        await_visits(&site, &corpus, to);
        assert_eq!(host.terminate().code, Some(0));
    };
    run(0.0, 0.3);
    site.tables().execute(format!("VACUUM INTO '{}'", backup.display()));
    run(0.3, 0.7);
    fs::copy(&backup, &database).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("live.db{suffix}")));
    }
    load(&site, &corpus, 0.7, 1.0);
    let host = Host::start(&site);
    await_visits(&site, &corpus, 1.0);
    assert!(host.log().contains("going on from the rows, so records are read again"), "{}", host.log());
    assert_eq!(host.terminate().code, Some(0));
    // And one that was emptied, from where the pipeline began.
    site.tables().execute("DELETE FROM visits; DELETE FROM sluice_checkpoint".to_owned());
    let _host = Host::start(&site);
    await_visits(&site, &corpus, 1.0);
}

#[test]
fn of_two_hosts_one_stops_and_says_who_the_other_is() {
    let corpus = Corpus::generate(24, 30_000, 10, PARTITIONS);
    let (one, two) = (Site::empty(World::Embedded, 3), Site::empty(World::Embedded, 3));
    two.configure(|config| {
        for (name, kind, key, file) in
            [("events", "log", "directory", "events"), ("livedb", "sqlite", "path", "live.db")]
        {
            config["connections"][name][kind][key] = one.path(file).to_str().unwrap().into();
        }
    });
    for site in [&one, &two] {
        add_visits(site, |_| {});
    }
    load(&one, &corpus, 0.0, 0.1);
    let mut hosts = [Host::start(&one), Host::start(&two)];
    // Both have begun where the table is; what comes now is written by one of them. Who found the database in use while it
    // was opened tries again.
    let names_the_other =
        |pipeline: &Pipeline| pipeline.reason.as_ref().is_some_and(|reason| reason.contains("this is"));
    for host in &mut hosts {
        host.wait("visits", "it has read or stopped for the other", |pipeline| {
            pipeline.lag() == Some(0) || names_the_other(pipeline)
        });
    }
    load(&one, &corpus, 0.1, 1.0);
    await_visits(&one, &corpus, 1.0);
    let reasons = eventually("one has stopped", PATIENCE, || {
        let stopped: Vec<_> = hosts
            .iter()
            .filter_map(|host| host.status().ok()?.pipeline("visits").ok().cloned())
            .filter(names_the_other)
            .filter_map(|pipeline| pipeline.reason)
            .collect();
        if stopped.is_empty() { Err("both run".to_owned()) } else { Ok(stopped) }
    });
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    for part in ["visits", "partition", "the rows in the table are up to", "these begin at", "wrote that at"] {
        assert!(reasons[0].contains(part), "{part}: {}", reasons[0]);
    }
}

/// The flusher sees connections break at commits, and can't know which were made.
fn each_row_is_there_once_though_answers_are_lost(world: World) {
    let corpus = Corpus::generate(25, 30_000, 10, PARTITIONS);
    let site = Site::empty(world, 3);
    add_visits(&site, |pipeline| {
        pipeline["source"].as_table_mut().unwrap().insert("batch".into(), toml("rows = 100"));
        pipeline["sink"][0]["flush"] = toml("rows = 500\ninterval = '10ms'");
    });
    let proxy = Proxy::before(&authority(&site.mysql_url()), |commit| match commit % 7 {
        2 | 4 => Some(Cut::Answer),
        5 => Some(Cut::Request),
        _ => None,
    });
    let url = proxy.url(&site.mysql_url());
    site.configure(|config| config["connections"]["livedb"]["mysql"]["url"] = url.into());
    load(&site, &corpus, 0.0, 1.0);
    let mut host = Host::start(&site);
    await_visits(&site, &corpus, 1.0);
    host.wait("visits", "it runs", |pipeline| pipeline.state == "running");
    assert!(proxy.cuts() > 5, "{} of {} commits were cut", proxy.cuts(), proxy.commits());
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn each_record_has_its_row_once_though_answers_to_commits_are_lost_on_mariadb() {
    each_row_is_there_once_though_answers_are_lost(World::Servers);
}

#[test]
fn each_record_has_its_row_once_though_answers_to_commits_are_lost_on_mysql() {
    each_row_is_there_once_though_answers_are_lost(World::Mysql);
}

fn add_gifts(site: &Site) {
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.insert("delivery".into(), "transaction".into());
        sink.insert("flush".into(), toml("rows = 100\ninterval = '20ms'"));
    });
}

#[test]
fn a_fold_is_right_after_kills_and_never_counts_from_nothing_where_there_are_rows() {
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let corpus = Corpus::generate(26, 10, 60_000, PARTITIONS);
        let expected = &expected(&corpus.topics(), &[])[1];
        let site = Site::empty(world, 3);
        add_gifts(&site);
        for kill in 0..8u32 {
            site.load(&corpus, f64::from(kill) / 8.0, f64::from(kill + 1) / 8.0);
            let mut host = Host::start(&site);
            host.wait("gift_sum", "it has flushed", |pipeline| {
                pipeline.count("flushes") > 1 || pipeline.lag() == Some(0)
            });
            host.kill();
        }
        let mut host = Host::start(&site);
        site.tables().await_table(metric("gift_sum"), expected);
        host.wait("gift_sum", "it has read all", |pipeline| pipeline.lag() == Some(0));
        assert_eq!(host.terminate().code, Some(0));
        fs::remove_dir_all(site.path("state")).unwrap();
        fs::create_dir(site.path("state")).unwrap();
        let mut host = Host::start(&site);
        let stopped = host.wait("gift_sum", "it has stopped", |pipeline| pipeline.state == "stopped");
        let reason = stopped.reason.unwrap();
        assert!(reason.contains("the rows are of records up to 0:") && reason.contains("state directory"), "{reason}");
        site.tables().await_table(metric("gift_sum"), expected);
        // And as it says, one can start over.
        site.tables().execute("DELETE FROM sluice_checkpoint WHERE pipeline = 'gift_sum'".to_owned());
        host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
        site.tables().await_table(metric("gift_sum"), expected);
    }
}

#[test]
fn a_fold_writes_every_group_again_into_a_database_that_lacks_some() {
    let corpus = Corpus::generate(27, 10, 10_000, PARTITIONS);
    let expected = &expected(&corpus.topics(), &[])[1];
    let site = Site::empty(World::Embedded, 3);
    add_gifts(&site);
    site.load(&corpus, 0.0, 1.0);
    let host = Host::start(&site);
    site.tables().await_table(metric("gift_sum"), expected);
    assert_eq!(host.terminate().code, Some(0));
    site.tables().execute("DELETE FROM live_gift_total_amount; UPDATE sluice_checkpoint SET end_offset = 1".to_owned());
    let host = Host::start(&site);
    site.tables().await_table(metric("gift_sum"), expected);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_fold_without_a_key_is_refused_before_it_runs() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.remove("key");
        sink.insert("delivery".into(), "transaction".into());
    });
    site.send(GIFTS, &["{}"]);
    let config = site.config();
    let checked = sluice(&["check", "--config", config.to_str().unwrap()]);
    assert!(checked.output.contains("sink[0].key") && checked.output.contains("has no key"), "{}", checked.output);
    let mut host = Host::start(&site);
    let stopped = host.wait("gift_sum", "it has stopped", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.unwrap().contains("has no key"));
}

/// Letters and rows of a killed pipeline, and a retry that is killed, too: each record is in one place, once.
#[test]
fn a_record_is_in_the_table_or_among_the_dead_letters_and_retried_once() {
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let site = Site::empty(world, 1);
        add_visits(&site, |_| {});
        let good = |i: usize| format!(r#"{{"room_id":{i},"ip":"a"}}"#);
        let records: Vec<String> = (0..20_000).map(|i| if i % 13 == 0 { "{".to_owned() } else { good(i) }).collect();
        for part in records.chunks(5_000) {
            site.send(ENTRIES, part);
            let mut host = Host::start(&site);
            host.wait("visits", "it has begun", |pipeline| {
                pipeline.count("records") > 1_000 || pipeline.lag() == Some(0)
            });
            host.kill();
        }
        let host = Host::start(&site);
        let rows = |of: &dyn Fn(usize) -> bool| {
            let row = |i: usize| vec![json!(0), json!(i), json!(i), json!("a")];
            ordered((0..20_000).filter(|i| of(*i)).map(row).collect())
        };
        site.tables().await_table(&VISITS, &rows(&|i| i % 13 != 0));
        assert_eq!(host.terminate().code, Some(0));
        let place =
            Metric { name: "letters", table: "sluice_dead_letters", columns: &[("record_offset", Kind::Integer)] };
        let letters = || site.tables().rows(&place, place.table).unwrap();
        let of = |i: &dyn Fn(usize) -> bool| ordered((0..20_000).filter(|n| i(*n)).map(|n| vec![json!(n)]).collect());
        assert_eq!(letters(), of(&|i| i % 13 == 0));
        // Mended by hand, as a producer's fix would: the records are taken in now.
        let value = if world == World::Embedded {
            "CAST('{\"room_id\":7,\"ip\":\"b\"}' AS BLOB)"
        } else {
            "'{\"room_id\":7,\"ip\":\"b\"}'"
        };
        site.tables().execute(format!("UPDATE sluice_dead_letters SET record_value = {value}, retry = 1"));
        for _ in 0..6 {
            let mut host = Host::start(&site);
            host.wait("visits", "it runs", |pipeline| pipeline.state == "running");
            host.kill();
        }
        let host = Host::start(&site);
        eventually("every letter is taken in", PATIENCE, || {
            let left = letters();
            if left.is_empty() { Ok(()) } else { Err(format!("{} are left", left.len())) }
        });
        let mut expected = rows(&|i| i % 13 != 0);
        expected.extend((0..20_000).filter(|i| i % 13 == 0).map(|i| vec![json!(0), json!(i), json!(7), json!("b")]));
        site.tables().await_table(&VISITS, &ordered(expected));
        assert_eq!(host.terminate().code, Some(0));
    }
}

/// Retention went over what a pipeline had not read while it was down.
#[test]
fn records_that_the_topic_lost_meanwhile_stop_a_pipeline_with_both_numbers_and_skip_nothing() {
    let corpus = Corpus::generate(28, 6_000, 6_000, PARTITIONS);
    let site = Site::empty(World::Servers, 3);
    add_visits(&site, |_| {});
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    site.load(&corpus, 0.0, 0.5);
    let mut host = Host::start(&site);
    host.wait_until_read(PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
    let before = [(metric("gift_sum"), "live_gift_total_amount"), (&VISITS, "visits")];
    let tables = || before.map(|(metric, table)| site.tables().rows(metric, table).unwrap());
    let there = tables();
    site.load(&corpus, 0.5, 1.0);
    let mut lost = Vec::new();
    for (topic, read) in
        [(GIFTS, corpus.records(GIFTS, 1, 0.5).len()), (ENTRIES, corpus.records(ENTRIES, 1, 0.5).len())]
    {
        let to = i64::try_from(read).unwrap() + 7;
        site.topic(topic).delete_before(1, to);
        lost.push((read, to));
    }
    let mut host = Host::start(&site);
    for (name, (read, to)) in ["gift_sum", "visits"].into_iter().zip(lost) {
        let stopped = host.wait(name, "it has stopped", |pipeline| pipeline.state == "stopped");
        let reason = stopped.reason.unwrap();
        for part in ["[1]", &format!("offset {read}"), &format!("it has {to} to"), "start over", "restore the records"]
        {
            assert!(reason.contains(part), "{name}: {part} in: {reason}");
        }
    }
    assert_eq!(tables(), there);
    assert_eq!(host.terminate().code, Some(0));
}
