//! `sluice run`: the service.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, block_on};
use crate::config::Config;
use crate::pipeline::Ended;
use crate::running::Outcome;
use crate::service::Service;

/// Run the service until SIGTERM or SIGINT, which end it after a last flush.
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Read up to where the topics end now, flush, print a line for each pipeline, and exit.
    #[arg(long)]
    until_caught_up: bool,
}

impl Run {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let config = self.file.load()?;
        block_on(self.serve(&config))
    }

    async fn serve(&self, config: &Config) -> anyhow::Result<ExitCode> {
        // Before anything starts, so that no signal kills a service that has begun.
        let ended = ended_by_signal()?;
        let mut service = Service::start(config, self.until_caught_up).await?;
        service.serve_admin(config).await?;
        tracing::info!(pipelines = config.pipelines.len(), "sluice {} runs", env!("CARGO_PKG_VERSION"));
        let outcomes = tokio::select! {
            outcomes = service.finished() => outcomes?,
            name = ended => {
                tracing::info!("{name}: flushing and ending");
                service.stop();
                service.finished().await?
            }
        };
        if self.until_caught_up {
            outcomes.iter().for_each(summarize);
        }
        Ok(exit_code(&outcomes, self.until_caught_up))
    }
}

/// Resolves at the first SIGTERM or SIGINT, with its name.
pub(super) fn ended_by_signal() -> anyhow::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate()).context("no handler for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no handler for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// The fixed form that scripts read: `name: N records, N rows, N rejected, S seconds`; after it, what there is to say.
#[expect(clippy::print_stdout, reason = "this is the verb's answer")]
fn summarize(outcome: &Outcome) {
    let s = outcome.status.snapshot();
    let fault = match &outcome.ended {
        Ended::Well => String::new(),
        Ended::Fault(reason) => format!(", stopped: {reason}"),
    };
    let dropped = match s.dropped.values().sum() {
        0u64 => String::new(),
        values => format!(", {values} values dropped"),
    };
    println!(
        "{}: {} records, {} rows, {} rejected, {:.3} seconds{dropped}{fault}",
        s.name, s.records, s.rows, s.rejected, outcome.seconds
    );
}

/// A service that was asked to end did well unless rows could not be written; a backfill also fails if a pipeline stopped.
fn exit_code(outcomes: &[Outcome], until_caught_up: bool) -> ExitCode {
    let fault = outcomes.iter().any(|outcome| matches!(outcome.ended, Ended::Fault(_)));
    if fault || (until_caught_up && outcomes.is_empty()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
