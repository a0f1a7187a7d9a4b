//! Routes of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sluice_core::deploy::History;
use sluice_store::Store;
use tokio::sync::watch;

use super::answers::{PipelineHistory, ServiceStatus, refusal};
use super::guard::guard;
use super::token::Token;
use crate::config::unveiled;
use crate::log;
use crate::operators::Looker;
use crate::pipeline::{Handle, Order, Snapshot, Status};
use crate::pipelines::Refused;
use crate::running::Statuses;

/// The longest body of a request: a generation has 20 digits at most.
const MAX_BODY: usize = 1 << 10;

/// Longest time for an answer: a roll-back waits for a batch, a flush of waiting rows, and the tables that are opened for it.
/// Shorter: people are told that the result is unknown. Longer: they wait for a server that is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Parts of the service that the API shows and gives orders to.
#[derive(Clone)]
pub struct Service {
    pub statuses: Statuses,
    pub refused: watch::Receiver<Vec<Refused>>,
    pub looker: Looker,
    pub checkpoints: Arc<Store>,
}

/// The body of `POST /pipelines/NAME/rollback`; without one, the generation before is meant.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollBack {
    generation: Option<u64>,
}

/// Builds all routes, guarded.
pub fn all(service: Service, token: Token) -> Router {
    Router::new()
        .merge(orders())
        .route("/status", get(status))
        .route("/pipelines/{name}/history", get(history))
        .route("/pipelines/{name}/resync", post(resync))
        .route("/pipelines/{name}/deploy", post(deploy))
        .route("/pipelines/{name}/start", post(start))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is /status, /pipelines/NAME/history, and to be posted to /pipelines/NAME/rollback, pin, unpin, resync, deploy and start"))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "GET looks, POST changes; this is asked for with the other"))
        .with_state(service)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::new(token), guard))
        .layer(from_fn(in_time))
}

/// Builds the routes of the orders that the board has as well; not guarded.
pub fn orders() -> Router<Service> {
    Router::new()
        .route("/pipelines/{name}/rollback", post(roll_back))
        .route("/pipelines/{name}/pin", post(pin))
        .route("/pipelines/{name}/unpin", post(unpin))
}

pub async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| {
        let why = format!(
            "no answer within {PATIENCE:?}; it may still be carried out: `sluice history` shows whether it was"
        );
        refusal(StatusCode::GATEWAY_TIMEOUT, &why)
    };
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

async fn status(State(service): State<Service>) -> Response {
    let pipelines = service.statuses.borrow().iter().map(|handle| service.snapshot(&handle.status)).collect();
    let (version, refused) = (env!("CARGO_PKG_VERSION").to_owned(), service.refused.borrow().clone());
    Json(ServiceStatus { version, log_lines_lost: log::lost(), pipelines, refused }).into_response()
}

async fn history(State(service): State<Service>, Path(name): Path<String>) -> Response {
    if let Err(reason) = service.pipeline(&name) {
        return refusal(StatusCode::NOT_FOUND, &reason);
    }
    match service.history(&name).await {
        Ok(history) => Json(PipelineHistory::new(name, &history)).into_response(),
        Err(reason) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &reason),
    }
}

async fn roll_back(
    State(service): State<Service>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) if body.is_empty() => Ok(RollBack::default()),
        Ok(body) => serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string())),
        Err(error) => Err((error.status(), error.body_text())),
    };
    match body {
        Ok(RollBack { generation }) => service.order(&name, Order::RollBack { generation }).await,
        Err((status, why)) => {
            refusal(status, &format!(r#"the body must be {{"generation": NUMBER}} or nothing: {why}"#))
        }
    }
}

async fn pin(State(service): State<Service>, Path(name): Path<String>) -> Response {
    service.order(&name, Order::Pin).await
}

async fn unpin(State(service): State<Service>, Path(name): Path<String>) -> Response {
    service.order(&name, Order::Unpin).await
}

async fn resync(State(service): State<Service>, Path(name): Path<String>) -> Response {
    service.order(&name, Order::Resync).await
}

async fn start(State(service): State<Service>, Path(name): Path<String>) -> Response {
    service.order(&name, Order::Start).await
}

/// Deploys again: looks at the files first, so that the pipeline, which goes on meanwhile, then finds the result.
async fn deploy(State(service): State<Service>, Path(name): Path<String>) -> Response {
    let handle = match service.pipeline(&name) {
        Ok(handle) => handle,
        Err(reason) => return refusal(StatusCode::NOT_FOUND, &reason),
    };
    service.looker.look_at(handle.operators.as_ref().clone()).await;
    service.order(&name, Order::Deploy).await
}

impl Service {
    /// Returns the status of a pipeline, with the size that its checkpoint has now: the store changes it by itself, too.
    pub fn snapshot(&self, status: &Status) -> Snapshot {
        status.meters.checkpoint_bytes.set(self.checkpoints.bytes(status.name()));
        status.snapshot()
    }

    /// Loads the history of a pipeline.
    pub async fn history(&self, name: &str) -> Result<History, String> {
        let (checkpoints, of) = (Arc::clone(&self.checkpoints), name.to_owned());
        let loaded = tokio::task::spawn_blocking(move || checkpoints.histories().load(&of)).await;
        loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// The pipeline of this name, or that there is none.
    pub fn pipeline(&self, name: &str) -> Result<Handle, String> {
        let handles = self.statuses.borrow();
        handles.iter().find(|handle| handle.status.name() == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = handles.iter().map(|handle| handle.status.name()).collect();
            let there =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
            format!("no pipeline {name:?} runs here; {there}")
        })
    }

    async fn order(&self, name: &str, order: Order) -> Response {
        let handle = match self.pipeline(name) {
            Ok(handle) => handle,
            Err(reason) => return refusal(StatusCode::NOT_FOUND, &reason),
        };
        match handle.ask(order).await {
            Ok(done) => Json(json!({ "done": unveiled(&done) })).into_response(),
            Err(reason) => refusal(StatusCode::CONFLICT, &reason),
        }
    }
}
