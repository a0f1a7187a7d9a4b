//! Kafka.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::records::Records;
use sluice_core::{Offset, Partition};

use crate::source::{Committer, Source, SourceError, Subscription};
use crate::writer::{WriteError, Writer};

/// A Kafka cluster, and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConnection {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Any further librdkafka properties, by name.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaConnection").field("brokers", &self.brokers).field("properties", &names).finish()
    }
}

/// A topic being read.
pub struct KafkaSource {
    never: std::convert::Infallible,
}

impl KafkaSource {
    /// Opens.
    pub fn open(
        _connection: &KafkaConnection,
        _subscription: &Subscription,
        _patience: Duration,
    ) -> Result<KafkaSource, SourceError> {
        Err(SourceError::Unusable("Kafka isn't there yet".into()))
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, _: usize, _: Duration) -> Result<Option<Box<dyn Records>>, SourceError> {
        match self.never {}
    }

    fn ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        match self.never {}
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        match self.never {}
    }

    fn committer(&self) -> Arc<dyn Committer> {
        match self.never {}
    }
}

/// Appends to topics.
pub struct KafkaWriter {
    never: std::convert::Infallible,
}

impl KafkaWriter {
    /// Opens.
    pub fn open(_connection: &KafkaConnection, _patience: Duration) -> Result<KafkaWriter, WriteError> {
        Err(WriteError::Unusable("Kafka isn't there yet".into()))
    }
}

impl Writer for KafkaWriter {
    fn ensure_topic(&mut self, _: &str, _: u32) -> Result<(), WriteError> {
        match self.never {}
    }

    fn write(&mut self, _: &str, _: u64, _: &[u8]) -> Result<(), WriteError> {
        match self.never {}
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        match self.never {}
    }
}
