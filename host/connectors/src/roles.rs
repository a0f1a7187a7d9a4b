//! Roles: what a pipeline can use a connection for. Each connector implements those that it can take.
//!
//! A thing that is opened keeps the promises of its own trait. A `check` reports every fault that opening would find, and makes nothing.

use async_trait::async_trait;
use sluice_core::Field;
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::share::Want;

use crate::kafka::Membership;
use crate::letters::Letterbox;
use crate::lookup::LookupTable;
use crate::sink::{Sink, SinkError, Target};
use crate::source::{Source, SourceError, Subscription};
use crate::transaction::{Ledger, TransactionSink, Written};
use crate::writer::{WriteError, Writer};

/// A connection that records are read from, and that the generator writes records to.
pub trait SourceRole {
    /// Joins the group of a topic, if its hosts share partitions, as this host. `alone` says that no other one was seen before.
    fn join(&self, _: &str, _: &str, _: Want, _host: &str, _alone: bool) -> Result<Option<Membership>, SourceError> {
        Ok(None)
    }

    /// Opens a topic, on what its host has as a member of the group. Blocks while the server answers.
    fn open_source(&self, what: &Subscription, membership: Option<&Membership>)
    -> Result<Box<dyn Source>, SourceError>;

    /// Opens the connection for writing records. Blocks while the server answers.
    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError>;
}

/// A connection that rows are looked up in.
pub trait LookupRole {
    /// Opens a lookup of a table by its key. Asks no server. Only from a thread of tokio's; what asks must be another.
    fn lookup(&self, table: &LookupTable) -> Result<Box<dyn Lookup>, LookupError>;

    /// Reports what keeps the table from answering: it, a column, a kind, a unique key or a right is missing. Blocks until the server
    /// answers.
    fn check_lookup(&self, table: &LookupTable) -> Result<(), LookupError>;
}

/// A connection that rows are written to.
#[async_trait]
pub trait SinkRole: Send + Sync {
    /// Opens a sink for rows of these fields.
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError>;

    /// Reports every fault that opening the sink would find, and changes nothing: a missing table that the target would make is no
    /// fault.
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
    /// Opens a table whose rows and intervals are written together.
    async fn open_transactions(&self, ledger: &Ledger, fields: &[Field])
    -> Result<Box<dyn TransactionSink>, SinkError>;

    /// Reports every fault that opening the sink would find.
    async fn check_transactions(&self, ledger: &Ledger, fields: &[Field]) -> Result<(), SinkError>;

    /// Returns how far the rows of a pipeline are, as the database says.
    async fn written(&self, pipeline: &str, topic: &str) -> Result<Written, SinkError>;
}

/// A connection that dead letters are kept in: in a table or in a topic, as its connector says.
#[async_trait]
pub trait LettersRole: Send + Sync {
    /// The letters in a place, to be looked at; a place that is missing has none.
    fn letters(&self, place: &str) -> Result<Box<dyn Letterbox>, SinkError>;

    /// Opens a place for letters; one that is missing is made if `create` says so.
    async fn open_letters(&self, place: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError>;

    /// Reports every fault that opening the place would find.
    async fn check_letters(&self, place: &str, create: bool) -> Result<(), SinkError>;
}
