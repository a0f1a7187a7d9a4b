//! Reading a topic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use sluice_clock::Stopwatch;
use sluice_core::identity::Identity;
use sluice_core::records::Records;
use sluice_core::share::Share;
use sluice_core::{Offset, Partition};

use super::batch_queue::{Batch, BatchQueue, Consumer, Message};
use super::claim::Claim;
use super::committer::{MemberCommitter, OutsideCommitter};
use super::membership::Membership;
use super::positions::Positions;
use super::records::KafkaRecords;
use super::reports::is_refusal;
use super::starts::{Starts, gone};
use super::topic::{Edge, PATIENCE, Topic, refused};
use super::watch::{TopicChange, Watch};
use super::{KafkaConnection, config, sameness};
use crate::source::{Committer, Source, SourceError, Subscription, check_identity};

/// The most records of one answer, whatever is asked for: larger ones were slower, and fill the processor's caches.
const MAX_RECORDS: usize = 16_384;

/// The time that `poll` waits without looking at the client's events and at new partitions.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The longest that the question where the topic ends may take, which a lane asks about once a second. Shorter: a slow
/// broker's topics have no lag. Longer: a lane hears nothing else meanwhile, a wish to end among it, while brokers are
/// away.
const ENDS_PATIENCE: Duration = Duration::from_secs(2);

/// A topic of a Kafka cluster, all partitions of it or those that its host has.
///
/// It keeps the promises of [`Source`] by tracking each partition's position: a record below it is dropped with a warning,
/// a hole is accounted for by the record or the end of the partition after it. Brokers that go away are waited for without
/// an error; `Unavailable` is a topic that the cluster doesn't know any more, or a partition that can't be read for now.
pub struct KafkaSource {
    topic: Topic,
    identity: Identity,
    queue: BatchQueue,
    positions: Positions,
    starts: BTreeMap<Partition, Offset>,
    claim: Option<Arc<Claim>>,
    watch: Option<Watch>,
    /// Error found while reading; reported once the records before it are handed out.
    waiting: Option<String>,
    /// Error that every later call reports again.
    failed: Option<String>,
    /// Identities that differ, also reported again by every later call: the topic is another one.
    another: Option<(Identity, Identity)>,
}

impl KafkaSource {
    /// Assigns the partitions that the host has as this member of the group (all, for none) at their start, which is looked up,
    /// so that it is a number. Waits for them.
    ///
    /// # Errors
    /// `Unavailable` if no broker answers within `patience`, or the group gives nothing yet; `Held` if other hosts have the
    /// partitions that are needed; `Another` if the topic isn't the known one; `Unusable` if a property is not librdkafka's, the
    /// credentials are refused, the topic doesn't exist, or a commit is of records that the topic no longer has.
    pub fn open(
        connection: &KafkaConnection,
        subscription: &Subscription,
        membership: Option<&Membership>,
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
        // Before its offsets are looked at: those of another topic say nothing.
        let identity = sameness::identity(&topic, patience)?;
        check_identity(&topic.name, &subscription.known, &identity)?;
        let claim = membership.map(Membership::claim).transpose()?.map(Arc::new);
        let mut source = KafkaSource {
            starts: Starts { topic: &topic, count, claim: claim.as_deref() }.find(&subscription.start)?,
            topic,
            identity,
            queue,
            claim,
            positions: Positions::default(),
            watch: None,
            waiting: None,
            failed: None,
            another: None,
        };
        source.assign(&source.starts.clone())?;
        source.watch = source.watch(count, config::refresh_interval(&config))?;
        Ok(source)
    }

    fn assign(&mut self, starts: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        self.positions.add(starts).map_err(|known| {
            SourceError::Unusable(format!("{} [{known}] can't be read twice; this is a defect", self.topic.name))
        })?;
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
            Some(TopicChange::Trouble(why)) => self.waiting = Some(why),
            // The group gives them to somebody.
            Some(TopicChange::Partitions(_)) if self.claim.is_some() => {}
            Some(TopicChange::Partitions(starts)) => {
                tracing::info!(target: "kafka", topic = %self.topic.name, partitions = starts.len(), "partitions added");
                self.assign(&starts)?;
                self.starts.extend(starts);
            }
        }
        Ok(())
    }

    /// Takes the messages that are there, at most `max_records`; if there are none, the messages that come with the first one
    /// within `wait`.
    fn take(&mut self, max_records: usize, wait: Duration) -> Batch {
        let mut batch = self.queue.batch();
        self.queue.take(&mut batch, max_records, Duration::ZERO);
        if batch.len() == 0 && !wait.is_zero() {
            self.queue.take(&mut batch, 1, wait);
            self.queue.take(&mut batch, max_records, Duration::ZERO);
        }
        batch
    }

    /// Accounts for each message, and keeps the records that are to be read.
    fn account(&mut self, mut batch: Batch) -> KafkaRecords {
        let before = self.positions.clone();
        let (mut refused, mut bytes) = (0_usize, 0);
        batch.retain(|message| match message.error() {
            None => {
                let fits = self.positions.pass(Partition(message.partition()), Offset(message.offset()));
                refused += usize::from(!fits);
                bytes += if fits { message.bytes() } else { 0 };
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
        let intervals = self.positions.since(&before);
        KafkaRecords { topic: Arc::clone(&self.topic.name), batch, bytes, intervals }
    }

    fn take_up(&mut self, code: RDKafkaErrorCode, message: &Message) {
        let partition = Partition(message.partition());
        let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        match code {
            RDKafkaErrorCode::PartitionEOF => self.positions.reach(partition, Offset(message.offset())),
            RDKafkaErrorCode::AutoOffsetReset => {
                self.look_whether_same();
                self.failed = Some(self.out_of_range(partition, &text));
            }
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

    fn look_whether_same(&mut self) {
        if let Err(SourceError::Another { was, is, .. }) = sameness::check(&self.topic, &self.identity) {
            self.another = Some((was, is));
        }
    }

    fn failure(&mut self) -> Option<SourceError> {
        if let Some((was, is)) = self.another.clone() {
            return Some(SourceError::Another { topic: self.topic.name.to_string(), was, is });
        }
        let failed = self.failed.clone().map(SourceError::Unusable);
        failed.or_else(|| self.waiting.take().map(SourceError::Unavailable))
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Option<Box<dyn Records>>, SourceError> {
        let asked = Stopwatch::start();
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
        self.look_whether_same();
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let partitions: Vec<_> = self.starts.keys().copied().collect();
        self.topic.edges(&partitions, Edge::End, ENDS_PATIENCE)
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.starts.clone()
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn committed(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let partitions: Vec<_> = self.starts.keys().copied().collect();
        match &self.claim {
            Some(claim) => self.topic.committed(claim.client()?.as_ref(), &partitions, PATIENCE),
            None => self.topic.committed(&self.topic.consumer, &partitions, PATIENCE),
        }
    }

    fn share(&self) -> Option<&Share> {
        self.claim.as_ref().map(|claim| claim.share())
    }

    fn committer(&self) -> Arc<dyn Committer> {
        match &self.claim {
            Some(claim) => Arc::new(MemberCommitter {
                topic: self.topic.clone(),
                identity: self.identity.clone(),
                claim: Arc::clone(claim),
                told: Mutex::new(self.starts.clone()),
            }),
            None => Arc::new(OutsideCommitter { topic: self.topic.clone(), identity: self.identity.clone() }),
        }
    }
}
