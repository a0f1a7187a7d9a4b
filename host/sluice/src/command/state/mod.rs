//! `sluice state`: look at the checkpoints, move them, start over.

mod file;
mod group;

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use sluice_connectors::transaction::TABLE;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, Group, StoreError};
use sluice_core::{printable, printable_json};
use sluice_store::Store;

use self::group::Groups;
use super::ConfigFile;
use crate::checkpoints;

/// How many groups are read from the store at once. Fewer: more calls; more: memory, and nothing is gained.
const PAGE: usize = 10_000;

/// Look at the checkpoints of a service that isn't running, move them, start over.
#[derive(Debug, clap::Args)]
pub struct State {
    #[command(flatten)]
    file: ConfigFile,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The pipelines that have a checkpoint: topic, commits, generation, where they are.
    List,
    /// A pipeline's checkpoint, and groups in the order in which they are stored: a JSON object each.
    Show {
        pipeline: String,
        /// Only the group with this key, as `show` prints it: '{"room_id": 20210813}'.
        #[arg(long)]
        key: Option<String>,
        /// The most groups.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Write a pipeline's checkpoint to standard output: its head, then its groups.
    Export {
        pipeline: String,
        #[arg(long, default_value = "jsonl")]
        format: Format,
    },
    /// Make the checkpoint of a pipeline that has none of a file that `export` wrote.
    Import { pipeline: String, file: PathBuf },
    /// Forget the pipeline's checkpoint: it begins where its source's `start` says.
    Reset {
        pipeline: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A JSON object a line.
    Jsonl,
}

impl State {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let config = self.file.load()?;
        let store = checkpoints::open(&config)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        match self.verb {
            Verb::List => list(&store, &mut out)?,
            Verb::Show { pipeline, key, limit } => show(&store, &pipeline, key.as_deref(), limit, &mut out)?,
            Verb::Export { pipeline, format: Format::Jsonl } => file::export(&store, &pipeline, &mut out)?,
            Verb::Import { pipeline, file } => {
                let lines = BufReader::new(File::open(&file).with_context(|| file.display().to_string())?);
                let groups = file::import(&store, &pipeline, lines).with_context(|| file.display().to_string())?;
                writeln!(out, "{pipeline}: {groups} groups")?;
            }
            Verb::Reset { pipeline, yes } => return reset(&store, &pipeline, yes),
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The pipeline's head, or an error that names those that have one.
fn head_of(store: &dyn CheckpointStore, pipeline: &str) -> anyhow::Result<Checkpoint> {
    if let Some(head) = store.head(pipeline)? {
        return Ok(head);
    }
    let names = store.pipelines()?;
    let there = if names.is_empty() { "none has one".to_owned() } else { format!("these have: {}", names.join(", ")) };
    bail!("the pipeline {pipeline} has no checkpoint; {there}")
}

fn list(store: &dyn CheckpointStore, out: &mut impl Write) -> anyhow::Result<()> {
    for pipeline in store.pipelines()? {
        match store.head(&pipeline) {
            Ok(Some(head)) => {
                let (topic, commits, generation) = (&head.topic, head.commits, head.generation);
                writeln!(
                    out,
                    "{pipeline}: topic {topic}, {commits} commits, generation {generation}, {}",
                    places(&head)
                )?;
            }
            Ok(None) => {}
            Err(StoreError::Damaged(reason)) => writeln!(out, "{pipeline}: {}", printable(&reason))?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Where reading goes on, partition by partition.
fn places(head: &Checkpoint) -> String {
    let ends: Vec<_> =
        head.intervals.ends().iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
    format!("at {}", if ends.is_empty() { "no partition".to_owned() } else { ends.join(" ") })
}

fn show(
    store: &dyn CheckpointStore,
    pipeline: &str,
    key: Option<&str>,
    limit: usize,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let head = head_of(store, pipeline)?;
    let groups = Groups::of(&head);
    if let Some(key) = key {
        let Some(groups) = groups else { bail!("the pipeline {pipeline} has no aggregator, and so no groups") };
        let key = groups.key(key).context("--key")?;
        let Some(Some(state)) = store.states(pipeline, &[&key])?.pop() else {
            bail!("the pipeline {pipeline} has no group with this key");
        };
        return print(out, &groups.show(&[(key, state)])?);
    }
    writeln!(out, "{}", printable_json(&serde_json::to_string_pretty(&head)?))?;
    let Some(groups) = groups else { return Ok(()) };
    pages(store, pipeline, limit, |page| print(out, &groups.show(page)?))
}

fn print(out: &mut impl Write, lines: &[serde_json::Value]) -> anyhow::Result<()> {
    Ok(lines.iter().try_for_each(|line| writeln!(out, "{}", printable_json(&line.to_string())))?)
}

/// Hands out the first groups in order, up to this many.
fn pages(
    store: &dyn CheckpointStore,
    pipeline: &str,
    limit: usize,
    mut each: impl FnMut(&[Group]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut left = limit;
    let mut page = store.scan(pipeline, None, left.min(PAGE))?;
    while !page.is_empty() {
        each(&page)?;
        left -= page.len();
        let last = page.pop().map(|(key, _)| key);
        page = store.scan(pipeline, last.as_deref(), left.min(PAGE))?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a question to a person")]
fn reset(store: &Store, pipeline: &str, yes: bool) -> anyhow::Result<ExitCode> {
    // Not only one that can be read: to start over is what is left for a damaged one.
    let head = store.head(pipeline);
    if let Ok(None) = head {
        head_of(store, pipeline)?;
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("there is nobody to ask whether the checkpoint of {pipeline} may be forgotten; say --yes");
        }
        let place = head.as_ref().ok().and_then(Option::as_ref).map(places).unwrap_or_else(|| "damaged".to_owned());
        eprint!("The checkpoint of {pipeline} ({place}) will be gone for good. Type the pipeline's name: ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != pipeline {
            eprintln!("Nothing was changed.");
            return Ok(ExitCode::FAILURE);
        }
    }
    store.reset(pipeline)?;
    if let Ok(Some(Checkpoint { transaction: Some(connection), .. })) = head {
        eprintln!(
            "Its rows' offsets are still in the database of `{connection}`, and the next start goes by them: to start over, empty \
             the table and run DELETE FROM {TABLE} WHERE pipeline = '{pipeline}' there."
        );
    }
    Ok(ExitCode::SUCCESS)
}
