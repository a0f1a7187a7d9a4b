//! Connections by name: what a pipeline's file says of its source, lookups, sinks and letters is opened and checked here.

use sluice_connectors::kafka::Membership;
use sluice_connectors::letters::{self, Letterbox};
use sluice_connectors::roles::{LettersRole, LookupRole, SinkRole, SourceRole, TransactionRole};
use sluice_connectors::sink::{KeyEquality, Sink, SinkError, Target};
use sluice_connectors::source::{Source, SourceError, Start, Subscription};
use sluice_connectors::transaction::{Ledger, TransactionSink, Written};
use sluice_connectors::writer::{WriteError, Writer};
use sluice_core::Field;
use sluice_core::identity::Identity;
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::share::Want;

use crate::config;
use crate::connection::{ByName, Connection, Role};

/// Connections of a service. Pipelines that look up on the same one share its pool and its cache.
pub struct Connections {
    by_name: ByName,
}

impl Connections {
    /// Takes the connections of a configuration; connects to nothing yet.
    pub fn new(by_name: &ByName) -> Connections {
        Connections { by_name: by_name.clone() }
    }

    /// Joins the group of a source, if its hosts share partitions, as this host. `alone` says that no other one was seen before.
    pub fn join(
        &self,
        source: &config::Source,
        want: Want,
        host: &str,
        alone: bool,
    ) -> Result<Option<Membership>, SourceError> {
        self.source(&source.connection)?.join(&source.topic, &source.group, want, host, alone)
    }

    /// Opens a pipeline's source, where its checkpoint ends if it has one, on what its host has as a member of the group. It is to
    /// be what is known of it.
    /// Blocks while the server answers.
    pub fn open_source(
        &self,
        source: &config::Source,
        resumed: Option<Start>,
        known: Identity,
        membership: Option<&Membership>,
    ) -> Result<Box<dyn Source>, SourceError> {
        self.source(&source.connection)?.open_source(&subscription(source, resumed, known), membership)
    }

    /// A lookup of a pipeline's step.
    pub fn open_lookup(&self, lookup: &config::Lookup) -> Result<Box<dyn Lookup>, LookupError> {
        self.lookup(&lookup.connection)?.lookup(&lookup.table)
    }

    /// Checks that the lookup's table and columns are there. Blocks until the server answers.
    pub fn check_lookup(&self, lookup: &config::Lookup) -> Result<(), LookupError> {
        self.lookup(&lookup.connection)?.check_lookup(&lookup.table)
    }

    /// Opens a sink for rows of these fields, of a fold or not.
    pub async fn open_sink(
        &self,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<Box<dyn Sink>, SinkError> {
        self.sink(&sink.connection)?.open_sink(&target(sink, folds), fields).await
    }

    /// Opens a pipeline's sink whose rows are written in transactions with their intervals.
    pub async fn open_transactions(
        &self,
        pipeline: &config::Pipeline,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<Box<dyn TransactionSink>, SinkError> {
        self.transactions(&sink.connection)?.open_transactions(&ledger(pipeline, sink, folds), fields).await
    }

    /// Returns true if a sink's table has a row.
    pub async fn has_rows(&self, sink: &config::Sink) -> Result<bool, SinkError> {
        self.sink(&sink.connection)?.has_rows(&sink.table).await
    }

    /// Returns how far the rows of a sink with transactions are, as its database says.
    pub async fn written(&self, pipeline: &config::Pipeline, sink: &config::Sink) -> Result<Written, SinkError> {
        self.transactions(&sink.connection)?.written(&pipeline.name, &pipeline.source.topic).await
    }

    /// Reports every fault that opening the pipeline's sink would find; makes nothing.
    pub async fn check_sink(
        &self,
        pipeline: &config::Pipeline,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<(), SinkError> {
        match sink.delivery {
            config::Delivery::Upsert => self.sink(&sink.connection)?.check_sink(&target(sink, folds), fields).await,
            config::Delivery::Transaction => {
                self.transactions(&sink.connection)?.check_transactions(&ledger(pipeline, sink, folds), fields).await
            }
        }
    }

    /// The dead letters in a place, to be looked at.
    pub fn letters(&self, place: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Of(role, name, _) => role.letters(name),
            LettersPlace::File(path) => Ok(letters::file::letters(path)),
        }
    }

    /// Reports every fault that opening the place for dead letters would find; makes nothing.
    pub async fn check_letters(&self, place: &config::DeadLetters) -> Result<(), SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Of(role, name, create) => role.check_letters(name, create).await,
            LettersPlace::File(path) => letters::file::check(path),
        }
    }

    /// Opens a place for dead letters.
    pub async fn open_letters(&self, place: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Of(role, name, create) => role.open_letters(name, create).await,
            LettersPlace::File(path) => {
                letters::file::check(path)?;
                Ok(letters::file::letters(path))
            }
        }
    }

    /// Opens a connection for writing records. Blocks while the server answers.
    pub fn open_writer(&self, name: &str) -> Result<Box<dyn Writer>, WriteError> {
        let Some(connection) = self.by_name.get(name) else {
            let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
            return Err(WriteError::Unusable(format!(
                "there is no connection `{name}`; there are {}",
                known.join(", ")
            )));
        };
        let role = connection.source().ok_or_else(|| WriteError::Unusable(misused(name, Role::Source)))?;
        role.open_writer()
    }

    fn source(&self, name: &str) -> Result<&dyn SourceRole, SourceError> {
        let role = self.named(name).and_then(|connection| connection.source());
        role.ok_or_else(|| SourceError::Unusable(misused(name, Role::Source)))
    }

    fn lookup(&self, name: &str) -> Result<&dyn LookupRole, LookupError> {
        let role = self.named(name).and_then(|connection| connection.lookup());
        role.ok_or_else(|| LookupError::Unusable(misused(name, Role::Lookup)))
    }

    fn sink(&self, name: &str) -> Result<&dyn SinkRole, SinkError> {
        let role = self.named(name).and_then(|connection| connection.sink());
        role.ok_or_else(|| SinkError::Unusable(misused(name, Role::Sink)))
    }

    fn transactions(&self, name: &str) -> Result<&dyn TransactionRole, SinkError> {
        let none =
            || format!("connection `{name}` can't write rows in transactions: let the sink's `delivery` be \"upsert\"");
        self.sink(name)?.transactions().ok_or_else(|| SinkError::Unusable(none()))
    }

    fn letters_place<'a>(&'a self, place: &'a config::DeadLetters) -> Result<LettersPlace<'a>, SinkError> {
        let (name, place, create) = match place {
            config::DeadLetters::File { path } => return Ok(LettersPlace::File(path)),
            config::DeadLetters::Table { connection, table, create } => (connection, table, *create),
            config::DeadLetters::Topic { connection, topic, create } => (connection, topic, *create),
        };
        let role = self.named(name).and_then(|connection| connection.letters());
        let role = role.ok_or_else(|| SinkError::Unusable(misused(name, Role::DeadLetters)))?;
        Ok(LettersPlace::Of(role, place, create))
    }

    fn named(&self, name: &str) -> Option<&dyn Connection> {
        self.by_name.get(name).map(AsRef::as_ref)
    }
}

/// Place for dead letters.
enum LettersPlace<'a> {
    /// A table or topic of a connection. The flag says whether a missing one is made.
    Of(&'a dyn LettersRole, &'a str, bool),
    File(&'a std::path::Path),
}

fn subscription(source: &config::Source, resumed: Option<Start>, known: Identity) -> Subscription {
    let start = resumed.unwrap_or(match source.start {
        config::Start::Earliest => Start::Earliest,
        config::Start::Latest => Start::Latest,
        config::Start::Committed => Start::Committed,
    });
    Subscription { topic: source.topic.clone(), group: source.group.clone(), start, known }
}

fn target(sink: &config::Sink, folds: bool) -> Target {
    let equality = match sink.key_equality {
        config::KeyEquality::Exact => KeyEquality::Exact,
        // A fold groups by values. Those that the table takes for one could be two groups, but for texts that are refused.
        config::KeyEquality::Table if folds => KeyEquality::Trimmed,
        config::KeyEquality::Table => KeyEquality::Table,
    };
    Target { table: sink.table.clone(), key: sink.key.clone(), create: sink.create, round: sink.round, equality }
}

fn ledger(pipeline: &config::Pipeline, sink: &config::Sink, folds: bool) -> Ledger {
    let letters = pipeline.dead_letters.as_ref().and_then(|letters| letters.table_of(&sink.connection));
    Ledger {
        target: target(sink, folds),
        pipeline: pipeline.name.clone(),
        topic: pipeline.source.topic.clone(),
        letters: letters.map(str::to_owned),
        host: this_host(),
    }
}

/// Returns the name of this process for people: the host's name and the process's number.
fn this_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() { "a host without a name" } else { name.trim() };
    format!("{name} (process {})", std::process::id())
}

/// Returns the error for a connection that doesn't fit its use. It only occurs if the configuration's checks have a gap.
fn misused(connection: &str, role: Role) -> String {
    format!("connection `{connection}` can't be {role}")
}
