//! Roles: what a pipeline can use a connection for.
//!
//! What is opened keeps the promises of its trait in `sluice_connectors`. A `check` reports every fault that opening would find, and
//! makes nothing.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use sluice_connectors::kafka::Membership;
use sluice_connectors::letters::Letterbox;
use sluice_connectors::lookup::LookupTable;
use sluice_connectors::sink::{Sink, SinkError, Target};
use sluice_connectors::source::{Source, SourceError, Subscription};
use sluice_connectors::transaction::{Ledger, TransactionSink, Written};
use sluice_connectors::writer::{WriteError, Writer};
use sluice_core::Field;
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::share::Want;

use super::Connector;

/// A connection of the configuration, ready to open things on. Pipelines that name the same one share its pool and its cache. Its
/// `Debug` shows no secret.
pub trait Connection: fmt::Debug + Send + Sync {
    /// The connector that it is one of.
    fn connector(&self) -> &'static Connector;

    /// The connection as a source.
    fn source(&self) -> Option<&dyn SourceRole> {
        None
    }

    /// The connection as a lookup.
    fn lookup(&self) -> Option<&dyn LookupRole> {
        None
    }

    /// The connection as a sink.
    fn sink(&self) -> Option<&dyn SinkRole> {
        None
    }

    /// The connection as a place for dead letters.
    fn letters(&self) -> Option<&dyn LettersRole> {
        None
    }

    /// The file or directory that it is; none for a server.
    fn path(&self) -> Option<&Path> {
        None
    }
}

/// A connection that records are read from, and that the generator writes records to.
pub trait SourceRole {
    /// Joins the group of a topic, if its hosts share partitions, as this host. `alone` says that no other one was seen before.
    fn join(&self, _: &str, _: &str, _: Want, _host: &str, _alone: bool) -> Result<Option<Membership>, SourceError> {
        Ok(None)
    }

    /// Opens a topic, on what its host has as a member of the group. Blocks while the server answers.
    fn open(&self, what: &Subscription, membership: Option<&Membership>) -> Result<Box<dyn Source>, SourceError>;

    /// Opens the connection for writing records. Blocks while the server answers.
    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError>;
}

/// A connection that rows are looked up in.
pub trait LookupRole {
    /// Opens a lookup. Asks no server.
    fn open(&self, table: &LookupTable) -> Result<Box<dyn Lookup>, LookupError>;

    /// Checks that the table and its columns are there. Blocks until the server answers.
    fn check(&self, table: &LookupTable) -> Result<(), LookupError>;
}

/// A connection that rows are written to.
#[async_trait]
pub trait SinkRole: Send + Sync {
    /// Opens a sink for rows of these fields.
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError>;

    /// Reports every fault that opening the sink would find.
    async fn check_sink(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError>;

    /// Returns true if the table is there and has a row.
    async fn has_rows(&self, table: &str) -> Result<bool, SinkError>;

    /// The table, in a form to compare: two connections may lead to the same one.
    fn place(&self, table: &str) -> TableName;

    /// The connection as one whose rows can be written in transactions with their intervals.
    fn transactions(&self) -> Option<&dyn TransactionRole> {
        None
    }
}

/// Table, independent of its connection's name: its server and database, or its file, and its own name.
pub type TableName = (String, String);

/// A connection whose rows can be written in transactions with their intervals.
#[async_trait]
pub trait TransactionRole: Send + Sync {
    /// Opens a sink for rows of these fields.
    async fn open_ledger(&self, ledger: &Ledger, fields: &[Field]) -> Result<Box<dyn TransactionSink>, SinkError>;

    /// Reports every fault that opening the sink would find.
    async fn check_ledger(&self, ledger: &Ledger, fields: &[Field]) -> Result<(), SinkError>;

    /// Returns how far the rows of a pipeline are, as the database says.
    async fn written(&self, pipeline: &str, topic: &str) -> Result<Written, SinkError>;
}

/// A connection that dead letters are kept in: in a table or in a topic, as its connector says.
#[async_trait]
pub trait LettersRole: Send + Sync {
    /// The letters in a place, to be looked at.
    fn letters(&self, place: &str) -> Result<Box<dyn Letterbox>, SinkError>;

    /// Opens a place for letters; one that is missing is made if `create` says so.
    async fn open_letters(&self, place: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError>;

    /// Reports every fault that opening the place would find.
    async fn check_letters(&self, place: &str, create: bool) -> Result<(), SinkError>;
}
