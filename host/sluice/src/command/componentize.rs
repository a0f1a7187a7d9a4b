//! `sluice componentize`: the last step of building an operator.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Make a component of a core module, such as cargo builds for wasm32-unknown-unknown.
#[derive(Debug, clap::Args)]
pub struct Componentize {
    /// The core module.
    module: PathBuf,
    /// Path of the component. It is written beside and renamed, so that a running host never sees half of it.
    #[arg(short, long)]
    output: PathBuf,
}

impl Componentize {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let shown = self.module.display();
        let module = super::read(&self.module)?;
        let component = sluice_runtime::componentize(&module).with_context(|| format!("{shown}"))?;
        let mut beside = self.output.clone().into_os_string();
        beside.push(".new");
        std::fs::write(&beside, component)
            .and_then(|()| std::fs::rename(&beside, &self.output))
            .with_context(|| format!("{} can't be written", self.output.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
