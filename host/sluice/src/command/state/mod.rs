//! `sluice state`: look at the checkpoints, move them, start over.

mod adopt;
mod file;
mod group;
mod moved;

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use sluice_connectors::transaction::TABLE;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, Group, StoreError, begin_anew};
use sluice_core::{printable, printable_json};
use sluice_store::Store;

use self::group::Groups;
use super::ConfigFile;
use super::answer::Output;
use crate::config::Config;
use crate::{checkpoints, log};

/// Number of groups that are read from the store at once. Fewer: more calls. More: memory, and nothing is gained.
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
    /// List the pipelines that have a checkpoint, with topic, commits, generation and offsets.
    List,
    /// Show a pipeline's checkpoint, and groups in the order in which they are stored: a JSON object each.
    Show {
        pipeline: String,
        /// Key of the only group to show, in the form that `show` prints: '{"room_id": 20210813}'.
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
    /// Say that the topic, the databases and the tables which are there now, under other identities, are what the pipeline goes on with.
    Adopt {
        pipeline: String,
        /// Position to go on at: the checkpoint's offsets, for the same records in a new place; or the new topic's beginning or
        /// end, adding to the states that there are.
        #[arg(long, value_enum, default_value = "checkpoint")]
        from: adopt::From,
    },
    /// Give a pipeline's checkpoint, history and dead letters to a pipeline of another name: its file was renamed.
    Move { old: String, new: String },
    /// Forget the pipeline's checkpoint: it begins where its source's `start` says. Also said of a pipeline that has none, to have it
    /// begin although its group or its table show that there was one.
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
        let mut out = BufWriter::new(Output::new());
        match self.verb {
            Verb::List => list(&store, &mut out)?,
            Verb::Show { pipeline, key, limit } => show(&store, &pipeline, key.as_deref(), limit, &mut out)?,
            Verb::Export { pipeline, format: Format::Jsonl } => file::export(&store, &pipeline, &mut out)?,
            Verb::Import { pipeline, file } => {
                let lines = BufReader::new(File::open(&file).with_context(|| file.display().to_string())?);
                let groups = file::import(&store, &pipeline, lines).with_context(|| file.display().to_string())?;
                writeln!(out, "{pipeline}: {groups} groups")?;
            }
            Verb::Adopt { pipeline, from } => {
                let said = adopt::adopt(&config, &store, &pipeline, from)?;
                writeln!(out, "{pipeline}: {said}")?;
            }
            Verb::Move { old, new } => {
                let said = moved::transfer(&config, &store, &old, &new)?;
                writeln!(out, "{said}")?;
            }
            Verb::Reset { pipeline, yes } => return reset(&config, &store, &pipeline, yes),
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the pipeline's head, or an error that names the pipelines that have one.
fn head_of(store: &dyn CheckpointStore, pipeline: &str) -> anyhow::Result<Checkpoint> {
    if let Some(head) = store.head(pipeline)?.filter(|head| !head.is_mark()) {
        return Ok(head);
    }
    let mut names = store.pipelines()?;
    names.retain(|name| !matches!(store.head(name), Ok(Some(head)) if head.is_mark()));
    let there = if names.is_empty() { "none has one".to_owned() } else { format!("these have: {}", names.join(", ")) };
    bail!("the pipeline {pipeline} has no checkpoint; {there}")
}

fn list(store: &dyn CheckpointStore, out: &mut impl Write) -> anyhow::Result<()> {
    for pipeline in store.pipelines()? {
        match store.head(&pipeline) {
            Ok(Some(head)) if head.is_mark() => {}
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

/// Returns the offset at which reading goes on in each partition.
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

fn reset(config: &Config, store: &Store, pipeline: &str, yes: bool) -> anyhow::Result<ExitCode> {
    // Not only one that can be read: to start over is what is left for a damaged one. Nor only one that is there: a pipeline whose
    // checkpoint was lost is told so that it may begin.
    let head = store.head(pipeline);
    if let Ok(None) = head
        && config.pipelines.iter().all(|known| known.name != pipeline)
    {
        head_of(store, pipeline)?;
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("there is no terminal to ask whether the checkpoint of {pipeline} may be deleted; add --yes");
        }
        let place = head.as_ref().ok().and_then(Option::as_ref).map(places);
        let place = place.unwrap_or_else(|| if head.is_ok() { "none here" } else { "damaged" }.to_owned());
        log::aside(&format!(
            "The checkpoint of {pipeline} ({place}) will be gone for good. Type the pipeline's name: "
        ));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != pipeline {
            log::aside("Nothing was changed.\n");
            return Ok(ExitCode::FAILURE);
        }
    }
    begin_anew(store, pipeline)?;
    if let Ok(Some(Checkpoint { transaction: Some(connection), .. })) = head {
        log::aside(&format!(
            "Its rows' offsets are still in the database of `{connection}`, and the next start goes by them: to start over, empty \
             the table and run DELETE FROM {TABLE} WHERE pipeline = '{pipeline}' there.\n"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
