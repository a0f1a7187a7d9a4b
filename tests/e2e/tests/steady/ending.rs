//! Every way to the end is a short one.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::{GIFTS, Gate, Host, PATIENCE, Site, World, eventually, metric, server, toml, zoo_guest};

/// What docs promise, and containers are given: 10 s.
const BOUND: Duration = Duration::from_secs(10);

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

/// Ends the host with this signal, within the bound; answers its exit code and its log.
fn end_by(host: Host, signal: &str) -> (Option<i32>, String) {
    let begun = Instant::now();
    host.signal(signal);
    let finished = host.end();
    assert!(begun.elapsed() < BOUND, "{signal}: {:?}: {}", begun.elapsed(), finished.output);
    (finished.code, finished.output)
}

/// A pipeline on the gifts whose operator spins, for as long as a call may take.
fn add_spinner(site: &Site, behaviour: &str, call_time: &str) {
    let component = zoo_guest("transformer").component;
    site.write(&site.path("operators/spinner.wasm"), &component);
    site.add_pipeline("spinner", "gift_sum", |pipeline| {
        pipeline["step"][0] = toml(&format!(
            "operator = 'spinner'\nconfig = {{ do = '{behaviour}' }}\nlimits = {{ call_time = '{call_time}', open_time = '{call_time}' }}"
        ));
        pipeline["sink"][0]["table"] = "spinner".into();
    });
}

/// Waits until the spinner has a batch in hand, which says nothing of itself: it runs, and has read nothing.
fn await_spinning(host: &mut Host) {
    host.wait("spinner", "it has a record and is stuck with it", |pipeline| {
        pipeline.state == "running" && pipeline.lag() == Some(1) && pipeline.count("records") == 0
    });
}

#[test]
fn each_signal_that_asks_for_an_end_is_followed_by_a_last_flush() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let site = Site::empty(World::Embedded, 1);
        site.add_pipeline("gifts", "gift_sum", |pipeline| {
            // So long that only the end flushes.
            pipeline["sink"][0]["flush"] = toml("rows = 1000000\ninterval = '1h'\nretries = 0");
        });
        site.send(GIFTS, &[GIFT]);
        let mut host = Host::start(&site);
        host.wait("gifts", "it has flushed once", |pipeline| {
            pipeline.lag() == Some(0) && pipeline.count("flushes") > 0
        });
        site.send(GIFTS, &[GIFT]);
        host.wait("gifts", "it has read everything", |pipeline| pipeline.count("records") == 2);
        let (code, log) = end_by(host, signal);
        assert_eq!(code, Some(0), "{log}");
        let sums = metric("gift_sum");
        site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
    }
}

#[test]
fn a_host_whose_servers_never_answer_is_ended_at_once() {
    // It takes connections, and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    let connections = [
        format!("kafka = {{ brokers = '{address}' }}"),
        format!("mysql = {{ url = 'mysql://live:secret@{address}/live' }}"),
        format!("hbase = {{ thrift = '{address}' }}"),
    ];
    for (connection, settings) in ["events", "livedb", "dimensions"].into_iter().zip(connections) {
        let site = Site::new(World::Embedded, 1);
        site.configure(|config| {
            drop(config["connections"].as_table_mut().unwrap().insert(connection.into(), toml(&settings)))
        });
        let host = Host::start(&site);
        eventually("the host runs", PATIENCE, || host.admin());
        let (code, log) = end_by(host, "-TERM");
        assert_eq!(code, Some(0), "{connection}: {log}");
    }
}

#[test]
fn a_signal_that_comes_as_soon_as_the_host_is_there_ends_it() {
    let site = Site::new(World::Embedded, 1);
    for pause in [0, 5, 20, 80] {
        let host = Host::start(&site);
        // At any moment of its start.
        std::thread::sleep(Duration::from_millis(pause));
        // Before it hears signals, one ends it as it ends any process.
        let (code, log) = end_by(host, "-TERM");
        assert!(matches!(code, Some(0) | None), "{code:?}: {log}");
    }
}

#[test]
fn a_host_whose_operator_spins_ends_in_time_and_loses_nothing() {
    for behaviour in ["spin", "spin in open"] {
        let site = Site::empty(World::Embedded, 1);
        add_spinner(&site, behaviour, "5s");
        site.add_pipeline("gifts", "gift_sum", |pipeline| {
            pipeline["sink"][0]["flush"] = toml("rows = 1000000\ninterval = '1h'\nretries = 0");
        });
        site.send(GIFTS, &[GIFT]);
        let mut host = Host::start(&site);
        host.wait("gifts", "it has read everything", |pipeline| pipeline.count("records") == 1);
        if behaviour == "spin" {
            await_spinning(&mut host);
        }
        let (code, log) = end_by(host, "-TERM");
        assert_eq!(code, Some(0), "{log}");
        let sums = metric("gift_sum");
        site.tables().await_rows(sums, sums.table, json!([["1", 5]]));
        // An operator that does its work finds the record that the other one was stuck with.
        site.edit_pipeline("spinner", |pipeline| pipeline["step"][0]["config"]["do"] = "echo".into());
        let mut host = Host::start(&site);
        host.wait("spinner", "it reads what it was stuck with", |pipeline| pipeline.count("records") == 1);
        assert_eq!(end_by(host, "-TERM").0, Some(0));
    }
}

#[test]
fn another_signal_ends_the_host_at_once() {
    let site = Site::empty(World::Embedded, 1);
    site.configure(|config| drop(config.insert("stop_within".into(), "1h".into())));
    add_spinner(&site, "spin", "60s");
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_spinning(&mut host);
    host.signal("-TERM");
    eventually("it is to end", PATIENCE, || {
        host.log().contains("flushing and ending").then_some(()).ok_or_else(|| host.log())
    });
    // Two in a moment are one request.
    std::thread::sleep(Duration::from_millis(500));
    let (code, log) = end_by(host, "-TERM");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("SIGTERM once more"), "{log}");
}

#[test]
fn a_pipeline_that_takes_long_to_end_holds_up_no_change_of_others() {
    let site = Site::empty(World::Embedded, 1);
    // It isn't interrupted in this test.
    site.configure(|config| drop(config.insert("stop_within".into(), "1h".into())));
    add_spinner(&site, "spin", "60s");
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_spinning(&mut host);
    std::fs::remove_file(site.path("pipelines/spinner.toml")).unwrap();
    site.add_pipeline("gifts", "gift_sum", |_| {});
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 5]]));
    // Another of its name waits for it, and says so.
    add_spinner(&site, "echo", "60s");
    let waiting = host.wait("spinner", "it waits", |pipeline| pipeline.state == "waiting");
    assert!(waiting.reason.unwrap().contains("has not ended yet"));
    assert!(!host.log().contains("ended: its file changed"), "{}", host.log());
    host.kill();
}

#[test]
fn a_database_that_freezes_is_left_in_time_and_its_rows_are_written_by_the_next_start() {
    let site = Site::empty(World::Servers, 1);
    let gate = Gate::to(server("SLUICE_TEST_MARIADB").rsplit_once('@').unwrap().1.split('/').next().unwrap());
    let behind = site.mysql_url().replacen(&gate.server, &gate.address, 1);
    let through = |address: &str| {
        site.configure(|config| config["connections"]["livedb"]["mysql"]["url"] = address.into());
    };
    through(&behind);
    site.add_pipeline("gifts", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let sums = metric("gift_sum");
    let mut host = Host::start(&site);
    site.tables().await_rows(sums, sums.table, json!([["1", 5]]));
    gate.freeze();
    site.send(GIFTS, &[GIFT]);
    host.wait("gifts", "it has read everything", |pipeline| pipeline.count("records") == 2);
    let (code, log) = end_by(host, "-TERM");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("read again at the next start"), "{log}");
    through(&site.mysql_url());
    let host = Host::start(&site);
    site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
    assert_eq!(end_by(host, "-TERM").0, Some(0));
}
