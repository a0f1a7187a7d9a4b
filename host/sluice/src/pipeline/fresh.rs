//! A pipeline that has no checkpoint: whether it begins, or has only lost what it had.
//!
//! | there is | and then |
//! |----------|----------|
//! | a checkpoint that is no pipeline's any more, with this one's table or group | refuses: it was renamed, and its states are still there |
//! | a fold, whose group has commits or whose table has rows | refuses: it would count from nothing over old totals |
//! | the same, and all records that there ever were are read (`start = "earliest"`, none is gone) | begins: a replay ends in the same totals |
//! | the same, and `sluice state reset` was said | begins |
//! | none of it | begins |

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::sink::SinkError;
use sluice_connectors::source::{Source, SourceError};
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, StoreError};
use sluice_core::identity::Identity;
use sluice_core::{Offset, Partition};

use super::trouble::Trouble;
use crate::config::{Pipeline, Start};
use crate::connections::Connections;

/// The key of the consumer group in [`Checkpoint::identities`].
const GROUP: &str = "group";

/// Keeps which group reads, so that a renamed pipeline is known by it.
pub fn keep_group(pipeline: &Pipeline, head: &mut Checkpoint) {
    head.identities.insert(GROUP.to_owned(), pipeline.source.group.clone());
}

/// Verdict on a start: whether it may begin, and what speaks against it.
pub enum Begins {
    /// The start is normal: there is a checkpoint, or everything is read again.
    AsItShould,
    /// The pipeline begins anew because somebody reset it. The identity is that of its source before.
    Anew(Identity),
    /// The store knows nothing of the pipeline.
    FromNothing {
        /// Offsets that the group has committed.
        committed: BTreeMap<Partition, Offset>,
    },
}

impl Begins {
    /// Looks into the store. Blocks.
    pub fn look(pipeline: &Pipeline, store: &dyn CheckpointStore) -> Result<Begins, Trouble> {
        match store.head(&pipeline.name).map_err(store_trouble)? {
            Some(mark) if mark.is_mark() => return Ok(Begins::Anew(Identity::of_source(&mark))),
            Some(_) => return Ok(Begins::AsItShould),
            None => {}
        }
        check_renamed(pipeline, store)?;
        Ok(Begins::FromNothing { committed: BTreeMap::new() })
    }

    /// Asks the source what its group has read, unless all of it is read again. Blocks.
    pub fn ask_group(self, pipeline: &Pipeline, source: &mut dyn Source) -> Result<Begins, SourceError> {
        if !matches!(self, Begins::FromNothing { .. }) {
            return Ok(self);
        }
        let whole = source.positions().values().all(|start| *start == Offset(0));
        if pipeline.source.start == Start::Earliest && whole {
            return Ok(Begins::AsItShould);
        }
        let committed = source.committed()?.into_iter().filter(|(_, offset)| *offset > Offset(0)).collect();
        Ok(Begins::FromNothing { committed })
    }

    /// Returns the identity of the source that existing letters may come from, as the mark of `sluice state reset` keeps it;
    /// empty without such a mark.
    pub fn before(&self) -> Identity {
        if let Begins::Anew(before) = self { before.clone() } else { Identity::default() }
    }

    /// Refuses a fold that counted before.
    pub async fn check(&self, pipeline: &Pipeline, connections: &Arc<Connections>, folds: bool) -> Result<(), Trouble> {
        let Begins::FromNothing { committed } = self else { return Ok(()) };
        if !folds {
            return Ok(());
        }
        if !committed.is_empty() {
            let at: Vec<_> = committed.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
            let group = &pipeline.source.group;
            return Err(lost(pipeline, &format!("the consumer group `{group}` has read up to {}", at.join(" "))));
        }
        // A table that others fill, too, says nothing.
        for sink in pipeline.sinks.iter().filter(|sink| !sink.shared) {
            let full = connections.has_rows(sink).await.map_err(|error| match error {
                SinkError::Unavailable(reason) => Trouble::Away(reason),
                error => Trouble::wrong(error.to_string()),
            })?;
            if full {
                return Err(lost(pipeline, &format!("the table {}.{} has rows", sink.connection, sink.table)));
            }
        }
        Ok(())
    }
}

fn lost(pipeline: &Pipeline, evidence: &str) -> Trouble {
    let name = &pipeline.name;
    Trouble::wrong(format!(
        "there is no checkpoint of it here, yet {evidence}: it would count from nothing, over the totals that are there. Bring \
         the state directory back, or `sluice state import {name} FILE` what `sluice state export` wrote; or, to begin anew \
         although, empty its tables and say `sluice state reset {name} --yes`, both while the service is stopped"
    ))
}

/// Refuses a pipeline that looks like another one under a new name. One whose file is still there is another pipeline.
fn check_renamed(pipeline: &Pipeline, store: &dyn CheckpointStore) -> Result<(), Trouble> {
    for other in store.pipelines().map_err(store_trouble)? {
        if other == pipeline.name || pipeline.file.with_file_name(format!("{other}.toml")).exists() {
            continue;
        }
        // One that can't be read says nothing, and is said by whoever needs it.
        let Ok(Some(head)) = store.head(&other) else { continue };
        if let Some(shared) = shared(pipeline, &head) {
            let name = &pipeline.name;
            return Err(Trouble::wrong(format!(
                "it is new, and {shared} is that of the pipeline `{other}`, whose checkpoint is here and whose file isn't: if it was \
                 renamed, stop the service and take its states along with `sluice state move {other} {name}`; if it is another \
                 one, forget the old with `sluice state reset {other}`, and empty the table"
            )));
        }
    }
    Ok(())
}

fn shared(pipeline: &Pipeline, head: &Checkpoint) -> Option<String> {
    let own = pipeline.sinks.iter().filter(|sink| !sink.shared);
    let mut sinks = own.map(|sink| format!("{}.{}", sink.connection, sink.table));
    let table = sinks.find(|sink| head.sinks.contains(sink)).map(|table| format!("its table {table}"));
    let group = &pipeline.source.group;
    let same_topic = head.topic == pipeline.source.topic;
    let same = same_topic && head.identities.get(GROUP) == Some(group);
    table.or_else(|| same.then(|| format!("its consumer group {group}")))
}

/// Converts a store's error to the trouble of the pipeline that is opened.
pub(super) fn store_trouble(error: StoreError) -> Trouble {
    match error {
        StoreError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    }
}
