//! `sluice state move`: a pipeline's file was renamed, and what is kept of it gets the new name.

use anyhow::bail;
use sluice_connectors::letters::Filter;
use sluice_connectors::transaction::TABLE;
use sluice_core::checkpoint::CheckpointStore;
use sluice_store::Store;

use super::head_of;
use crate::command::block_on;
use crate::config::Config;
use crate::connections::Connections;
use crate::pipeline::letters;

/// Moves the letters, then checkpoint, history and kept operators. Letters first: after a crash in between the same command goes on.
pub(super) fn transfer(config: &Config, store: &Store, old: &str, new: &str) -> anyhow::Result<String> {
    let head = head_of(store, old)?;
    let names = |name: &str| config.pipelines.iter().find(|pipeline| pipeline.name == name);
    if old == new || names(old).is_some() {
        bail!("the pipeline {old} still has its file: rename the file first");
    }
    let Some(pipeline) = names(new) else { bail!("there is no file of the pipeline {new}: rename the file first") };
    if store.head(new)?.is_some_and(|head| !head.is_mark()) {
        bail!("the pipeline {new} has a checkpoint of its own; forget it first with `sluice state reset {new}`");
    }
    if let Some(connection) = &head.transaction {
        let connections = Connections::new(&config.connections);
        let unmoved = block_on(async {
            let Some(sink) = pipeline.transaction() else { return Ok(true) };
            let mut before = pipeline.clone();
            before.name = old.to_owned();
            let (theirs, ours) =
                (connections.written(&before, sink).await?, connections.written(pipeline, sink).await?);
            Ok(!theirs.intervals.ends().is_empty() || ours.intervals.ends().is_empty())
        })?;
        if unmoved {
            bail!(
                "the offsets of its rows are in the database of `{connection}`: first run UPDATE {TABLE} SET pipeline = '{new}' \
                 WHERE pipeline = '{old}' there, then this again"
            );
        }
    }
    let mut letters = 0;
    if let Some(place) = &pipeline.dead_letters {
        let connections = Connections::new(&config.connections);
        let filter = Filter { pipeline: Some(old.to_owned()), ..Filter::default() };
        letters = block_on(async {
            let mut letters = connections.open_letters(place).await?;
            let moved = letters::rename(letters.as_mut(), &filter, |(_, id)| (new.to_owned(), id.clone())).await;
            Ok(moved?)
        })?;
    }
    store.rename(old, new)?;
    Ok(format!("{old} is {new} now, with {letters} dead letters"))
}
