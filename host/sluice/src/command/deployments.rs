//! `sluice history`, `rollback`, `pin`, `unpin`, `deploy`, `start`: which code a pipeline runs, and that it does.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use sluice_core::{printable, printable_json};

use super::answer::Output;
use super::{ConfigFile, block_on};
use crate::admin::answers::PipelineHistory;
use crate::admin::client::{Client, segment};
use crate::checkpoints;
use crate::pipeline::deployments::{outcome, shown};

/// Show what ran in a pipeline, the newest first. Reads a file: the service needn't run.
#[derive(Debug, clap::Args)]
pub struct History {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
    /// Print a JSON object, as the admin API answers it.
    #[arg(long)]
    json: bool,
}

/// Go back to operators that a pipeline ran before, and stay with them.
#[derive(Debug, clap::Args)]
pub struct RollBack {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
    /// Generation to go back to, of those that are kept (the last 5). Without it, the last good one before the one that runs.
    generation: Option<u64>,
}

/// Let a pipeline stay with the operators that it runs, whatever is deployed.
#[derive(Debug, clap::Args)]
pub struct Pin {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
}

/// Let a pipeline take the newest operators again.
#[derive(Debug, clap::Args)]
pub struct Unpin {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
}

/// Let a pipeline try now to take its newest operators, whatever they were refused for.
#[derive(Debug, clap::Args)]
pub struct Deploy {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
}

/// Let a pipeline that stopped or waits try now to go on from its checkpoint.
#[derive(Debug, clap::Args)]
pub struct Start {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
}

impl History {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let state = self.file.load_admin()?.state;
        let history = checkpoints::histories(&state).load(&self.pipeline)?;
        if history.deployments().len() == 0 {
            bail!(
                "nothing ran yet in a pipeline {:?} of the service with the state {}",
                self.pipeline,
                state.display()
            );
        }
        let history = PipelineHistory::new(self.pipeline, &history);
        let mut out = Output::new();
        if self.json {
            writeln!(out, "{}", printable_json(&serde_json::to_string_pretty(&history)?))?;
        } else {
            out.write_all(text(&history)?.as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl RollBack {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let body = self.generation.map(|generation| json!({ "generation": generation }));
        order(&self.file, &self.pipeline, "rollback", body.as_ref())
    }
}

impl Pin {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        order(&self.file, &self.pipeline, "pin", None)
    }
}

impl Unpin {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        order(&self.file, &self.pipeline, "unpin", None)
    }
}

impl Deploy {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        order(&self.file, &self.pipeline, "deploy", None)
    }
}

impl Start {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        order(&self.file, &self.pipeline, "start", None)
    }
}

pub(super) fn order(
    file: &ConfigFile,
    pipeline: &str,
    verb: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<ExitCode> {
    let client = Client::new(&file.load_admin()?)?;
    let path = format!("/pipelines/{}/{verb}", segment(pipeline));
    let done = block_on(async { Ok(client.post(&path, body).await?) })?;
    writeln!(Output::new(), "{}", printable(&done))?;
    Ok(ExitCode::SUCCESS)
}

fn text(history: &PipelineHistory) -> anyhow::Result<String> {
    let mut text = format!("{:<21}{:>10}  {:<12} {}\n", "time (UTC)", "generation", "outcome", "operators");
    for deployment in &history.deployments {
        let time = sluice_core::time::shown(deployment.time).unwrap_or_default();
        let time = time.get(..19).unwrap_or(&time);
        let operators = if deployment.operators.is_empty() { "-".to_owned() } else { shown(&deployment.operators) };
        let reason = deployment.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let line =
            format!("{time:<21}{:>10}  {:<12} {operators}{reason}", deployment.generation, outcome(deployment.outcome));
        text += &format!("{}\n", printable(&line));
    }
    if history.pinned {
        text += &format!("pinned: takes nothing newer until `sluice unpin {}`\n", history.pipeline);
    }
    Ok(text)
}
