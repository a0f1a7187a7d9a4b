//! The connection as a source, as a sink and as a place for dead letters.

use std::time::Duration;

use async_trait::async_trait;
use sluice_core::Field;
use sluice_core::share::Want;

use super::blocking::blocking;
use super::{KafkaConnection, KafkaSink, KafkaSource, KafkaWriter, Membership};
use crate::letters::Letterbox;
use crate::roles::{LettersRole, SinkRole, SourceRole, TableName};
use crate::sink::{Sink, SinkError, Target};
use crate::source::{Source, SourceError, Subscription};
use crate::writer::{WriteError, Writer};

/// Time in which a broker must answer when a pipeline opens or is checked. Shorter: a broker that elects a leader counts as away.
/// Longer: `sluice check` keeps people waiting.
const PATIENCE: Duration = Duration::from_secs(5);

impl SourceRole for KafkaConnection {
    fn join(
        &self,
        topic: &str,
        group: &str,
        want: Want,
        host: &str,
        alone: bool,
    ) -> Result<Option<Membership>, SourceError> {
        Membership::join(self, topic, group, want, host, alone).map(Some)
    }

    fn open_source(
        &self,
        what: &Subscription,
        membership: Option<&Membership>,
    ) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(KafkaSource::open(self, what, membership, PATIENCE)?))
    }

    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError> {
        Ok(Box::new(KafkaWriter::open(self, PATIENCE)?))
    }
}

#[async_trait]
impl SinkRole for KafkaConnection {
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(KafkaSink::open(self, target, fields).await?))
    }

    async fn check_sink(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
        KafkaSink::check(self, target, fields).await
    }

    async fn has_rows(&self, topic: &str) -> Result<bool, SinkError> {
        KafkaSink::has_rows(self, topic).await
    }

    /// The brokers, in whatever order they are named, and the topic.
    fn place(&self, topic: &str) -> TableName {
        let mut brokers: Vec<&str> = self.brokers.split(',').map(str::trim).collect();
        brokers.sort_unstable();
        (brokers.join(","), topic.to_owned())
    }
}

#[async_trait]
impl LettersRole for KafkaConnection {
    fn letters(&self, topic: &str) -> Result<Box<dyn Letterbox>, SinkError> {
        Ok(KafkaConnection::letters(self, topic))
    }

    async fn open_letters(&self, topic: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        let (kafka, topic) = (self.clone(), topic.to_owned());
        blocking(move || KafkaConnection::open_letters(&kafka, &topic, create)).await
    }

    async fn check_letters(&self, topic: &str, create: bool) -> Result<(), SinkError> {
        let (kafka, topic) = (self.clone(), topic.to_owned());
        blocking(move || KafkaConnection::check_letters(&kafka, &topic, create)).await
    }
}
