//! `sluice run`: the service.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use sluice_core::printable;

use super::answer::Output;
use super::{ConfigFile, block_on};
use crate::config::{Config, quantity, unveiled};
use crate::ending::Ending;
use crate::pipeline::Ended;
use crate::running::PipelineOutcome;
use crate::service::Service;

/// Run the service until SIGTERM, SIGINT or SIGHUP, which end it after a last flush.
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Read up to where the topics end now, flush, print a line for each pipeline, and exit.
    #[arg(long)]
    until_caught_up: bool,
    /// Longest time that a server may be away before a pipeline is given up; only with --until-caught-up.
    #[arg(long, default_value = "1m", value_parser = patience, value_name = "DURATION")]
    patience: Duration,
}

fn patience(text: &str) -> Result<Duration, String> {
    quantity::duration(text).ok_or_else(|| format!("write {}", quantity::DURATION))
}

impl Run {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let ending = Ending::hear()?;
        let config = self.file.load_service()?;
        ending.set_bound(config.stop_within);
        block_on(self.serve(&config, ending))
    }

    async fn serve(&self, config: &Config, mut ending: Ending) -> anyhow::Result<ExitCode> {
        let started = tokio::select! {
            biased;
            name = ending.asked() => {
                tracing::info!("{name}: ended before anything began");
                return Ok(ExitCode::SUCCESS);
            }
            started = Service::start(config, self.until_caught_up.then_some(self.patience)) => started?,
        };
        let mut service = started;
        let served = async {
            service.serve_admin(config).await?;
            service.serve_board(config).await
        };
        if let Err(error) = served.await {
            service.end().await?;
            return Err(error);
        }
        let pipelines = service.statuses().borrow().len();
        tracing::info!(pipelines, "sluice {} runs", env!("CARGO_PKG_VERSION"));
        let outcomes = tokio::select! {
            outcomes = service.finished() => outcomes?,
            name = ending.asked() => {
                tracing::info!("{name}: flushing and ending, within {:?}", config.stop_within);
                service.end().await?
            }
        };
        if self.until_caught_up {
            outcomes.iter().try_for_each(summarize)?;
        }
        // A file that is refused has caught up with nothing.
        let refused = self.until_caught_up && !service.refused().borrow().is_empty();
        Ok(if refused { ExitCode::FAILURE } else { exit_code(&outcomes, self.until_caught_up) })
    }
}

/// Writes the outcome in the fixed form that scripts read, `name: N records, N rows, N rejected, S seconds`, and then notes.
fn summarize(outcome: &PipelineOutcome) -> std::io::Result<()> {
    let s = outcome.status.snapshot();
    let fault = match &outcome.ended {
        Ended::Well => String::new(),
        Ended::Fault(reason) => format!(", stopped: {}", printable(&unveiled(reason))),
    };
    let dropped = match s.figures.dropped.values().sum() {
        0u64 => String::new(),
        values => format!(", {values} values dropped"),
    };
    writeln!(
        Output::new(),
        "{}: {} records, {} rows, {} rejected, {:.3} seconds{dropped}{fault}",
        s.name,
        s.figures.records,
        s.figures.rows,
        s.figures.rejected,
        outcome.seconds
    )
}

/// Chooses the exit code. A service that was asked to end did well unless rows could not be written; a backfill also fails if a
/// pipeline stopped.
fn exit_code(outcomes: &[PipelineOutcome], until_caught_up: bool) -> ExitCode {
    let fault = outcomes.iter().any(|outcome| matches!(outcome.ended, Ended::Fault(_)));
    if fault || (until_caught_up && outcomes.is_empty()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
