//! `sluice resync`: a pipeline writes all of its groups again.

use std::process::ExitCode;

use super::{ConfigFile, deployments};

/// Let a pipeline write all of its groups again, whatever its tables have. Answers once that has begun.
#[derive(Debug, clap::Args)]
pub struct Resync {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the pipeline's file, without .toml.
    pipeline: String,
}

impl Resync {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        deployments::order(&self.file, &self.pipeline, "resync", None)
    }
}
