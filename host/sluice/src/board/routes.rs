//! Routes of the board.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::guard::{Access, guard};
use super::observer::{Observed, Pipelines, now_ms};
use super::pages::{self, Language};
use super::pipelines::{self, Letters, LettersSeen, List};
use super::screen::Screen;
use super::screens::Screens;
use super::{assets, events};
use crate::admin;
use crate::admin::answers::refusal;
use crate::config::unveiled;
use crate::connections::Connections;

/// The longest body of a request: an order's generation.
const MAX_BODY: usize = 1 << 10;

/// The most viewers, each with a stream. Fewer: a company's walls and desks don't have one each. More: each costs a connection, and the
/// network what it is sent.
pub const VIEWERS: usize = 256;

/// Everything that the board is made of.
#[derive(Clone)]
pub struct Site(Arc<Parts>);

/// Its parts.
pub struct Parts {
    pub screens: Screens,
    pub pipelines: watch::Receiver<Pipelines>,
    pub service: admin::Service,
    pub connections: Arc<Connections>,
    /// The directory of boards, as people know it.
    pub directory: String,
    pub list: Arc<List>,
    pub letters: LettersSeen,
    pub viewers: Arc<Semaphore>,
}

/// Builds all routes, guarded.
pub fn all(parts: Parts, access: Access) -> Router {
    let orders = admin::orders().with_state(parts.service.clone());
    let site = Site(Arc::new(parts));
    let asked = Router::new()
        .route("/", get(first))
        .route("/boards/{name}", get(board))
        .route("/pipelines", get(all_pipelines))
        .route("/pipelines/{name}", get(one_pipeline))
        .route("/assets/{file}", get(assets::get))
        .route("/api/boards", get(list))
        .route("/api/boards/{name}", get(snapshot))
        .route("/api/boards/{name}/map", get(map))
        .route("/api/pipelines", get(list_pipelines))
        .route("/api/pipelines/{name}", get(pipeline))
        .route("/api/pipelines/{name}/retry", post(retry))
        .with_state(site.clone())
        .nest("/api", orders)
        .layer(from_fn(admin::in_time));
    // What is answered for as long as somebody looks.
    let streams = Router::new()
        .route("/api/boards/{name}/events", get(watch_board))
        .route("/api/pipelines/events", get(watch_pipelines))
        .with_state(site);
    asked
        .merge(streams)
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is /, /boards/NAME, /pipelines and /api/boards"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "GET looks, POST changes; this is asked for with the other")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::new(access), guard))
}

/// The address, after the slash, of a page that may ask for a language.
fn language(query: &RawQuery, headers: &HeaderMap) -> Language {
    Language::of(query.0.as_deref(), headers.get(ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok()))
}

fn html(status: StatusCode, page: String) -> Response {
    answer(status, "text/html; charset=utf-8", page.into())
}

fn answer(status: StatusCode, of: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(of));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json_answer(body: impl Into<Bytes>) -> Response {
    answer(StatusCode::OK, "application/json", body.into())
}

async fn first(State(site): State<Site>, query: RawQuery, headers: HeaderMap) -> Response {
    let Some(screen) = site.0.screens.all().into_iter().next() else {
        return html(StatusCode::OK, pages::none(&site.0.directory, language(&query, &headers)));
    };
    let query = query.0.map(|query| format!("?{query}")).unwrap_or_default();
    // A board's name has no character that an address hasn't, and a query was one.
    match HeaderValue::from_str(&format!("/boards/{}{query}", screen.board().name)) {
        Ok(location) => (StatusCode::FOUND, [(LOCATION, location)]).into_response(),
        Err(_) => refusal(StatusCode::BAD_REQUEST, "this address can't be read"),
    }
}

async fn board(State(site): State<Site>, Path(name): Path<String>, query: RawQuery, headers: HeaderMap) -> Response {
    let language = language(&query, &headers);
    match site.screen(&name) {
        Ok(screen) => html(StatusCode::OK, pages::board(&*screen.look().await, language)),
        Err(why) => html(StatusCode::NOT_FOUND, pages::error(&why, language)),
    }
}

async fn all_pipelines(State(site): State<Site>, query: RawQuery, headers: HeaderMap) -> Response {
    let all = Arc::clone(&site.0.pipelines.borrow());
    html(StatusCode::OK, pages::pipelines(&all, None, language(&query, &headers)))
}

async fn one_pipeline(
    State(site): State<Site>,
    Path(name): Path<String>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(&query, &headers);
    match site.pipeline(&name) {
        Ok(of) => html(StatusCode::OK, pages::pipelines(&[of], Some(&name), language)),
        Err(why) => html(StatusCode::NOT_FOUND, pages::error(&why, language)),
    }
}

async fn list(State(site): State<Site>) -> Response {
    let boards = site.0.screens.all().into_iter().map(|screen| {
        let board = screen.board();
        json!({ "name": board.name, "title": board.title })
    });
    Json(json!({ "boards": boards.collect::<Vec<_>>() })).into_response()
}

async fn snapshot(State(site): State<Site>, Path(name): Path<String>) -> Response {
    match site.screen(&name) {
        Ok(screen) => json_answer(screen.look().await.json(now_ms())),
        Err(why) => refusal(StatusCode::NOT_FOUND, &why),
    }
}

async fn map(State(site): State<Site>, Path(name): Path<String>) -> Response {
    match site.screen(&name).map(|screen| screen.board().map.clone()) {
        Ok(Some(map)) => answer(StatusCode::OK, "application/geo+json", map),
        Ok(None) => refusal(StatusCode::NOT_FOUND, "the board has no map of its own"),
        Err(why) => refusal(StatusCode::NOT_FOUND, &why),
    }
}

async fn watch_board(State(site): State<Site>, Path(name): Path<String>) -> Response {
    match (site.screen(&name), site.place()) {
        (Err(why), _) => refusal(StatusCode::NOT_FOUND, &why),
        (_, None) => full(),
        (Ok(screen), Some(place)) => events::answer(events::board(screen.watch(), place)),
    }
}

async fn list_pipelines(State(site): State<Site>) -> Response {
    let pipelines = Arc::clone(&site.0.pipelines.borrow());
    json_answer(site.0.list.of(&pipelines))
}

async fn watch_pipelines(State(site): State<Site>) -> Response {
    match site.place() {
        None => full(),
        Some(place) => {
            let list = Arc::clone(&site.0.list);
            events::answer(events::pipelines(site.0.pipelines.clone(), place, move |pipelines| list.of(pipelines)))
        }
    }
}

async fn pipeline(State(site): State<Site>, Path(name): Path<String>) -> Response {
    let of = match site.pipeline(&name) {
        Ok(of) => of,
        Err(why) => return refusal(StatusCode::NOT_FOUND, &why),
    };
    let letters = match &of.pipeline {
        Some(pipeline) => site.0.letters.of(pipeline, &site.0.connections).await,
        None => Letters::default(),
    };
    match site.0.service.history(&name).await {
        Ok(history) => json_answer(pipelines::detail(&of, &history, &letters).to_string()),
        Err(why) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

async fn retry(State(site): State<Site>, Path(name): Path<String>) -> Response {
    let of = match site.pipeline(&name) {
        Ok(of) => of,
        Err(why) => return refusal(StatusCode::NOT_FOUND, &why),
    };
    let Some(pipeline) = of.pipeline else { return refusal(StatusCode::CONFLICT, "the pipeline's file is gone") };
    match pipelines::retry(&pipeline, &site.0.connections).await {
        Ok(done) => Json(json!({ "done": unveiled(&done) })).into_response(),
        Err(why) => refusal(StatusCode::CONFLICT, &why),
    }
}

impl Site {
    fn screen(&self, name: &str) -> Result<Arc<Screen>, String> {
        self.0.screens.of(name).ok_or_else(|| {
            let names: Vec<String> = self.0.screens.all().iter().map(|screen| screen.board().name.clone()).collect();
            there_is("board", name, &names)
        })
    }

    fn pipeline(&self, name: &str) -> Result<Observed, String> {
        let all = self.0.pipelines.borrow();
        all.iter().find(|of| of.snapshot.name == name).cloned().ok_or_else(|| {
            let names: Vec<String> = all.iter().map(|of| of.snapshot.name.clone()).collect();
            there_is("pipeline", name, &names)
        })
    }

    /// A place among the viewers, if there is one.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.viewers).try_acquire_owned().ok()
    }
}

/// The answer to one viewer too many.
fn full() -> Response {
    let mut full =
        refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("{VIEWERS} viewers look already: try again later"));
    full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    full
}

fn there_is(what: &str, name: &str, names: &[String]) -> String {
    let there = if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
    format!("no {what} {name:?} is here; {there}")
}
