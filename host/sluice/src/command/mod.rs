//! The command line: one file for each verb.

pub mod answer;
mod check;
pub mod compile;
mod componentize;
mod dead_letters;
mod demo;
mod deployments;
mod generate;
mod inspect;
mod resync;
mod run;
mod state;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sluice_connectors::regular;

use crate::config::{self, Config};
use crate::log;
use crate::pipelines::Directory;

/// Stream metrics whose logic is WebAssembly.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// Format of the log (on standard error); `SLUICE_LOG` sets the levels, such as `sluice=debug`.
    #[arg(long, global = true, default_value = "human")]
    pub log: log::Format,
    #[command(subcommand)]
    verb: Verb,
}

impl Arguments {
    /// Returns true if there is a log. The standard error of `compile` must be only what the service reports of an operator.
    pub fn logs(&self) -> bool {
        !matches!(self.verb, Verb::Compile(_))
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the service until SIGTERM, SIGINT or SIGHUP.
    Run(run::Run),
    /// Say everything that is wrong with the configuration, the servers and the tables.
    Check(check::Check),
    /// Show what an operator is, what it imports, and its plan.
    Inspect(inspect::Inspect),
    /// Write made-up entries and gifts to a connection.
    Generate(generate::Generate),
    /// Compile an operator from standard input into a cache: the part of `run` that can be given up.
    #[command(hide = true)]
    Compile(compile::Compile),
    /// Make a component of a core module that was built for wasm32-unknown-unknown.
    Componentize(componentize::Componentize),
    /// Show what a running service's pipelines are doing.
    Status(status::Status),
    /// Show what ran in a pipeline, what was refused and what was rolled back.
    History(deployments::History),
    /// Go back to operators that a pipeline ran before, and stay with them.
    Rollback(deployments::RollBack),
    /// Let a pipeline stay with the operators that it runs, whatever is deployed.
    Pin(deployments::Pin),
    /// Let a pipeline take the newest operators again.
    Unpin(deployments::Unpin),
    /// Let a pipeline write all of its groups again.
    Resync(resync::Resync),
    /// Let a pipeline try now to take its newest operators, whatever they were refused for.
    Deploy(deployments::Deploy),
    /// Let a pipeline that stopped or waits try now to go on from its checkpoint.
    Start(deployments::Start),
    /// Look at the checkpoints of a service that isn't running, move them, start over.
    State(state::State),
    /// Look at records that were left out, drive them through again, or forget them.
    DeadLetters(dead_letters::DeadLetters),
    /// Run the pipelines on generated records and show the results growing.
    Demo(demo::Demo),
}

/// Path of the configuration.
#[derive(Debug, Clone, clap::Args)]
struct ConfigFile {
    /// The service's file.
    #[arg(long, default_value = "sluice.toml")]
    config: PathBuf,
}

impl ConfigFile {
    /// Loads the configuration with the pipelines whose files are good; the problems of the others are in the log.
    fn load(&self) -> Result<Config, config::Problems> {
        let mut config = self.load_service()?;
        let mut directory = Directory::new(&config);
        directory.look(|_| false);
        config.pipelines = directory.pipelines();
        Ok(config)
    }

    /// Loads the configuration without any pipeline.
    fn load_service(&self) -> Result<Config, config::Problems> {
        config::load_service(&self.config, &|name| std::env::var(name).ok())
    }

    /// Loads the configuration if all files are good.
    fn load_whole(&self) -> Result<Config, config::Problems> {
        load(&self.config)
    }

    /// Loads the settings that are needed to reach the service of this configuration.
    fn load_admin(&self) -> Result<config::Admin, config::Problems> {
        config::load_admin(&self.config, &|name| std::env::var(name).ok())
    }
}

/// Reads a regular file; doesn't wait long for a file system that doesn't answer.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    regular::read(path, u64::MAX).with_context(|| format!("{} can't be read", path.display()))
}

fn load(path: &Path) -> Result<Config, config::Problems> {
    config::load(path, &|name| std::env::var(name).ok())
}

/// Does what the arguments say.
pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.verb {
        Verb::Run(run) => run.execute(),
        Verb::Check(check) => check.execute(),
        Verb::Inspect(inspect) => inspect.execute(),
        Verb::Generate(generate) => generate.execute(),
        Verb::Compile(compile) => compile.execute(),
        Verb::Componentize(componentize) => componentize.execute(),
        Verb::Status(status) => status.execute(),
        Verb::History(history) => history.execute(),
        Verb::Rollback(rollback) => rollback.execute(),
        Verb::Pin(pin) => pin.execute(),
        Verb::Unpin(unpin) => unpin.execute(),
        Verb::Resync(resync) => resync.execute(),
        Verb::Deploy(deploy) => deploy.execute(),
        Verb::Start(start) => start.execute(),
        Verb::State(state) => state.execute(),
        Verb::DeadLetters(letters) => letters.execute(),
        Verb::Demo(demo) => demo.execute(),
    }
}

/// Runs on the threads of I/O and control; lanes have their own. A call to a server that still hangs at the end is left behind
/// rather than waited for: everything that counts is flushed by then.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(work);
    runtime.shutdown_background();
    answer
}
