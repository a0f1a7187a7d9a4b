//! Sluice: stream metrics whose logic is WebAssembly.
//!
//! This is the binary's edge: arguments, the log, the exit code. `service.rs` wires the parts.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests wait, and measure how long"))]

mod admin;
mod allocator;
mod board;
mod changes;
mod checkpoints;
mod command;
mod config;
mod connection;
mod connections;
mod died;
mod ending;
mod http;
mod identity;
mod kept;
mod log;
mod meters;
mod numbers;
mod operators;
mod pipeline;
mod pipelines;
mod private;
mod running;
mod service;
mod shown;

use std::process::ExitCode;

use clap::Parser;
use command::Arguments;

fn main() -> ExitCode {
    allocator::set_up();
    let arguments = Arguments::parse();
    let begun = if arguments.logs() { log::start(arguments.log) } else { Ok(()) };
    let code = begun.and_then(|()| command::execute(arguments)).unwrap_or_else(|error| {
        log::last_words(&error);
        ExitCode::FAILURE
    });
    log::end();
    code
}
