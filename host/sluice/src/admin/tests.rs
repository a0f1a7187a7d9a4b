//! The API as its callers meet it, over a socket; a pipeline that says which order it was given.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};
use serde_json::{Value, json};
use sluice_core::deploy::{Deployment, History, Operators, Outcome};
use sluice_store::Store;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::client::{Client, ClientError, exchange};
use super::token::Token;
use super::{LIMITS, routes, serve};
use crate::config::Admin;
use crate::http::{Limits, accept};
use crate::operators::looker;
use crate::pipeline::{Handle, Order};

/// Makes the service that the API shows, without refused files and without a task that looks at files.
fn service(statuses: watch::Receiver<Vec<Handle>>, checkpoints: Arc<Store>) -> routes::Service {
    routes::Service { statuses, refused: watch::channel(Vec::new()).1, looker: looker().0, checkpoints }
}

/// A served API, and all that keeps it going.
struct Api {
    address: SocketAddr,
    token: String,
    state: TempDir,
    store: Arc<Store>,
    _statuses: watch::Sender<Vec<Handle>>,
}

impl Api {
    async fn start() -> Api {
        Api::start_with(LIMITS).await
    }

    async fn start_with(limits: Limits) -> Api {
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&state.path().join("checkpoints"), 1 << 20).unwrap());
        let (handle, mut orders) = Handle::new("gifts/a", BTreeSet::new());
        tokio::spawn(async move {
            while let Some(asked) = orders.recv().await {
                let answer = match asked.order {
                    Order::Unpin => Err("it is not pinned".to_owned()),
                    order => Ok(format!("{order:?}")),
                };
                asked.answer.send(answer).unwrap();
            }
        });
        let (statuses, seen) = watch::channel(vec![handle]);
        let token = Token::load_or_make(state.path()).unwrap();
        let service = service(seen, Arc::clone(&store));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = token.expose().to_owned();
        tokio::spawn(accept(Arc::new(listener), routes::all(service, token), limits));
        Api { address, token: said, state, store, _statuses: statuses }
    }

    fn admin(&self) -> Admin {
        let file = self.state.path().join("sluice.toml");
        Admin { file, state: self.state.path().to_owned(), listen: Some(self.address) }
    }

    /// Sends this with these headers instead of the usual ones; answers the status and what the body says.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let (status, body) = exchange(self.address, request.body(body).unwrap()).await.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.ask(Method::POST, path, &[("authorization", &format!("Bearer {}", self.token))], body).await
    }
}

#[tokio::test]
async fn who_connects_and_asks_nothing_gives_its_place_to_others() {
    let limits = Limits { connections: 3, ask_within: Duration::from_millis(200), ..LIMITS };
    let api = Api::start_with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..limits.connections {
        let mut connection = TcpStream::connect(api.address).await.unwrap();
        connection.write_all(b"GET /status HTTP/1.1\r\nhost:").await.unwrap();
        silent.push(connection);
    }
    let (status, _) = api.ask(Method::GET, "/status", &[], "").await;
    assert_eq!(status, 200);
    for mut connection in silent {
        let mut answer = Vec::new();
        // Closed, with whatever the server had to say about it.
        connection.read_to_end(&mut answer).await.unwrap();
    }
}

#[tokio::test]
async fn however_many_connect_and_ask_nothing_others_are_answered_at_once() {
    let api = Api::start().await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(api.address).await.unwrap());
        // One that has asked, and keeps its connection, is no better.
        let mut asked = TcpStream::connect(api.address).await.unwrap();
        let request = format!("GET /nowhere HTTP/1.1\r\nhost: {}\r\n\r\n", api.address);
        asked.write_all(request.as_bytes()).await.unwrap();
        silent.push(asked);
    }
    let patience = LIMITS.ask_within / 2;
    let answered = tokio::time::timeout(patience, api.ask(Method::GET, "/status", &[], "")).await;
    assert_eq!(answered.unwrap().0, 200);
    let order = tokio::time::timeout(patience, api.post(CHANGES[0], "")).await;
    assert_eq!(order.unwrap().0, 200);
}

/// Paths of the requests that change something.
const CHANGES: [&str; 5] = [
    "/pipelines/gifts%2Fa/rollback",
    "/pipelines/gifts%2Fa/pin",
    "/pipelines/gifts%2Fa/unpin",
    "/pipelines/gifts%2Fa/start",
    "/pipelines/gifts%2Fa/deploy",
];

#[tokio::test]
async fn without_the_token_nothing_that_changes_something_is_even_looked_for() {
    let api = Api::start().await;
    let wrong = format!("Bearer {}", "0".repeat(64));
    let short = format!("Bearer {}", &api.token[..63]);
    let other_scheme = format!("Basic {}", api.token);
    for path in CHANGES.into_iter().chain(["/pipelines/nobody/pin", "/nowhere"]) {
        for said in ["", "Bearer", "Bearer ", wrong.as_str(), &short, &other_scheme, &api.token] {
            let (status, answer) = api.ask(Method::POST, path, &[("authorization", said)], "").await;
            assert_eq!(status, 401, "{path} {said}");
            assert!(answer["error"].as_str().unwrap().contains("admin.token"), "{answer}");
        }
        assert_eq!(api.ask(Method::POST, path, &[], "").await.0, 401, "{path}");
        assert_eq!(api.ask(Method::DELETE, path, &[], "").await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn with_the_token_orders_reach_the_pipeline_and_its_refusal_is_a_conflict() {
    let api = Api::start().await;
    let [back, pin, unpin, start, deploy] = CHANGES;
    assert_eq!(api.post(back, "").await, (200, json!({ "done": "RollBack { generation: None }" })));
    assert_eq!(
        api.post(back, r#"{"generation": 3}"#).await,
        (200, json!({ "done": "RollBack { generation: Some(3) }" }))
    );
    assert_eq!(api.post(pin, "").await, (200, json!({ "done": "Pin" })));
    assert_eq!(api.post(start, "").await, (200, json!({ "done": "Start" })));
    assert_eq!(api.post(deploy, "").await, (200, json!({ "done": "Deploy" })));
    assert_eq!(api.post(unpin, "").await, (409, json!({ "error": "it is not pinned" })));
    for body in ["3", r#"{"generation": -1}"#, r#"{"generation": 3, "force": true}"#, "{"] {
        assert_eq!(api.post(back, body).await.0, 400, "{body}");
    }
    assert_eq!(api.post(back, &" ".repeat(2000)).await.0, 413);
}

#[tokio::test]
async fn a_pipeline_or_a_path_that_isnt_there_is_404_with_those_that_are() {
    let api = Api::start().await;
    let (status, answer) = api.post("/pipelines/gifts/pin", "").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().contains("there are gifts/a"), "{answer}");
    assert_eq!(api.ask(Method::GET, "/pipelines/gifts/history", &[], "").await.0, 404);
    assert_eq!(api.ask(Method::GET, "/", &[], "").await.0, 404);
    let (status, answer) = api.ask(Method::GET, CHANGES[0], &[], "").await;
    assert_eq!((status, answer["error"].is_string()), (405, true));
}

#[tokio::test]
async fn a_browser_can_neither_look_nor_change() {
    let api = Api::start().await;
    let bearer = format!("Bearer {}", api.token);
    let (port, host) = (api.address.port(), api.address.to_string());
    let origins = ["http://evil.example", "null", &format!("http://{host}")];
    for origin in origins {
        let headers = [("origin", origin), ("authorization", bearer.as_str())];
        assert_eq!(api.ask(Method::POST, CHANGES[1], &headers, "").await.0, 403, "{origin}");
        assert_eq!(api.ask(Method::GET, "/status", &headers, "").await.0, 403, "{origin}");
        assert_eq!(api.ask(Method::OPTIONS, "/status", &headers, "").await.0, 403, "{origin}");
    }
    for foreign in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1.evil.example", "127.0.0.1:x", ""] {
        assert_eq!(api.ask(Method::GET, "/status", &[("host", foreign)], "").await.0, 403, "{foreign}");
    }
    for own in [host.as_str(), "127.0.0.1", "LocalHost:1", &format!("localhost:{port}"), "[::1]:7070"] {
        assert_eq!(api.ask(Method::GET, "/status", &[("host", own)], "").await.0, 200, "{own}");
    }
    let twice = [("host", host.as_str()), ("host", "evil.example")];
    assert_ne!(api.ask(Method::GET, "/status", &twice, "").await.0, 200);
}

#[tokio::test]
async fn the_history_is_what_is_durable_the_newest_first() {
    let api = Api::start().await;
    let mut history = History::default();
    for generation in 1..=2 {
        let operators = Operators::from([("sum".to_owned(), format!("digest{generation}"))]);
        let reason = None;
        history.record(Deployment { outcome: Outcome::Applied, generation, operators, reason, time: 1_000_000 });
    }
    history.pin(Some(Operators::new()));
    api.store.histories().save("gifts/a", &history).unwrap();
    let (status, answer) = api.ask(Method::GET, "/pipelines/gifts%2Fa/history", &[], "").await;
    assert_eq!((status, &answer["pinned"]), (200, &json!(true)));
    assert_eq!(
        answer["deployments"][0],
        json!({ "outcome": "applied", "generation": 2, "operators": { "sum": "digest2" }, "reason": null,
                "time": "1970-01-01 00:00:01" })
    );
    assert_eq!(answer["deployments"][1]["generation"], 1);
}

#[tokio::test]
async fn the_client_says_in_a_sentence_why_it_has_no_answer() {
    let api = Api::start().await;
    let client = Client::new(&api.admin()).unwrap();
    assert_eq!(client.get("/status").await.unwrap()["pipelines"][0]["name"], "gifts/a");
    assert_eq!(client.post(CHANGES[1], None).await.unwrap(), "Pin");
    let refused = client.post(CHANGES[2], None).await.unwrap_err();
    assert_eq!(refused.to_string(), "it is not pinned");

    let elsewhere = tempfile::tempdir().unwrap();
    Token::load_or_make(elsewhere.path()).unwrap();
    let stranger = Client::new(&Admin { state: elsewhere.path().to_owned(), ..api.admin() }).unwrap();
    assert!(matches!(stranger.post(CHANGES[1], None).await, Err(ClientError::OtherToken { .. })));
    let tokenless = Client::new(&Admin { state: elsewhere.path().join("none"), ..api.admin() }).unwrap();
    assert!(matches!(tokenless.post(CHANGES[1], None).await, Err(ClientError::Token(_))));

    let silent = Client::new(&Admin { listen: None, ..api.admin() }).unwrap_err().to_string();
    assert!(silent.contains("[admin]"), "{silent}");
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = Client::new(&Admin { listen: Some(nobody), ..api.admin() }).unwrap().get("/status").await.unwrap_err();
    assert!(away.to_string().contains("sluice run"), "{away}");
}

#[tokio::test]
async fn an_address_that_is_taken_and_a_token_that_others_read_are_errors_at_the_start() {
    let api = Api::start().await;
    let serve_on = |address, state: &Path| {
        let (_, statuses) = watch::channel(Vec::new());
        let (state, store) = (state.to_owned(), Arc::clone(&api.store));
        async move { serve(address, &state, service(statuses, store)).await.unwrap_err().to_string() }
    };
    let taken = serve_on(api.address, api.state.path()).await;
    assert!(taken.contains(&api.address.to_string()), "{taken}");
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    std::fs::write(api.state.path().join("admin.token"), "short").unwrap();
    let malformed = serve_on(free, api.state.path()).await;
    assert!(malformed.contains("admin.token"), "{malformed}");
}
