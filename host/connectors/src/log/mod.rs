//! The embedded log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::records::Records;
use sluice_core::{Offset, Partition};

use crate::source::{Committer, Source, SourceError, Subscription};
use crate::writer::{WriteError, Writer};

/// A directory of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConnection {
    /// Where the topics' directories are.
    pub directory: PathBuf,
}

/// A topic being read.
pub struct LogSource {
    never: std::convert::Infallible,
}

impl LogSource {
    /// Opens.
    pub fn open(_connection: &LogConnection, _subscription: &Subscription) -> Result<LogSource, SourceError> {
        Err(SourceError::Unusable("the log isn't there yet".into()))
    }
}

impl Source for LogSource {
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
pub struct LogWriter {
    never: std::convert::Infallible,
}

impl LogWriter {
    /// Opens.
    pub fn open(_connection: &LogConnection) -> Result<LogWriter, WriteError> {
        Err(WriteError::Unusable("the log isn't there yet".into()))
    }
}

impl Writer for LogWriter {
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
