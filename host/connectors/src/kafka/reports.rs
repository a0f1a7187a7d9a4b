//! Reports gather what librdkafka has to say: its log, and the errors that belong to no record.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// The longest reason that is kept, in bytes: it becomes a part of a message that people read.
const MAX_REASON: usize = 300;

/// The facility of librdkafka's lines that say why a broker's connection failed, with hints that its errors don't have.
const BROKER_FAILED: &str = "FAIL";

/// Listens to one client, and keeps what a message about it should say.
#[derive(Default)]
pub(super) struct Reports {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The latest trouble with a broker.
    trouble: Option<String>,
    /// The words for that all brokers are down, which say less than why each is.
    all_down: Option<String>,
    /// The first reason why brokers refuse this client for good.
    refused: Option<String>,
    /// The number of records that couldn't be delivered, and the first reason.
    undelivered: Option<(u64, String)>,
}

impl Reports {
    /// The latest trouble with a broker, if any.
    pub fn trouble(&self) -> Option<String> {
        self.with(|heard| heard.trouble.clone().or_else(|| heard.all_down.clone()))
    }

    /// Returns true if all brokers are down and no reason is known: librdkafka gives a reason for all that keeps it from
    /// connecting, but not for connections that are closed before they have answered anything.
    pub fn is_down_without_a_reason(&self) -> bool {
        self.with(|heard| heard.all_down.is_some() && heard.trouble.is_none())
    }

    /// The reason why brokers refuse this client's credentials, if they do.
    pub fn refused(&self) -> Option<String> {
        self.with(|heard| heard.refused.clone())
    }

    /// The number of records that weren't delivered and the reason, if any.
    pub fn undelivered(&self) -> Option<(u64, String)> {
        self.with(|heard| heard.undelivered.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up a client's error that belongs to no record. Such errors pass, since librdkafka goes on trying.
    pub fn heard(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        // That all brokers are down is said many times a second, and less than why each is.
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            tracing::debug!(target: "kafka", "{reason}");
        } else {
            tracing::warn!(target: "kafka", "{reason}");
        }
        let reason = shortened(reason);
        self.with(|heard| {
            if code.is_some_and(is_refusal) {
                heard.refused.get_or_insert_with(|| reason.clone());
            }
            match code {
                Some(RDKafkaErrorCode::AllBrokersDown) => heard.all_down = Some(reason),
                _ => heard.trouble = Some(reason),
            }
        });
    }
}

/// Says whether somebody must change credentials or rights before trying again can help.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        Authentication, ClusterAuthorizationFailed, GroupAuthorizationFailed, InvalidTopic, SSL,
        SaslAuthenticationFailed, TopicAuthorizationFailed, UnsupportedSASLMechanism,
    };
    matches!(
        code,
        Authentication
            | SSL
            | SaslAuthenticationFailed
            | UnsupportedSASLMechanism
            | TopicAuthorizationFailed
            | GroupAuthorizationFailed
            | ClusterAuthorizationFailed
            | InvalidTopic
    )
}

fn shortened(reason: &str) -> String {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].trim().to_owned()
}

impl ClientContext for Reports {
    /// Logs a line of librdkafka's. It calls an error what it will try again: that is a warning here. Its lines hold addresses,
    /// never credentials.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == BROKER_FAILED {
            self.with(|heard| heard.trouble = Some(shortened(line)));
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "kafka", "{facility}: {line}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "kafka", "{facility}: {line}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "kafka", "{facility}: {line}"),
            RDKafkaLogLevel::Debug => tracing::debug!(target: "kafka", "{facility}: {line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        if let Err((error, _)) = result {
            self.with(|heard| {
                let reason = shortened(&error.to_string());
                heard.undelivered.get_or_insert((0, reason)).0 += 1;
            });
        }
    }
}
