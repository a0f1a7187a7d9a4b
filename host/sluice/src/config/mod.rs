//! The configuration: `sluice.toml` and the pipelines beside it, as plain data, or everything that is wrong with them.
//!
//! ```text
//! sluice.toml ──service──▶ directories, connections ─┐
//! pipelines/*.toml ──pipeline──▶ source, step, sink ─┴─▶ Config, or Problems
//!            (each file through reader: keys, types, bounds, ${VAR}, line numbers)
//! ```
//!
//! Nothing here asks a server or loads an operator; what only they know (a table's columns, an operator's plan) is checked
//! by whoever asks them.

mod board;
mod connections;
mod declared;
mod environment;
mod file;
mod format;
mod json;
mod limits;
pub mod nearest;
mod on_error;
mod pipeline;
mod probation;
mod problem;
pub mod quantity;
pub mod reader;
pub mod secret;
mod service;
mod sink;
mod source;
mod state;
mod step;
mod tables;
#[cfg(test)]
mod tests;
pub mod value;
mod window;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use board::BoardServer;
pub use declared::Declared;
pub use environment::Env;
pub use file::{pipeline_files, read as read_file, text as file_text};
pub use on_error::{DeadLetters, OnError};
pub use pipeline::Pipeline;
pub use probation::OnIncompatible;
pub use problem::{Problem, Problems, shown};
pub use secret::unveiled;
pub use service::STOP_WITHIN;
#[cfg(test)]
pub use sink::Flush;
pub use sink::{Delivery, KeyEquality, Sink};
pub use source::{Source, Start};
pub use step::{Join, Lookup, OperatorStep, Step};
pub use tables::shared_tables;

use sluice_runtime::CompileLimits;

use crate::connection::ByName;
use service::Service;

/// The most pipelines of one service: each has its threads.
pub const MAX_PIPELINES: usize = 256;

/// Configuration: the content of all files.
#[derive(Debug, Clone)]
pub struct Config {
    /// The sluice.toml that the settings came from.
    pub file: PathBuf,
    /// The directory of operators.
    pub operators: PathBuf,
    /// The directory of the pipelines' files.
    pub pipelines_dir: PathBuf,
    /// The directory of checkpoints, kept artifacts and the compile cache.
    pub state: PathBuf,
    /// Limits for compiling one operator.
    pub compile: CompileLimits,
    /// Bytes of memory that all operators' instances together may have.
    pub operators_memory: usize,
    /// Time within which the service must end once it is asked to.
    pub stop_within: Duration,
    /// Address at which the admin API listens, a loopback address; none if there is no API.
    pub admin: Option<SocketAddr>,
    /// Settings of the board; none if there is no board.
    pub board: Option<BoardServer>,
    /// The connections, by name.
    pub connections: ByName,
    /// The pipelines, sorted by name.
    pub pipelines: Vec<Pipeline>,
}

/// Reads sluice.toml at `path` and all pipelines. Relative directories are relative to that file.
///
/// # Errors
///
/// All problems of all files. Where sluice.toml can't be read, what the pipelines say of connections isn't judged.
pub fn load(path: &Path, env: Env<'_>) -> Result<Config, Problems> {
    let root = path.parent().unwrap_or(Path::new(""));
    let text = file::read_text(path).map_err(|problem| Problems(vec![problem]))?;
    let reading = reader::read(path, &text, env, |section| Some(service::read(section, root)));
    let mut problems = reading.problems;
    let Some(service) = reading.value else { return Err(Problems(problems)) };
    let unknown = Declared::unknown();
    let declared = if reading.well_formed { &service.declared } else { &unknown };
    let pipelines = match &service.pipelines {
        Some(directory) => load_pipelines(path, directory, declared, env, &mut problems),
        None => Vec::new(),
    };
    problems.extend(shared_tables(&pipelines, &service.connections));
    config(path, service, pipelines).filter(|_| problems.is_empty()).ok_or(Problems(problems))
}

/// Settings that are needed to reach a running service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The sluice.toml that the settings came from.
    pub file: PathBuf,
    /// The directory of the service's state.
    pub state: PathBuf,
    /// Address at which the admin API listens; none if there is no API.
    pub listen: Option<SocketAddr>,
}

/// Reads just that from sluice.toml at `path`: all else may be wrong, or want variables that only the service has.
///
/// # Errors
///
/// All problems of the file, if it is one of these that can't be had.
pub fn load_admin(path: &Path, env: Env<'_>) -> Result<Admin, Problems> {
    let root = path.parent().unwrap_or(Path::new(""));
    let text = file::read_text(path).map_err(|problem| Problems(vec![problem]))?;
    let reading = reader::read(path, &text, env, |section| Some(service::read(section, root)));
    let parts =
        reading.value.filter(|_| reading.well_formed).and_then(|service| Some((service.state?, service.admin?)));
    let (state, listen) = parts.ok_or(Problems(reading.problems))?;
    Ok(Admin { file: path.to_owned(), state, listen })
}

/// Reads sluice.toml at `path` alone, for a caller that reads the pipelines' files one by one.
///
/// # Errors
///
/// All problems of the file, one of which may be that its directory of pipelines isn't there.
pub fn load_service(path: &Path, env: Env<'_>) -> Result<Config, Problems> {
    let root = path.parent().unwrap_or(Path::new(""));
    let text = file::read_text(path).map_err(|problem| Problems(vec![problem]))?;
    let mut reading = reader::read(path, &text, env, |section| Some(service::read(section, root)));
    if let Some(directory) = reading.value.as_ref().and_then(|service| service.pipelines.as_ref()) {
        list_pipelines(path, directory, &mut reading.problems);
    }
    let config = reading.value.and_then(|service| config(path, service, Vec::new()));
    config.filter(|_| reading.problems.is_empty()).ok_or(Problems(reading.problems))
}

/// Reads what one pipeline's file says, for a configuration whose connections are known.
///
/// # Errors
///
/// All problems of the file. That no other pipeline reads as the same group or writes the same table isn't checked: see
/// [`shared_groups`] and [`shared_tables`].
pub fn parse_pipeline(
    path: &Path,
    read: std::io::Result<Vec<u8>>,
    connections: &ByName,
    env: Env<'_>,
) -> Result<Pipeline, Problems> {
    let text = || file::text(path, read);
    pipeline::parse(path, text, &Declared::of(connections), env).map_err(Problems)
}

/// Returns a problem for each pipeline that reads a topic as the same consumer group as an earlier one: they would overwrite each
/// other's commits, and one would start at the other's position.
pub fn shared_groups(pipelines: &[Pipeline]) -> Vec<Problem> {
    let mut first: BTreeMap<_, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for Pipeline { name, file, source, .. } in pipelines {
        let group = (&source.connection, &source.topic, &source.group);
        if let Some(other) = first.get(&group) {
            let found = format!("{:?}, which pipeline {other} reads {:?} as", source.group, source.topic);
            problems.push(Problem::new(file, "source.group", found, "a group of its own for each pipeline"));
        } else {
            first.insert(group, name);
        }
    }
    problems
}

fn load_pipelines(
    path: &Path,
    directory: &Path,
    declared: &Declared,
    env: Env<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Pipeline> {
    let mut files = list_pipelines(path, directory, problems);
    if files.len() > MAX_PIPELINES {
        let found = format!("{} pipelines", files.len());
        problems.push(Problem::of_file(directory, found, format!("at most {MAX_PIPELINES}")));
        files.truncate(MAX_PIPELINES);
    }
    let mut pipelines = Vec::new();
    for file in files {
        match pipeline::load(&file, declared, env) {
            Ok(pipeline) => pipelines.push(pipeline),
            Err(found) => problems.extend(found),
        }
    }
    pipelines.sort_by(|a, b| a.name.cmp(&b.name));
    problems.extend(shared_groups(&pipelines));
    pipelines
}

fn list_pipelines(path: &Path, directory: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    sluice_connectors::asking::ask(directory, file::pipeline_files).unwrap_or_else(|error| {
        let found = format!("{}, which can't be listed ({error})", directory.display());
        problems.push(Problem::new(path, "pipelines", found, "a directory that is there"));
        Vec::new()
    })
}

fn config(path: &Path, service: Service, pipelines: Vec<Pipeline>) -> Option<Config> {
    Some(Config {
        file: path.to_owned(),
        operators: service.operators?,
        pipelines_dir: service.pipelines?,
        state: service.state?,
        compile: service.compile?,
        operators_memory: service.operators_memory?,
        stop_within: service.stop_within?,
        admin: service.admin?,
        board: service.board?,
        connections: service.connections,
        pipelines,
    })
}
