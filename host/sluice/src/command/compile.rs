//! `sluice compile`: what the service runs beside itself for each new operator, since compiling can go wrong in ways that only the end
//! of a process mends.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use sluice_runtime::{CompileHelper, CompileLimits, compile_within};

use crate::log;

/// Path of this binary, even if its file was replaced or removed meanwhile.
const SELF: &str = "/proc/self/exe";

/// Compile an operator from standard input into a cache.
#[derive(Debug, clap::Args)]
pub struct Compile {
    /// The directory of the cache.
    cache: PathBuf,
    /// Processor time that compiling may take, in seconds.
    seconds: u64,
    /// Memory that compiling may take, in bytes.
    memory: u64,
}

impl Compile {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let limits = CompileLimits { time: Duration::from_secs(self.seconds), memory: self.memory };
        Ok(match compile_within(&self.cache, limits, std::io::stdin().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                log::aside(&format!("{reason}\n"));
                ExitCode::FAILURE
            }
        })
    }
}

/// Makes the helper that compiles into this cache: this binary itself; none where the system doesn't say which file it runs.
pub fn helper(cache: &Path, limits: CompileLimits) -> Option<CompileHelper> {
    let program = if Path::new(SELF).exists() { PathBuf::from(SELF) } else { std::env::current_exe().ok()? };
    let numbers = [limits.time.as_secs(), limits.memory].map(|number| OsString::from(number.to_string()));
    let arguments = [OsString::from("compile"), cache.into()].into_iter().chain(numbers).collect();
    Some(CompileHelper { program, arguments, limits })
}
