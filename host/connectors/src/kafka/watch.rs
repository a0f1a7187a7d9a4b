//! Looks for partitions that are added to a topic.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sluice_core::{Offset, Partition};

use super::topic::{Edge, Topic};
use crate::source::SourceError;

/// The longest that a question of a look may take: the end of a source waits for it, and a cluster that is away is looked at again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that asks the cluster now and then, since asking blocks and a lane must not.
///
/// Dropping this waits until the thread is gone, after the question that is under way if there is one: the client must be
/// closed by somebody who waits for it, not by a thread that the process's exit overtakes.
pub(super) struct Watch {
    found: Receiver<TopicChange>,
    /// Sender that ends the thread when it is dropped. It and the thread are there until the drop.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Change that a look found.
pub(super) enum TopicChange {
    /// New partitions and their beginnings.
    Partitions(BTreeMap<Partition, Offset>),
    /// The topic doesn't exist any more, or may not be read; librdkafka says nothing of it.
    Trouble(String),
}

impl Watch {
    /// Watches a topic of which `known` partitions are known.
    pub fn start(topic: Topic, known: i32, interval: Duration) -> Result<Watch, io::Error> {
        let (report, found) = sync_channel(1);
        let (alive, ended) = channel();
        let look = move || watch(&topic, known, interval, &report, &ended);
        let thread = thread::Builder::new().name("kafka-partitions".to_owned()).spawn(look)?;
        Ok(Watch { found, alive: Some(alive), thread: Some(thread) })
    }

    /// Returns the change that was found since the last call, if there is one.
    pub fn found(&self) -> Option<TopicChange> {
        self.found.try_recv().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.alive.take());
        // A panic in there was logged, and there is nothing left to do about it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(topic: &Topic, mut known: i32, interval: Duration, report: &SyncSender<TopicChange>, ended: &Receiver<()>) {
    while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        // A panic in there was logged: the next look may do better.
        let Ok(added) = catch_unwind(AssertUnwindSafe(|| added(topic, known))) else { continue };
        let (found, count) = match added {
            Ok(starts) if starts.is_empty() => continue,
            Ok(starts) => {
                let count = i32::try_from(starts.len()).unwrap_or(0);
                (TopicChange::Partitions(starts), count)
            }
            Err(error @ (SourceError::Unusable(_) | SourceError::Another { .. })) => {
                (TopicChange::Trouble(error.to_string()), 0)
            }
            // The cluster is away, and librdkafka says so itself.
            Err(SourceError::Unavailable(_) | SourceError::Held(_)) => continue,
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
