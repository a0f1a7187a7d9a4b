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
    found: Receiver<Found>,
    _alive: Sender<()>,
}

/// What a look found to be other than before.
pub(super) enum Found {
    /// New partitions and their beginnings.
    Partitions(BTreeMap<Partition, Offset>),
    /// There is no such topic any more, or it may not be read; librdkafka says nothing of it.
    Trouble(String),
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

    /// What was found since the last call, if anything.
    pub fn found(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }
}

fn watch(topic: &Topic, mut known: i32, interval: Duration, report: &SyncSender<Found>, ended: &Receiver<()>) {
    while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let (found, count) = match added(topic, known) {
            Ok(starts) if starts.is_empty() => continue,
            Ok(starts) => {
                let count = i32::try_from(starts.len()).unwrap_or(0);
                (Found::Partitions(starts), count)
            }
            Err(SourceError::Unusable(why)) => (Found::Trouble(why), 0),
            // The cluster is away, and librdkafka says so itself.
            Err(SourceError::Unavailable(_)) => continue,
        };
        // While the last one isn't taken up yet, this is found again later.
        if report.try_send(found).is_ok() {
            known += count;
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
