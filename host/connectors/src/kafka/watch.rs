//! Looks for partitions that are added to a topic.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use sluice_core::{Offset, Partition};

use super::topic::{Edge, Topic};
use crate::source::SourceError;

/// How long one look may take: a cluster that is away is looked at again later.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread that asks the cluster now and then, since asking blocks and a lane must not.
///
/// It ends when this is dropped: at once, or after the question that is under way, with the client it holds.
pub(super) struct Watch {
    found: Receiver<BTreeMap<Partition, Offset>>,
    _alive: Sender<()>,
}

impl Watch {
    /// Watches a topic of which `known` partitions are known.
    pub fn start(topic: Topic, known: i32, interval: Duration) -> Result<Watch, io::Error> {
        let (report, found) = sync_channel(1);
        let (alive, ended) = channel();
        let look = move || watch(&topic, known, interval, &report, &ended);
        thread::Builder::new().name("kafka-partitions".to_owned()).spawn(look)?;
        Ok(Watch { found, _alive: alive })
    }

    /// New partitions and their beginnings, if there are any.
    pub fn found(&self) -> Option<BTreeMap<Partition, Offset>> {
        self.found.try_recv().ok()
    }
}

fn watch(
    topic: &Topic,
    mut known: i32,
    interval: Duration,
    report: &SyncSender<BTreeMap<Partition, Offset>>,
    ended: &Receiver<()>,
) {
    while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        match added(topic, known) {
            Ok(starts) if starts.is_empty() => {}
            Ok(starts) => {
                let count = i32::try_from(starts.len()).unwrap_or(0);
                // While the last ones aren't taken up yet, these are found again later.
                if report.try_send(starts).is_ok() {
                    known += count;
                }
            }
            Err(error) => tracing::debug!(target: "kafka", "no look at the partitions of {}: {error}", topic.name),
        }
    }
}

fn added(topic: &Topic, known: i32) -> Result<BTreeMap<Partition, Offset>, SourceError> {
    let count = topic.partitions(PATIENCE, || {})?;
    let new: Vec<_> = (known..count).map(Partition).collect();
    if new.is_empty() {
        return Ok(BTreeMap::new());
    }
    topic.edges(&new, Edge::Beginning, PATIENCE)
}
