//! What the API answers, for both of its ends.

use serde::{Deserialize, Serialize};
use sluice_core::deploy::{Deployment, History};

use crate::pipeline::Snapshot;
use crate::pipelines::Refused;

/// The answer to `GET /status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Of the host.
    pub version: String,
    /// Lines of its log that could not be written.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// Those that run, by name.
    pub pipelines: Vec<PipelineStatus>,
    /// The files of pipelines that are refused, by name.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// One pipeline's part of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// What it says of itself.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// What its checkpoint takes on the disk, in bytes; none before it has one.
    pub checkpoint_bytes: Option<u64>,
}

/// The answer to `GET /pipelines/NAME/history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PipelineHistory {
    /// Its name.
    pub pipeline: String,
    /// Whether it stays with its operators, whatever is deployed.
    pub pinned: bool,
    /// The newest first.
    pub deployments: Vec<Deployment>,
}

impl PipelineHistory {
    /// Of what is durable.
    pub fn new(pipeline: String, history: &History) -> PipelineHistory {
        let deployments = history.deployments().rev().cloned().collect();
        PipelineHistory { pipeline, pinned: history.pinned().is_some(), deployments }
    }
}
