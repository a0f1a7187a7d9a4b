//! `delivery = "transaction"`: what a start finds out of the database, and refuses. What is done about it is in
//! [`sluice_core::run::resume`].

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::sink::SinkError;
use sluice_connectors::source::{Source, SourceError};
use sluice_connectors::transaction::{TABLE, Written};
use sluice_core::checkpoint::Checkpoint;
use sluice_core::run::Resumption;
use sluice_core::run::resume::{rows_ahead, rows_without_states};
use sluice_core::{Offset, Partition};

use super::trouble::Trouble;
use crate::config::{Pipeline, Sink};
use crate::connections::Connections;

/// Offset at which each partition goes on.
type Ends = BTreeMap<Partition, Offset>;

/// Returns the reason why a sink without a key can't take these rows; none if it can.
pub fn keyless(sink: &Sink, folds: bool) -> Option<String> {
    let (refused, place) = (sink.key.is_empty() && folds, sink.place.key());
    refused.then(|| format!("the rows of an aggregator change, and the sink of {place} `{}` has no key", sink.table))
}

/// Returns how far the pipeline's rows are, as the database says.
pub async fn written(pipeline: &Pipeline, connections: &Arc<Connections>) -> Result<Written, Trouble> {
    let Some(sink) = pipeline.transaction() else { return Ok(Written::default()) };
    connections.written(pipeline, sink).await.map_err(|error| match error {
        SinkError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    })
}

/// Returns the checkpoint to go on from, in agreement with the rows; logs it if its offsets differ from the stored ones.
pub fn reconcile(
    pipeline: &Pipeline,
    resumption: &Resumption,
    head: Option<Checkpoint>,
    written: &Written,
) -> Option<Checkpoint> {
    let before = head.as_ref().map(|head| head.intervals.ends());
    let head = resumption.reconcile(head, written);
    if let (Some(sink), Some(before), Some(head)) = (pipeline.transaction(), before, &head) {
        say(pipeline, sink, &before, &head.intervals.ends());
    }
    head
}

fn say(pipeline: &Pipeline, sink: &Sink, before: &Ends, after: &Ends) {
    if before == after {
        return;
    }
    let behind = before.iter().any(|(partition, end)| after.get(partition).is_some_and(|at| at < end));
    let (before, after) = (shown(before), shown(after));
    let place = format!("{}.{}", sink.connection, sink.table);
    if behind {
        tracing::warn!(
            pipeline = pipeline.name,
            "the rows in {place} are up to {after}, the checkpoint here ends at {before}: going on from the rows, so records \
             are read again; was the database restored?"
        );
    } else {
        tracing::info!(
            pipeline = pipeline.name,
            "the rows in {place} are up to {after}, the checkpoint here ends at {before}: going on from the rows"
        );
    }
}

/// Partitions and offsets as people read them.
fn shown(ends: &Ends) -> String {
    let ends: Vec<_> = ends.iter().map(|(partition, end)| format!("{partition}:{end}")).collect();
    if ends.is_empty() { "nothing".to_owned() } else { ends.join(" ") }
}

/// Refuses to count from nothing where rows say that there were states. `head` is the one that reading began from.
pub fn check_fold(
    pipeline: &Pipeline,
    head: Option<&Checkpoint>,
    folds: bool,
    written: &Written,
) -> Result<(), Trouble> {
    let Some(ends) = rows_without_states(head, written).filter(|_| folds) else { return Ok(()) };
    let name = &pipeline.name;
    Err(Trouble::wrong(format!(
        "the rows are of records up to {}, as `{TABLE}` says, and there is no checkpoint here with the states that made them: \
         bring the state directory back, `sluice state import` them, or start over with DELETE FROM {TABLE} WHERE pipeline = \
         '{name}'",
        shown(&ends)
    )))
}

/// Refuses a topic that ends before the rows of a fold do: they would wait for records that never come. Blocks.
pub fn check_topic(head: Option<&Checkpoint>, written: &Written, source: &mut dyn Source) -> Result<(), SourceError> {
    let ahead = head.map(|head| rows_ahead(head, written)).unwrap_or_default();
    if ahead.is_empty() {
        return Ok(());
    }
    let ends = source.ends()?;
    match ahead.iter().find(|(partition, end)| ends.get(partition).is_none_or(|at| at < end)) {
        None => Ok(()),
        Some((partition, end)) => {
            let there = ends.get(partition).copied().unwrap_or(Offset(0));
            Err(SourceError::Unusable(format!(
                "partition {partition}: the rows are of records up to {end}, as `{TABLE}` says, and the topic ends at {there}; \
                 was it made anew? Then start over: name the pipeline otherwise, or remove its checkpoint and its lines in \
                 `{TABLE}`"
            )))
        }
    }
}
