//! The flusher: takes what a lane hands over, writes it to every sink, then commits the offsets.
//!
//! Order of effects: (1) upserts to the sinks, (2) the group's offsets at the source. A crash between the two reads records again
//! and writes the same rows under the same keys: nothing is lost and nothing counts twice. The offsets are for
//! lag monitors and `start = "committed"`; totals never depend on them, since states start empty where reading does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use sluice_connectors::sink::{Rows, Sink, SinkError};
use sluice_connectors::source::Committer;
use sluice_core::fold::Groups;
use sluice_core::{Kind, Offset, Partition};
use tokio::sync::{mpsc, watch};

use super::patience::Backoff;
use super::status::{State, Status};

/// How many flushes may wait for the flusher: one, so that it finds the next when it is done with the last.
pub const QUEUE: usize = 1;

/// How long a flush waits for the group's commit. Shorter: a coordinator that moves costs the monitors a commit. Longer: rows
/// of the next flush wait for something that no row depends on.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// What a lane hands over.
pub enum Work {
    /// Rows, and where reading goes on once they are written.
    Flush(Flush),
    /// From here on, these sinks.
    Sinks(Vec<OpenSink>),
}

/// All that changed up to one batch boundary.
pub struct Flush {
    pub batches: Vec<Rows>,
    pub next: BTreeMap<Partition, Offset>,
}

/// A sink and how a pipeline uses it.
pub struct OpenSink {
    pub sink: Box<dyn Sink>,
    /// `connection.table`, for messages.
    pub name: String,
    /// The result columns that identify a row.
    pub key: Vec<usize>,
    /// Failed tries after which the pipeline says that it is holding.
    pub retries: u32,
}

/// Why flushing ended before the lane did.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("{sink}: {reason}")]
    Unusable { sink: String, reason: String },
    #[error("{sink}: {reason}; {rows} rows were not written and will be read again at the next start")]
    GaveUp { sink: String, reason: String, rows: usize },
}

/// Writes flushes until the lane is gone.
pub struct Flusher {
    pub sinks: Vec<OpenSink>,
    pub committer: Arc<dyn Committer>,
    pub status: Arc<Status>,
    /// True once the host is asked to end: then a sink that is away is given up at the next failure.
    pub ending: watch::Receiver<bool>,
}

impl Flusher {
    pub async fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), FlushError> {
        while let Some(work) = work.recv().await {
            match work {
                Work::Sinks(sinks) => self.sinks = sinks,
                Work::Flush(flush) => self.flush(flush).await?,
            }
        }
        Ok(())
    }

    async fn flush(&mut self, flush: Flush) -> Result<(), FlushError> {
        let rows: usize = flush.batches.iter().map(|batch| batch.rows).sum();
        if rows > 0 {
            for sink in &mut self.sinks {
                let rows = latest(&flush.batches, &sink.key)
                    .map_err(|reason| FlushError::Unusable { sink: sink.name.clone(), reason })?;
                write(sink, &rows, &self.status, &mut self.ending).await?;
            }
            self.status.flushed(rows);
        }
        commit(&self.committer, &self.status, flush.next).await;
        Ok(())
    }
}

/// A failed commit costs nothing but a lag monitor's accuracy until the next one.
async fn commit(committer: &Arc<dyn Committer>, status: &Status, next: BTreeMap<Partition, Offset>) {
    if next.is_empty() {
        return;
    }
    let committer = Arc::clone(committer);
    let commit = tokio::task::spawn_blocking(move || committer.commit(&next));
    match tokio::time::timeout(COMMIT_PATIENCE, commit).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(pipeline = status.name(), "offsets not committed to the group: {error}"),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(
                pipeline = status.name(),
                "offsets not committed to the group: no answer in {COMMIT_PATIENCE:?}"
            );
        }
    }
}

async fn write(
    sink: &mut OpenSink,
    rows: &Rows,
    status: &Status,
    ending: &mut watch::Receiver<bool>,
) -> Result<(), FlushError> {
    let mut backoff = Backoff::new();
    loop {
        let reason = match sink.sink.upsert(rows).await {
            Ok(()) => break,
            Err(SinkError::Unavailable(reason)) => reason,
            Err(error) => return Err(FlushError::Unusable { sink: sink.name.clone(), reason: error.to_string() }),
        };
        let wait = backoff.wait();
        if *ending.borrow() && backoff.tries() > sink.retries {
            return Err(FlushError::GaveUp { sink: sink.name.clone(), reason, rows: rows.rows });
        }
        if backoff.tries() > sink.retries && status.set(State::Holding, Some(format!("{}: {reason}", sink.name))) {
            tracing::warn!(pipeline = status.name(), "holding, nothing is lost: {}: {reason}", sink.name);
        }
        // A change of `ending` cuts the wait short; its sender outlives every flusher.
        let _ = tokio::time::timeout(wait, ending.changed()).await;
    }
    if backoff.tries() > sink.retries && status.set(State::Running, None) {
        tracing::info!(pipeline = status.name(), "{} is back", sink.name);
    }
    Ok(())
}

/// All rows as one, of each key only the last.
fn latest(batches: &[Rows], key: &[usize]) -> Result<Rows, String> {
    let columns = joined(batches)?;
    let rows = columns.first().map_or(0, |column| column.len());
    let keys: Vec<ArrayRef> = key.iter().filter_map(|i| columns.get(*i).cloned()).collect();
    let kinds: Option<Vec<Kind>> = keys.iter().map(|column| Kind::of(column.data_type())).collect();
    let mut groups = Groups::new(kinds.ok_or("a key column has an unknown type")?);
    let mut group_of_row = Vec::new();
    groups.assign(&keys, rows, &mut group_of_row).ok_or("a key column has an unknown type")?;
    if keys.is_empty() || groups.len() == rows {
        return Ok(Rows { rows, columns });
    }
    let mut last = vec![0u32; groups.len()];
    for (row, group) in (0u32..).zip(&group_of_row) {
        last[*group as usize] = row;
    }
    last.sort_unstable();
    let selection = UInt32Array::from(last);
    let columns = columns.iter().map(|column| take(column, &selection, None).map_err(|e| e.to_string()));
    Ok(Rows { rows: selection.len(), columns: columns.collect::<Result<_, _>>()? })
}

fn joined(batches: &[Rows]) -> Result<Vec<ArrayRef>, String> {
    let [first, rest @ ..] = batches else { return Ok(Vec::new()) };
    if rest.is_empty() {
        return Ok(first.columns.clone());
    }
    (0..first.columns.len())
        .map(|i| {
            let parts: Vec<&dyn Array> =
                batches.iter().filter_map(|batch| Some(batch.columns.get(i)?.as_ref())).collect();
            concat(&parts).map_err(|e| e.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_each_key_only_the_last_row_is_left(batches in prop::collection::vec(
            prop::collection::vec((0i64..5, any::<i64>()), 0..20), 1..5,
        )) {
            let rows: Vec<Rows> = batches.iter().map(|batch| {
                let (keys, values): (Vec<i64>, Vec<i64>) = batch.iter().copied().unzip();
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(arrow_array::Int64Array::from(keys)),
                    Arc::new(arrow_array::Int64Array::from(values)),
                ];
                Rows { rows: batch.len(), columns }
            }).collect();
            let expected: BTreeMap<i64, i64> = batches.concat().into_iter().collect();
            let latest = latest(&rows, &[0]).unwrap();
            let pairs: Vec<(i64, i64)> = latest.columns[0].as_primitive::<Int64Type>().values().iter().copied()
                .zip(latest.columns[1].as_primitive::<Int64Type>().values().iter().copied()).collect();
            prop_assert_eq!(pairs.len(), expected.len());
            prop_assert_eq!(pairs.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
