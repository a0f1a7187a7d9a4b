//! Sluice: stream metrics whose logic is WebAssembly.
//!
//! This is the binary's edge: arguments, the log, the exit code. `service.rs` wires the parts.

mod admin;
mod board;
mod changes;
mod checkpoints;
mod command;
mod config;
mod connections;
mod figures;
mod identity;
mod kept;
mod operators;
mod pipeline;
mod pipelines;
mod running;
mod service;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use command::{Arguments, LogFormat};
use tracing_subscriber::EnvFilter;

/// glibc gives the large blocks of each batch back to the kernel and faults them in again, which costs more than the work on
/// the rows in them. The C parts use it, too, by the crate's feature `override`: librdkafka allocates in one thread what it frees in
/// another, for which glibc takes a lock each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.logs() {
        start_log(arguments.log);
    }
    match command::execute(arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat) {
    let levels = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new("info,lsm_tree=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(levels).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
