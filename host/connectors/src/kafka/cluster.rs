//! Topics of a cluster, looked for and made, by whoever writes to them.

use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier};
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};
use sluice_clock::Stopwatch;

use super::reports::Reports;
use super::topic::{code_of, missing, partitions, refusal, refused, silent};
use crate::sink::SinkError;
use crate::writer::WriteError;

/// The time that a question waits before credentials are looked at: a broker that refuses them never answers.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Pause between two looks for a topic that was just made.
const WHILE_MADE: Duration = Duration::from_millis(20);

/// A client of a cluster, and what is heard of it.
pub(super) struct Cluster<'a, C: ClientContext> {
    pub client: &'a Client<C>,
    pub reports: &'a Reports,
    /// The brokers as configured, for messages.
    pub brokers: &'a str,
    /// The time in which a broker must answer.
    pub patience: Duration,
}

/// The reason why there is no answer about a topic.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The cluster is away: it may answer later.
    Unavailable(String),
    /// Somebody must change something.
    Unusable(String),
}

impl<C: ClientContext> Cluster<'_, C> {
    /// The number of the topic's partitions; none if there is no such topic. Waits for a broker; `meanwhile` is called between the
    /// attempts.
    pub fn look(&self, topic: &str, meanwhile: impl Fn()) -> Result<Option<i32>, Unanswered> {
        let asked = Stopwatch::start();
        loop {
            let left = self.patience.saturating_sub(asked.elapsed());
            let answer = partitions(self.client, topic, left.min(ATTEMPT));
            meanwhile();
            match answer {
                Ok(count) => return Ok(count),
                Err(code) if asked.elapsed() >= self.patience => return Err(self.unanswered(code)),
                Err(code) if refusal(self.reports, code).is_some() => return Err(self.unanswered(code)),
                Err(_) => {}
            }
        }
    }

    /// Makes a topic, and waits until the cluster knows it. Answers its number of partitions, which another client may have made a
    /// moment before.
    pub fn create(
        &self,
        config: &ClientConfig,
        topic: &str,
        new: &NewTopic<'_>,
        meanwhile: impl Fn(),
    ) -> Result<i32, Unanswered> {
        let failed = |error: KafkaError| self.unanswered(code_of(&error));
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed)?;
        let options = AdminOptions::new().operation_timeout(Some(self.patience)).request_timeout(Some(self.patience));
        for result in block_on(admin.create_topics([new], &options)).map_err(failed)? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    let brokers = self.brokers;
                    return Err(Unanswered::Unusable(format!("Kafka at {brokers} doesn't create `{topic}`: {code}")));
                }
            }
        }
        let made = Stopwatch::start();
        loop {
            match self.look(topic, &meanwhile)? {
                Some(count) => return Ok(count),
                None if made.elapsed() >= self.patience => {
                    return Err(Unanswered::Unavailable(missing(topic, self.brokers)));
                }
                None => sluice_clock::sleep(WHILE_MADE),
            }
        }
    }

    /// The value of a topic's setting; none if the cluster doesn't tell this client.
    pub fn setting(&self, config: &ClientConfig, topic: &str, name: &str) -> Option<String> {
        let admin: AdminClient<DefaultClientContext> = config.create().ok()?;
        let options = AdminOptions::new().request_timeout(Some(self.patience));
        let described = block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options)).ok()?;
        described.into_iter().next()?.ok()?.get(name)?.value.clone()
    }

    pub fn unanswered(&self, code: RDKafkaErrorCode) -> Unanswered {
        match refusal(self.reports, code) {
            Some(why) => Unanswered::Unusable(refused(self.brokers, &why)),
            None => Unanswered::Unavailable(silent(self.brokers, self.patience, self.reports.trouble(), code)),
        }
    }
}

impl From<Unanswered> for SinkError {
    fn from(unanswered: Unanswered) -> SinkError {
        match unanswered {
            Unanswered::Unavailable(reason) => SinkError::Unavailable(reason),
            Unanswered::Unusable(reason) => SinkError::Unusable(reason),
        }
    }
}

impl From<Unanswered> for WriteError {
    fn from(unanswered: Unanswered) -> WriteError {
        match unanswered {
            Unanswered::Unavailable(reason) => WriteError::Unavailable(reason),
            Unanswered::Unusable(reason) => WriteError::Unusable(reason),
        }
    }
}
