//! Answers of the API, for both of its ends.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_core::deploy::{Deployment, History};

use crate::config::unveiled;
use crate::pipeline::Snapshot;
use crate::pipelines::Refused;

/// The answer to `GET /status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Version of the host.
    pub version: String,
    /// Lines of its log that could not be written.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// Pipelines that run, by name.
    pub pipelines: Vec<Snapshot>,
    /// The files of pipelines that are refused, by name.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// The answer to `GET /pipelines/NAME/history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PipelineHistory {
    /// Name of the pipeline.
    pub pipeline: String,
    /// True if the pipeline stays with its operators, whatever is deployed.
    pub pinned: bool,
    /// The newest first.
    pub deployments: Vec<Deployment>,
}

impl PipelineHistory {
    /// Makes the answer from the stored history.
    pub fn new(pipeline: String, history: &History) -> PipelineHistory {
        let deployments = history.deployments().rev().cloned().collect();
        PipelineHistory { pipeline, pinned: history.pinned().is_some(), deployments }
    }
}

/// Makes the answer for an error, in the form that all errors have.
pub fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": unveiled(why) }))).into_response()
}
