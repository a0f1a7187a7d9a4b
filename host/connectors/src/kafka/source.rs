//! Reading a topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use sluice_core::records::Records;
use sluice_core::{Offset, Partition};

use super::batch_queue::{Batch, BatchQueue, Consumer, Message};
use super::positions::Positions;
use super::records::KafkaRecords;
use super::reports::is_refusal;
use super::topic::{Edge, Topic, refused};
use super::watch::{Found, Watch};
use super::{KafkaConnection, config};
use crate::source::{Committer, Source, SourceError, Start, Subscription};

/// The most records of one answer, whatever is asked for: larger ones were slower, and fill the processor's caches.
const MAX_RECORDS: usize = 16_384;

/// How long `poll` waits without looking at the client's events and at new partitions.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a question about offsets waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic of a Kafka cluster, all partitions of it.
///
/// It keeps the promises of [`Source`] by tracking each partition's position: a record below it is dropped with a warning,
/// a hole is accounted for by the record or the end of the partition after it. Brokers that go away are waited for without
/// an error; `Unavailable` is a topic that the cluster doesn't know any more, or a partition that can't be read for now.
pub struct KafkaSource {
    topic: Topic,
    queue: BatchQueue,
    positions: Positions,
    starts: BTreeMap<Partition, Offset>,
    watch: Option<Watch>,
    /// Comes after the records that it was found behind.
    waiting: Option<String>,
    /// Stays once it is there.
    failed: Option<String>,
}

impl KafkaSource {
    /// Assigns all partitions of the topic at their start, which is looked up, so that it is a number.
    ///
    /// # Errors
    /// `Unavailable` if no broker answers within `patience`; `Unusable` if a property is not librdkafka's, the credentials
    /// are refused, the topic isn't there, or a commit is of records that it no longer has.
    pub fn open(
        connection: &KafkaConnection,
        subscription: &Subscription,
        patience: Duration,
    ) -> Result<KafkaSource, SourceError> {
        let config = config::consumer(connection, &subscription.group).map_err(SourceError::Unusable)?;
        let consumer = Consumer::create(&config).map_err(|error| SourceError::Unusable(config::refusal(&error)))?;
        let consumer = Arc::new(consumer);
        let queue = BatchQueue::new(&consumer).ok_or_else(|| {
            SourceError::Unusable("Kafka's client has no queue for records: give the source a group".into())
        })?;
        let topic =
            Topic { consumer, name: subscription.topic.as_str().into(), brokers: connection.brokers.as_str().into() };
        let count = topic.partitions(patience, || queue.serve_events())?;
        let mut source = KafkaSource {
            starts: starts(&topic, count, &subscription.start)?,
            topic,
            queue,
            positions: Positions::default(),
            watch: None,
            waiting: None,
            failed: None,
        };
        source.assign(&source.starts.clone())?;
        source.watch = source.watch(count, config::refresh_interval(&config))?;
        Ok(source)
    }

    fn assign(&mut self, starts: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        if !self.positions.add(starts) {
            let (topic, known) = (&self.topic.name, self.positions.len());
            return Err(SourceError::Unusable(format!(
                "the partitions of {topic} don't follow the {known} known ones"
            )));
        }
        let list = starts.iter().map(|(partition, start)| (*partition, rdkafka::Offset::Offset(start.0)));
        let list = self.topic.list(list)?;
        self.topic.consumer.incremental_assign(&list).map_err(|error| self.topic.unanswered(&error))
    }

    fn watch(&self, known: i32, interval: Option<Duration>) -> Result<Option<Watch>, SourceError> {
        let watch = interval.map(|interval| Watch::start(self.topic.clone(), known, interval)).transpose();
        watch.map_err(|error| SourceError::Unavailable(format!("no thread to watch {} with: {error}", self.topic.name)))
    }

    fn take_up_found(&mut self) -> Result<(), SourceError> {
        match self.watch.as_ref().and_then(Watch::found) {
            None => {}
            Some(Found::Trouble(why)) => self.waiting = Some(why),
            Some(Found::Partitions(starts)) => {
                tracing::info!(target: "kafka", topic = %self.topic.name, partitions = starts.len(), "partitions added");
                self.assign(&starts)?;
                self.starts.extend(starts);
            }
        }
        Ok(())
    }

    /// What is there, at most `max_records`; if nothing is, what the first one to come within `wait` brings.
    fn take(&mut self, max_records: usize, wait: Duration) -> Batch {
        let mut batch = self.queue.batch();
        self.queue.take(&mut batch, max_records, Duration::ZERO);
        if batch.len() == 0 && !wait.is_zero() {
            self.queue.take(&mut batch, 1, wait);
            self.queue.take(&mut batch, max_records, Duration::ZERO);
        }
        batch
    }

    /// Accounts for each message, and keeps those that are records to be read.
    fn account(&mut self, mut batch: Batch) -> KafkaRecords {
        let before = self.positions.clone();
        let mut refused = 0_usize;
        batch.retain(|message| match message.error() {
            None => {
                let fits = self.positions.pass(Partition(message.partition()), Offset(message.offset()));
                refused += usize::from(!fits);
                fits
            }
            Some(code) => {
                self.take_up(code, message);
                false
            }
        });
        if refused > 0 {
            tracing::warn!(target: "kafka", topic = %self.topic.name, records = refused, "dropped: they were read before");
        }
        KafkaRecords { topic: Arc::clone(&self.topic.name), batch, intervals: self.positions.since(&before) }
    }

    fn take_up(&mut self, code: RDKafkaErrorCode, message: &Message) {
        let partition = Partition(message.partition());
        let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        match code {
            RDKafkaErrorCode::PartitionEOF => self.positions.reach(partition, Offset(message.offset())),
            RDKafkaErrorCode::AutoOffsetReset => self.failed = Some(self.out_of_range(partition, &text)),
            RDKafkaErrorCode::Fatal => {
                self.failed = Some(format!("Kafka's client at {} can't go on: {text}; restart", self.topic.brokers));
            }
            code if is_refusal(code) => self.failed = Some(refused(&self.topic.brokers, &text)),
            _ => {
                let (topic, brokers) = (&self.topic.name, &self.topic.brokers);
                let place = if partition.0 < 0 { String::new() } else { format!(" [{partition}]") };
                self.waiting =
                    Some(format!("{topic}{place} at {brokers} can't be read for now: {text}; it is tried again"));
            }
        }
    }

    fn out_of_range(&self, partition: Partition, text: &str) -> String {
        let edge = |edge| self.topic.edges(&[partition], edge, PATIENCE).ok()?.get(&partition).copied();
        let there = match (edge(Edge::Beginning), edge(Edge::End)) {
            (Some(begin), Some(end)) => format!("it has {begin} to {end}"),
            _ => text.to_owned(),
        };
        let at = self.positions.of(partition).map_or_else(|| "the position".to_owned(), |at| format!("offset {at}"));
        gone(&self.topic.name, partition, &at, &there)
    }

    fn failure(&mut self) -> Option<SourceError> {
        let failed = self.failed.clone().map(SourceError::Unusable);
        failed.or_else(|| self.waiting.take().map(SourceError::Unavailable))
    }
}

/// Where each partition is to be read from.
fn starts(topic: &Topic, count: i32, start: &Start) -> Result<BTreeMap<Partition, Offset>, SourceError> {
    let partitions: Vec<_> = (0..count).map(Partition).collect();
    match start {
        Start::Earliest => topic.edges(&partitions, Edge::Beginning, PATIENCE),
        Start::Latest => topic.edges(&partitions, Edge::End, PATIENCE),
        Start::Committed => {
            let committed = topic.committed(&partitions, PATIENCE)?;
            resumed(topic, &partitions, &committed, "the committed offset")
        }
        Start::At(ends) => resumed(topic, &partitions, ends, "the checkpoint's offset"),
    }
}

/// The oldest record of each partition, or the offset where reading is to go on, if the topic has it.
fn resumed(
    topic: &Topic,
    partitions: &[Partition],
    ends: &BTreeMap<Partition, Offset>,
    what: &str,
) -> Result<BTreeMap<Partition, Offset>, SourceError> {
    let mut starts = topic.edges(partitions, Edge::Beginning, PATIENCE)?;
    let last = topic.edges(partitions, Edge::End, PATIENCE)?;
    for (partition, end) in ends {
        let at = format!("{what} {end}");
        let (Some(start), Some(last)) = (starts.get_mut(partition), last.get(partition)) else {
            let there = format!("it has {} partitions", partitions.len());
            return Err(SourceError::Unusable(gone(&topic.name, *partition, &at, &there)));
        };
        if end < start || end > last {
            let there = format!("it has {start} to {last}");
            return Err(SourceError::Unusable(gone(&topic.name, *partition, &at, &there)));
        }
        *start = *end;
    }
    Ok(starts)
}

fn gone(topic: &str, partition: Partition, at: &str, there: &str) -> String {
    format!(
        "{topic} [{partition}] no longer has {at}: {there}; its retention is too short for how far behind the pipeline is, \
         or the topic was made anew: keep records longer, and start over, with `sluice state reset` where the pipeline has a \
         checkpoint and start = \"earliest\", or restore the records"
    )
}

impl Source for KafkaSource {
    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Option<Box<dyn Records>>, SourceError> {
        let asked = Instant::now();
        loop {
            if let Some(error) = self.failure() {
                return Err(error);
            }
            self.queue.serve_events();
            self.take_up_found()?;
            let wait = max_wait.saturating_sub(asked.elapsed()).min(LOOK_EVERY);
            let batch = self.take(max_records.clamp(1, MAX_RECORDS), wait);
            let records = self.account(batch);
            if !records.intervals.is_empty() {
                return Ok(Some(Box::new(records)));
            }
            if asked.elapsed() >= max_wait {
                return self.failure().map_or(Ok(None), Err);
            }
        }
    }

    fn ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let partitions: Vec<_> = self.starts.keys().copied().collect();
        self.topic.edges(&partitions, Edge::End, PATIENCE)
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.starts.clone()
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(KafkaCommitter { topic: self.topic.clone() })
    }
}

/// Commits a group's offsets as an outsider: the group must have no members.
struct KafkaCommitter {
    topic: Topic,
}

impl Committer for KafkaCommitter {
    /// Waits for the coordinator's answer, and at most [`config::COMMIT_PATIENCE_MS`] for a coordinator.
    fn commit(&self, next: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        if next.is_empty() {
            return Ok(());
        }
        let list = next.iter().map(|(partition, offset)| (*partition, rdkafka::Offset::Offset(offset.0)));
        let list = self.topic.list(list)?;
        self.topic.consumer.commit(&list, CommitMode::Sync).map_err(|error| self.topic.unanswered(&error))
    }
}
