//! The board as its viewers meet it, over a socket, on an SQLite file.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_store::Store;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::service;
use crate::board::routes::VIEWERS;
use crate::operators::looker;
use crate::pipeline::status::PipelineState;
use crate::pipeline::{Handle, Order};
use crate::{admin, board};

const PATIENCE: Duration = Duration::from_secs(60);

const BOARD: &str = r#"
title = { zh = "礼物", en = "Gifts" }
refresh = "1s"
[[panel]]
title = "<By kind>"
connection = "livedb"
chart = "bar"
sql = "SELECT kind, n FROM gifts ORDER BY kind"
pipelines = ["gift_sum"]
stale_after = "1s"
[[panel]]
title = "Odd"
connection = "livedb"
chart = "bar"
sql = "SELECT kind, missing FROM gifts"
"#;

/// A served board, and all that keeps it going.
struct Served {
    address: SocketAddr,
    root: TempDir,
    token: String,
    handle: Handle,
    _statuses: watch::Sender<Vec<Handle>>,
    _files: watch::Sender<Vec<crate::config::Pipeline>>,
}

impl Served {
    async fn start() -> Served {
        let root = tempfile::tempdir().unwrap();
        let config = service(root.path(), &[("gifts.toml", BOARD)]);
        let store = Arc::new(Store::open(&root.path().join("state/checkpoints"), 1 << 20).unwrap());
        let (handle, mut orders) = Handle::new("gift_sum", BTreeSet::new());
        tokio::spawn(async move {
            while let Some(asked) = orders.recv().await {
                let done = if asked.order == Order::Pin { Ok("pinned".to_owned()) } else { Err("no".to_owned()) };
                drop(asked.answer.send(done));
            }
        });
        let (statuses, seen) = watch::channel(vec![handle.clone()]);
        let (files, read) = watch::channel(Vec::new());
        let service = admin::Service {
            statuses: seen,
            refused: watch::channel(Vec::new()).1,
            looker: looker().0,
            checkpoints: store,
        };
        let address = board::serve(config.board.as_ref().unwrap(), &config, service, read).await.unwrap();
        let token = admin::Token::load(&config.state).unwrap().expose().to_owned();
        let served = Served { address, root, token, handle, _statuses: statuses, _files: files };
        served.run("CREATE TABLE gifts (kind TEXT, n INTEGER); INSERT INTO gifts VALUES ('a', 1), ('<b>', 9007199254740993)").await;
        // The files are read soon.
        while served.get("/api/boards").await.1["boards"] == json!([]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        served
    }

    async fn run(&self, sql: &str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.root.path().join("live.db"))
            .create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    /// The answer to a request with these lines as its head.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // One that is cut off still has its answer.
        drop(stream.write_all(format!("{request}\r\nconnection: close\r\n\r\n").as_bytes()).await);
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn text(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: {}", self.address)).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        parsed(&self.text(path).await)
    }

    async fn post(&self, path: &str, headers: &str) -> (u16, Value) {
        parsed(
            &self.raw(&format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0{headers}", self.address)).await,
        )
    }

    async fn viewer(&self, path: &str) -> Viewer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (read, mut write) = stream.into_split();
        write.write_all(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).as_bytes()).await.unwrap();
        let mut lines = BufReader::new(read).lines();
        let status = lines.next_line().await.unwrap().unwrap();
        Viewer { status, lines, _write: write }
    }
}

fn parsed(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A stream of events.
struct Viewer {
    status: String,
    lines: Lines<BufReader<OwnedReadHalf>>,
    _write: OwnedWriteHalf,
}

impl Viewer {
    /// The next event of this name that fits; none once the stream has ended.
    async fn next(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut of = String::new();
        tokio::time::timeout(PATIENCE, async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut of);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data: Value = serde_json::from_str(data).unwrap();
                    if of == name && fits(&data) {
                        return Some(data);
                    }
                }
            }
            None
        })
        .await
        .unwrap_or_else(|_| panic!("no event {name} in time"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_shows_what_is_in_the_database_and_a_broken_panel_keeps_the_others() {
    let served = Served::start().await;
    let (status, snapshot) = served.get("/api/boards/gifts").await;
    assert_eq!((status, &snapshot["title"]["zh"]), (200, &json!("礼物")));
    let [kinds, odd] = [0, 1].map(|index| &snapshot["panels"][index]);
    assert_eq!(kinds["rows"], json!([["<b>", "9007199254740993"], ["a", 1]]), "{snapshot}");
    assert_eq!((&kinds["label"], &kinds["values"], &kinds["error"]), (&json!("kind"), &json!(["n"]), &json!(null)));
    assert!(odd["error"].as_str().unwrap().contains("missing"), "{odd}");
    assert!(!snapshot.to_string().contains("SELECT"), "no statement leaves the host");
    let mut viewer = served.viewer("/api/boards/gifts/events").await;
    assert_eq!(viewer.next("board", |_| true).await.unwrap()["panels"][0]["rows"], kinds["rows"]);
    served.run("UPDATE gifts SET n = 2 WHERE kind = 'a'").await;
    let changed = viewer.next("panel", |event| event["index"] == 0).await.unwrap();
    assert_eq!(changed["panel"]["rows"][1], json!(["a", 2]));
    // What was broken is repaired in the database, and what was whole breaks and keeps its rows.
    served.run("ALTER TABLE gifts RENAME COLUMN n TO missing").await;
    let broken = viewer.next("panel", |event| event["index"] == 0).await.unwrap();
    assert!(broken["panel"]["error"].is_string() && broken["panel"]["rows"][1] == json!(["a", 2]), "{broken}");
    loop {
        // It may be just as old as an answer may be.
        let odd = &served.get("/api/boards/gifts").await.1["panels"][1];
        if odd["error"].is_null() {
            assert_eq!(odd["rows"][0], json!(["a", 2]));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_shows_without_a_restart_and_one_that_is_gone_ends_its_streams() {
    let served = Served::start().await;
    let mut viewer = served.viewer("/api/boards/gifts/events").await;
    viewer.next("board", |_| true).await.unwrap();
    let file = served.root.path().join("boards/gifts.toml");
    std::fs::write(&file, BOARD.replace("n FROM", "n AS renamed FROM")).unwrap();
    viewer.next("board", |_| true).await.unwrap();
    let panel =
        viewer.next("panel", |event| event["index"] == 0 && event["panel"]["values"] == json!(["renamed"])).await;
    assert_eq!(panel.unwrap()["panel"]["rows"][1], json!(["a", 1]));
    std::fs::write(&file, "refresh = 7\n").unwrap();
    let broken = viewer.next("board", |_| true).await.unwrap();
    assert!(broken["error"].as_str().unwrap().contains("gifts.toml:1"), "{broken}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(viewer.next("board", |_| true).await, None);
    assert_eq!(served.get("/api/boards/gifts").await.0, 404);
    assert!(served.text("/").await.contains("There is no board yet"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_get_old_and_pipelines_that_stop_are_seen_on_every_panel_that_shows_them() {
    let served = Served::start().await;
    let mut viewer = served.viewer("/api/boards/gifts/events").await;
    let first = viewer.next("board", |_| true).await.unwrap();
    assert_eq!(first["panels"][0]["health"]["state"], "unknown", "it begins");
    let status = &served.handle.status;
    status.set(PipelineState::Running, None);
    let ends = || [(sluice_core::Partition(0), sluice_core::Offset(7))].into();
    status.freshness().begin(ends());
    let health = |state: &'static str| {
        move |event: &Value| {
            event["panels"].as_array().unwrap().iter().any(|of| of["index"] == 0 && of["health"]["state"] == state)
        }
    };
    let now = crate::board::observer::now_ms();
    status.freshness().source_has(now + 60_000, ends());
    viewer.next("health", health("ok")).await.unwrap();
    // The lane hangs: nothing more is heard of it, and nothing else changes.
    status.freshness().source_has(now - 10_000, ends());
    let stale = viewer.next("health", health("stale")).await.unwrap();
    assert_eq!(stale["panels"][0]["health"]["data_at"], now - 10_000);
    status.meters.lag.set(Some(12_345));
    let lagging = viewer.next("health", health("lagging")).await.unwrap();
    assert!(lagging["panels"][0]["health"]["why"].as_str().unwrap().contains("12,345 records"), "{lagging}");
    for (state, shown) in
        [(PipelineState::Holding, "held"), (PipelineState::Disabled, "disabled"), (PipelineState::Stopped, "stopped")]
    {
        status.set(state, Some("the reason".to_owned()));
        let event = viewer.next("health", health(shown)).await.unwrap();
        assert!(event["panels"][0]["health"]["why"].as_str().unwrap().contains("the reason"), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_the_headers_that_keep_pages_safe_and_texts_stay_texts() {
    let served = Served::start().await;
    for path in
        ["/", "/boards/gifts", "/pipelines", "/pipelines/gift_sum", "/api/boards/gifts", "/nowhere", "/assets/none.js"]
    {
        let answer = served.text(path).await;
        let head = answer.split("\r\n\r\n").next().unwrap();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(header), "{path}: {head}");
        }
        assert!(!head.contains("unsafe"), "{path}");
    }
    let page = served.text("/boards/gifts?lang=zh").await;
    assert!(page.contains("<html lang=\"zh\">") && page.contains("<h1>礼物</h1>"), "{page}");
    assert!(page.contains("&lt;By kind&gt;") && page.contains("<td>&lt;b&gt;</td>") && !page.contains("<b>"), "{page}");
    let script = page.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap();
    let file = served.text(script).await;
    assert!(file.contains("max-age=31536000, immutable") && file.contains("text/javascript"), "{}", &file[..400]);
    for encoding in ["br", "gzip"] {
        let request =
            format!("GET {script} HTTP/1.1\r\nhost: {}\r\naccept-encoding: deflate, {encoding}", served.address);
        assert!(served.raw(&request).await.contains(&format!("content-encoding: {encoding}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_others_and_people_without_the_token_change_nothing() {
    let served = Served::start().await;
    let (pin, bearer) = ("/api/pipelines/gift_sum/pin", format!("\r\nauthorization: Bearer {}", served.token));
    assert_eq!(served.post(pin, &bearer).await, (200, json!({ "done": "pinned" })));
    let own = format!("{bearer}\r\norigin: http://{}", served.address);
    assert_eq!(served.post(pin, &own).await.0, 200, "its own page may");
    assert_eq!(served.post("/api/pipelines/gift_sum/unpin", &bearer).await, (409, json!({ "error": "no" })));
    assert_eq!(served.post("/api/pipelines/nobody/pin", &bearer).await.0, 404);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", ""] {
        assert_eq!(served.post(pin, &format!("{bearer}\r\norigin: {origin}")).await.0, 403, "{origin}");
    }
    for token in ["", "\r\nauthorization: Bearer 0", "\r\nauthorization: Basic x"] {
        for path in
            [pin, "/api/pipelines/gift_sum/rollback", "/api/pipelines/gift_sum/retry", "/boards/gifts", "/nowhere"]
        {
            assert_eq!(served.post(path, token).await.0, 401, "{path}");
        }
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost:x", ""] {
        for path in ["/", "/api/boards/gifts", "/api/boards/gifts/events"] {
            let answer = served.raw(&format!("GET {path} HTTP/1.1\r\nhost: {host}")).await;
            assert_eq!(parsed(&answer).0, 403, "{host} {path}");
        }
    }
    let twice = served.raw("GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example").await;
    assert!(!twice.starts_with("HTTP/1.1 200"), "{twice}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_the_next_one_is_answered() {
    let served = Served::start().await;
    let huge = "x".repeat(1 << 20);
    for request in [
        format!("GET / HTTP/1.1\r\nhost: {}\r\nx: {huge}", served.address),
        format!("GET /{huge} HTTP/1.1\r\nhost: {}", served.address),
        format!("GET /boards/%2e%2e%2fsecret HTTP/1.1\r\nhost: {}", served.address),
        format!("GET /assets/..%2f..%2fCargo.toml HTTP/1.1\r\nhost: {}", served.address),
        format!("GET /boards/%ff HTTP/1.1\r\nhost: {}", served.address),
        format!(
            "POST /api/pipelines/gift_sum/rollback HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 9999999",
            served.address, served.token
        ),
        "GET / HTTP/9.9\r\nhost: localhost".to_owned(),
        "\0\u{1}\u{2}".to_owned(),
    ] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        drop(stream.write_all(format!("{request}\r\n\r\n").as_bytes()).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{}: {answer}", &request[..60.min(request.len())]);
        assert_eq!(served.get("/api/boards").await.0, 200);
    }
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert_eq!(served.get("/api/boards").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_viewer_too_many_is_told_so_and_those_that_look_stay() {
    let served = Served::start().await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = served.viewer("/api/boards/gifts/events").await;
        assert!(viewer.status.contains("200"), "{}", viewer.status);
        viewer.next("board", |_| true).await.unwrap();
        viewers.push(viewer);
    }
    let (status, answer) = served.get("/api/boards/gifts/events").await;
    assert!(status == 503 && answer["error"].as_str().unwrap().contains("viewers look already"), "{status} {answer}");
    assert_eq!(served.get("/api/boards/gifts").await.0, 200, "pages are loaded all the same");
    served.run("UPDATE gifts SET n = 3 WHERE kind = 'a'").await;
    for viewer in &mut viewers {
        viewer.next("panel", |event| event["index"] == 0).await.unwrap();
    }
    drop(viewers);
    // Their places are free again once the ends of their connections are seen.
    while served.viewer("/api/boards/gifts/events").await.status.contains("503") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
