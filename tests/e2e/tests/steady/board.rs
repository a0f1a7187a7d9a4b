//! The board on real tables: what it shows, what it asks, and what its viewers notice of a restart.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::{Corpus, GIFTS, Host, PATIENCE, Site, World, eventually, metric, root};

/// The pipelines whose tables the six charts show.
const SHOWN: [&str; 4] = ["live_cleanup", "gift_sum", "gift_by_minute", "gift_by_user"];

/// Viewers of a company's walls and desks.
const VIEWERS: usize = 200;

/// Gives the site a board: the repository's directory, or one with just this file.
fn serve_board(site: &Site, listen: &str, board: Option<&str>) {
    let boards = board.map_or_else(
        || root().join("boards"),
        |text| {
            fs::create_dir_all(site.path("boards")).unwrap();
            fs::write(site.path("boards/b.toml"), text).unwrap();
            site.path("boards")
        },
    );
    site.configure(|config| {
        let board = toml::toml! { listen = "" boards = "" };
        let board = config.entry("board").or_insert(toml::Value::Table(board));
        board["listen"] = listen.into();
        board["boards"] = boards.to_str().unwrap().into();
    });
}

fn address(site: &Site) -> SocketAddr {
    eventually("the board says where it listens", PATIENCE, || {
        let address = fs::read_to_string(site.path("state/board.address")).map_err(|e| e.to_string())?;
        address.parse().map_err(|e| format!("{e}: {address}"))
    })
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

fn get(address: SocketAddr, path: &str) -> Result<Value, String> {
    let mut answer = String::new();
    ask(address, path).and_then(|mut stream| stream.read_to_string(&mut answer)).map_err(|e| e.to_string())?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer}"))?;
    serde_json::from_str(body).map_err(|e| format!("{e}: {answer}"))
}

/// Reads events until one fits; none once the stream has ended.
fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    let data = |line: String| line.strip_prefix("data: ").map(|data| serde_json::from_str::<Value>(data).unwrap());
    lines.map_while(Result::ok).filter_map(data).find(fits)
}

fn shows_the_six(world: World, corpus: &Corpus) {
    let site = Site::empty(world, 3);
    SHOWN.into_iter().for_each(|name| site.add_pipeline(name, name, |_| {}));
    serve_board(&site, "127.0.0.1:0", None);
    site.load(corpus, 0.0, 1.0);
    let mut host = Host::start(&site);
    host.wait_until_read(PATIENCE);
    let address = address(&site);
    let gifts = metric("gift_sum");
    let panels = eventually("every chart shows the newest rows", PATIENCE, || {
        let snapshot = get(address, "/api/boards/live_streaming")?;
        let panels = snapshot["panels"].as_array().ok_or_else(|| snapshot.to_string())?.clone();
        let mut shown: Vec<Value> = panels[2]["rows"].as_array().cloned().unwrap_or_default();
        let mut rows: Vec<Value> = site.tables().rows(gifts, gifts.table)?.into_iter().map(Value::from).collect();
        rows.retain(|row| !row[0].is_null());
        [&mut shown, &mut rows].into_iter().for_each(|rows| rows.sort_by_key(Value::to_string));
        let is_fresh = panels.iter().all(|panel| panel["health"]["state"] == "ok" && panel["error"].is_null());
        (is_fresh && shown == rows && !rows.is_empty()).then_some(panels).ok_or_else(|| snapshot.to_string())
    });
    let charts: Vec<&str> = panels.iter().map(|panel| panel["chart"].as_str().unwrap()).collect();
    assert_eq!(charts, ["map", "pie", "bar", "line", "ranking", "bar"], "{world:?}");
    let rows = |index: usize| panels[index]["rows"].as_array().unwrap();
    let figures = |index: usize| rows(index).iter().map(|row| row[1].as_i64().unwrap()).collect::<Vec<_>>();
    assert!((30..=40).contains(&rows(0).len()), "provinces: {:?}", rows(0));
    assert!((5..=7).contains(&rows(1).len()), "grades: {:?}", rows(1));
    let minutes = rows(3);
    assert!(!minutes.is_empty() && minutes.iter().all(|row| row[0].as_str().unwrap().contains('T')), "{minutes:?}");
    assert_eq!(panels[3]["columns"][0]["type"], "time");
    assert!(rows(4).len() == 10 && figures(4).is_sorted_by(|a, b| a >= b), "{:?}", rows(4));
    assert!(figures(5).iter().sum::<i64>() > 0, "{:?}", rows(5));
    for (panel, pipeline) in panels.iter().zip([
        "live_cleanup",
        "live_cleanup",
        "gift_sum",
        "gift_by_minute",
        "gift_by_user",
        "live_cleanup",
    ]) {
        let behind = &panel["health"]["pipelines"];
        assert_eq!((behind.as_array().unwrap().len(), &behind[0]["name"]), (1, &json!(pipeline)));
        assert!(behind[0]["source"].as_str().unwrap().contains("partition 2 to "), "{behind}");
        assert_eq!(behind[0]["generation"], 1);
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn the_six_charts_show_what_the_tables_hold_on_mariadb_on_mysql_and_on_the_embedded_default() {
    let corpus = Corpus::generate(5, 20_000, 20_000, 3);
    for world in [World::Servers, World::Mysql, World::Embedded] {
        shows_the_six(world, &corpus);
    }
}

/// Statements that the server ran with this word in them since its log was begun.
fn asked(site: &Site, mark: &str) -> i64 {
    let sql = "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Execute' AND CONVERT(argument USING utf8mb4) LIKE";
    site.tables()
        .number(&format!("{sql} '%{mark}%' AND CONVERT(argument USING utf8mb4) NOT LIKE '%general_log%'"))
        .unwrap()
}

fn asks_once(world: World) {
    const ROUNDS: usize = 8;
    let (site, mark) = (Site::empty(world, 1), "asked_once_for_all");
    site.tables()
        .execute("CREATE TABLE gifts (kind INT PRIMARY KEY, n BIGINT); INSERT INTO gifts VALUES (1, 2)".to_owned());
    let panel = format!(
        "[[panel]]\ntitle = \"x\"\nconnection = \"livedb\"\nchart = \"bar\"\nsql = \"SELECT kind AS {mark}, UNIX_TIMESTAMP(NOW(6)) FROM gifts\"\n"
    );
    serve_board(&site, "127.0.0.1:0", Some(&format!("refresh = \"1s\"\n{panel}{panel}")));
    let host = Host::start(&site);
    let address = address(&site);
    eventually("the board is read", PATIENCE, || {
        get(address, "/api/boards/b").and_then(|b| b["panels"].is_array().then_some(()).ok_or(b.to_string()))
    });
    site.tables().execute("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON".to_owned());
    let (before, begun) = (asked(&site, mark), Instant::now());
    thread::scope(|scope| {
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut lines = BufReader::new(ask(address, "/api/boards/b/events").unwrap()).lines();
                    // Each answer is another one: the time is in it.
                    (0..ROUNDS).for_each(|_| drop(next(&mut lines, |event| event["index"] == 0).expect("an event")));
                })
            })
            .collect();
        viewers.into_iter().for_each(|viewer| viewer.join().unwrap());
    });
    let (asked_then, seconds) = (asked(&site, mark) - before, begun.elapsed().as_secs());
    let most = 2 * (i64::try_from(seconds).unwrap() + 2);
    assert!(
        (i64::try_from(ROUNDS).unwrap()..=most).contains(&asked_then),
        "{asked_then} of at most {most} in {seconds} s on {world:?}"
    );
    // Nobody looks any more: after what is under way, nothing is asked. That nothing comes takes time to see.
    eventually("the server is left in peace", PATIENCE, || {
        let before = asked(&site, mark);
        thread::sleep(Duration::from_secs(3));
        let more = asked(&site, mark) - before;
        (more == 0).then_some(()).ok_or_else(|| format!("{more} more"))
    });
    site.tables().execute("SET GLOBAL general_log = OFF".to_owned());
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn two_hundred_viewers_are_one_question_a_panel_and_interval_and_none_are_none() {
    asks_once(World::Servers);
    asks_once(World::Mysql);
}

#[test]
fn a_restart_is_a_pause_and_a_stopped_pipeline_is_seen() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline.insert("on_error".to_owned(), "stop".into());
    });
    // A port that is free again when the host asks for it, both times.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let board = "[[panel]]\ntitle = \"Gifts\"\nconnection = \"livedb\"\nchart = \"bar\"\nsql = \"SELECT gift_type, gift_total_amount FROM live_gift_total_amount\"\n";
    serve_board(&site, &address.to_string(), Some(board));
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    let connect = || {
        let stream = eventually("the board answers", PATIENCE, || {
            ask(address, "/api/boards/b/events").map_err(|e| e.to_string())
        });
        BufReader::new(stream).lines()
    };
    let has = |total: i64| {
        move |event: &Value| {
            event["panel"]["rows"] == json!([["1", total]]) || event["panels"][0]["rows"] == json!([["1", total]])
        }
    };
    let host = Host::start(&site);
    let mut lines = connect();
    while next(&mut lines, has(5)).is_none() {
        lines = connect();
    }
    host.kill();
    assert_eq!(next(&mut lines, |event| event["never"] == 1), None, "the stream ends");
    let mut host = Host::start(&site);
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":2}"#]);
    let mut lines = connect();
    while next(&mut lines, has(7)).is_none() {
        lines = connect();
    }
    site.send(GIFTS, &["no JSON"]);
    host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    let stopped = next(&mut lines, |event| event["panels"][0]["health"]["state"] == "stopped").expect("an event");
    assert!(stopped["panels"][0]["health"]["why"].as_str().unwrap().contains("gift_sum is stopped"), "{stopped}");
    host.terminate();
}
