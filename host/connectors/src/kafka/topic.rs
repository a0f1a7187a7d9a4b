//! The topic as the cluster knows it, asked with bounded patience.

use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use sluice_clock::Stopwatch;
use sluice_core::{Offset, Partition};

use super::batch_queue::Consumer;
use super::reports::{Reports, is_refusal};
use crate::source::SourceError;

/// The time that a question about offsets waits for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The time that one question waits before credentials are looked at: a broker that refuses them never answers.
const ATTEMPT: Duration = Duration::from_millis(500);

/// The time that a question about commits waits for the group's coordinator to be where it was said to be. Shorter: a cluster that
/// starts is asked more often. Longer: a pipeline starts that much later.
const COORDINATOR_MOVES: Duration = Duration::from_millis(100);

/// The edge of a topic that is asked for.
#[derive(Clone, Copy)]
pub(super) enum Edge {
    /// The oldest record that is still there.
    Beginning,
    /// The offset that the next record will get.
    End,
}

/// The words of librdkafka for a port that isn't Kafka's, or whose TLS and SASL are other than configured. It says so of each try,
/// and tries for ever.
const FOREIGN: [&str; 4] =
    ["Invalid response size", "incorrect security.protocol", "PLAINTEXT broker listener", "SSL handshake failed"];

/// librdkafka's word for a connection that was closed, and the states in which no broker has answered anything on it yet.
const CLOSED: &str = "Disconnected";
const UNANSWERED: [&str; 2] = ["in state SSL_HANDSHAKE", "in state APIVERSION_QUERY"];

/// Says whether nothing but another configuration can help, once nobody has answered for long enough.
fn is_foreign(trouble: &str) -> bool {
    let says = |words: &&str| trouble.contains(*words);
    FOREIGN.iter().any(says) || (says(&CLOSED) && UNANSWERED.iter().any(says))
}

/// Returns true if at least one of the brokers accepts a connection now. Blocks, [`ATTEMPT`] for each address.
fn accepts(brokers: &str) -> bool {
    let addresses = |broker: &str| broker.trim().to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
    let mut addresses = brokers.split(',').flat_map(addresses);
    addresses.any(|address| TcpStream::connect_timeout(&address, ATTEMPT).is_ok())
}

fn foreign(brokers: &str, why: &str) -> String {
    format!(
        "what is at {brokers} doesn't answer as a Kafka broker does ({why}): name the port of a broker's listener, and its \
         security.protocol in the connection's properties"
    )
}

/// A topic of one cluster.
#[derive(Clone)]
pub(super) struct Topic {
    pub consumer: Arc<Consumer>,
    pub name: Arc<str>,
    /// The brokers as configured, for messages.
    pub brokers: Arc<str>,
}

impl Topic {
    /// The number of partitions. Asks until the cluster answers or patience is over; `meanwhile` is called between the
    /// attempts.
    pub fn partitions(&self, patience: Duration, mut meanwhile: impl FnMut()) -> Result<i32, SourceError> {
        let asked = Stopwatch::start();
        loop {
            let left = patience.saturating_sub(asked.elapsed());
            let answer = partitions(self.consumer.client(), &self.name, left.min(ATTEMPT));
            meanwhile();
            match answer {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => return Err(SourceError::Unusable(missing(&self.name, &self.brokers))),
                Err(code) => {
                    if let Some(why) = refusal(self.consumer.client().context(), code) {
                        return Err(SourceError::Unusable(refused(&self.brokers, &why)));
                    }
                    if asked.elapsed() >= patience {
                        let reports = self.consumer.client().context();
                        let trouble = reports.trouble();
                        if let Some(why) = trouble.as_deref().filter(|trouble| is_foreign(trouble)) {
                            return Err(SourceError::Unusable(foreign(&self.brokers, why)));
                        }
                        if reports.is_down_without_a_reason() && accepts(&self.brokers) {
                            let why = "it closes each connection before it has answered anything";
                            return Err(SourceError::Unusable(foreign(&self.brokers, why)));
                        }
                        return Err(SourceError::Unavailable(silent(&self.brokers, patience, trouble, code)));
                    }
                }
            }
        }
    }

    /// The offset at this edge of each of the partitions.
    pub fn edges(
        &self,
        partitions: &[Partition],
        edge: Edge,
        timeout: Duration,
    ) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let edge = match edge {
            Edge::Beginning => rdkafka::Offset::Beginning,
            Edge::End => rdkafka::Offset::End,
        };
        let list = self.list(partitions.iter().map(|partition| (*partition, edge)))?;
        // Kafka takes these two instead of a time, and answers with the offset.
        let answer = self.consumer.offsets_for_times(list, timeout).map_err(|error| self.unanswered(&error))?;
        let mut offsets = BTreeMap::new();
        for element in answer.elements_for_topic(&self.name) {
            element.error().map_err(|error| self.unanswered(&error))?;
            match element.offset() {
                rdkafka::Offset::Offset(offset) => offsets.insert(Partition(element.partition()), Offset(offset)),
                other => {
                    return Err(SourceError::Unavailable(format!(
                        "Kafka at {} gives {other:?} for an offset of {} [{}]",
                        self.brokers,
                        self.name,
                        element.partition()
                    )));
                }
            };
        }
        Ok(offsets)
    }

    /// The group's commits, of the partitions that have one, asked by this client: its own, or that which is a member and knows
    /// the coordinator already.
    pub fn committed<C: ConsumerContext>(
        &self,
        client: &BaseConsumer<C>,
        partitions: &[Partition],
        timeout: Duration,
    ) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let list = self.list(partitions.iter().map(|partition| (*partition, rdkafka::Offset::Invalid)))?;
        let asked = Stopwatch::start();
        let answer = loop {
            match client.committed_offsets(list.clone(), timeout) {
                // A cluster that has just started moves coordinators about: librdkafka asks the next time.
                Err(error) if is_moving(&error) && asked.elapsed() < timeout => sluice_clock::sleep(COORDINATOR_MOVES),
                answer => break answer.map_err(|error| self.unanswered(&error))?,
            }
        };
        let mut offsets = BTreeMap::new();
        for element in answer.elements_for_topic(&self.name) {
            element.error().map_err(|error| self.unanswered(&error))?;
            if let rdkafka::Offset::Offset(offset) = element.offset() {
                offsets.insert(Partition(element.partition()), Offset(offset));
            }
        }
        Ok(offsets)
    }

    /// The partitions at these offsets, as librdkafka takes them.
    pub fn list(
        &self,
        offsets: impl IntoIterator<Item = (Partition, rdkafka::Offset)>,
    ) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.name, partition.0, offset)
                .map_err(|error| SourceError::Unusable(format!("{} [{partition}]: {error}", self.name)))?;
        }
        Ok(list)
    }

    /// The error that a question which failed means.
    pub fn unanswered(&self, error: &KafkaError) -> SourceError {
        let refusal = error.rdkafka_error_code().and_then(|code| refusal(self.consumer.client().context(), code));
        match refusal {
            Some(why) => SourceError::Unusable(refused(&self.brokers, &why)),
            None => SourceError::Unavailable(format!(
                "Kafka at {} didn't answer about the topic `{}`: {error}; it is asked again",
                self.brokers, self.name
            )),
        }
    }
}

/// Asks once how many partitions a topic has; none if there is no such topic.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<i32>, RDKafkaErrorCode> {
    let metadata = client.fetch_metadata(Some(topic), timeout).map_err(|error| code_of(&error))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().unwrap_or(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR if !found.partitions().is_empty() => {
            Ok(i32::try_from(found.partitions().len()).ok())
        }
        // The topic is being made.
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Err(RDKafkaErrorCode::LeaderNotAvailable),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
            Ok(None)
        }
        error => Err(error.into()),
    }
}

/// The reason why this client is refused for good, if the failure or what was heard before says so.
pub(super) fn refusal(reports: &Reports, code: RDKafkaErrorCode) -> Option<String> {
    if is_refusal(code) { Some(code.to_string()) } else { reports.refused() }
}

pub(super) fn refused(brokers: &str, why: &str) -> String {
    format!(
        "Kafka at {brokers} refuses this client: {why}; check security.protocol, the sasl.* and ssl.* properties of the \
         connection, and what the user may do"
    )
}

pub(super) fn missing(topic: &str, brokers: &str) -> String {
    format!("Kafka at {brokers} has no topic `{topic}`; create it, or correct the pipeline's `topic`")
}

pub(super) fn silent(brokers: &str, patience: Duration, trouble: Option<String>, code: RDKafkaErrorCode) -> String {
    let trouble = trouble.unwrap_or_else(|| code.to_string());
    format!(
        "no broker of {brokers} answered within {patience:?} ({trouble}); is Kafka running, and is this the address that \
         it advertises?"
    )
}

pub(super) fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}

/// Says whether another broker is about to answer for the group.
fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    matches!(code_of(error), CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator)
}
