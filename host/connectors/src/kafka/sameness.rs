//! Sameness: whether a topic is still the one that was opened.
//!
//! Nothing in what is fetched says so: librdkafka goes on in a topic that was deleted and made anew at the offset where it was,
//! and what comes is records of another topic if that has so many. So the topic's id is asked: when a source is opened, about once a
//! second while it is read, when an offset isn't there any more, and after the last record of each flush was read, before its first
//! row is written. So no row and no checkpoint is ever of another topic's records.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use sluice_core::identity::Identity;

use super::described::topic_id;
use super::topic::Topic;
use crate::source::{SourceError, check_identity};

/// The parts of a Kafka topic's identity.
const CLUSTER: &str = "cluster";
const TOPIC: &str = "topic-id";

/// The time that a source which is read waits for the answer. A broker that is away gives no other topic's records either: then there is
/// nothing to be said, and it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The topic's identity: the cluster's id, and the topic's own where brokers know one (Kafka from 2.8 on). Without one, a topic
/// that was made anew in the same cluster isn't known from the one before.
pub(super) fn identity(topic: &Topic, patience: Duration) -> Result<Identity, SourceError> {
    let client = topic.consumer.client();
    let cluster = client.fetch_cluster_id(patience);
    let id = topic_id(client, &topic.name, patience).map_err(|code| {
        SourceError::Unavailable(format!(
            "Kafka at {} didn't say which topic `{}` is: {code}; it is asked again",
            topic.brokers, topic.name
        ))
    })?;
    let parts = [(CLUSTER, cluster), (TOPIC, id)];
    Ok(Identity::of(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))))
}

/// Checks that the topic is still the one that was opened. A missing answer is no error. A topic that doesn't exist any more is
/// none either: it says nothing of the records that were read of it.
pub(super) fn check(topic: &Topic, known: &Identity) -> Result<(), SourceError> {
    if known.part(TOPIC).is_none() {
        return Ok(());
    }
    match topic_id(topic.consumer.client(), &topic.name, PATIENCE) {
        Ok(Some(id)) => check_identity(&topic.name, known, &Identity::of([(TOPIC.to_owned(), id)])),
        Ok(None) | Err(_) => Ok(()),
    }
}
