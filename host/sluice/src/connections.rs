//! Connections by name: the only place that knows both the configuration and the connectors.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sluice_connectors::csv::CsvConnection;
use sluice_connectors::hbase::{CacheConfig, HbaseConnection, HbaseOptions};
use sluice_connectors::kafka::{KafkaConnection, KafkaSource, KafkaWriter, Membership};
use sluice_connectors::letters::{self, Letterbox};
use sluice_connectors::log::{LogConnection, LogSource, LogWriter};
use sluice_connectors::mysql::{MysqlConnection, MysqlSink, Pool};
use sluice_connectors::sink::{KeyEquality, Sink, SinkError, Target};
use sluice_connectors::source::{Source, SourceError, Start, Subscription};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_connectors::transaction::{Ledger, TransactionSink, Written};
use sluice_connectors::writer::{WriteError, Writer};
use sluice_core::identity::Identity;
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::share::Want;
use sluice_core::{Field, Kind};

use crate::config;

/// Time in which a server must answer when a pipeline opens or is checked. Shorter: a broker that elects a leader counts as away.
/// Longer: `sluice check` keeps people waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, ready to open things on.
enum Connection {
    Kafka(KafkaConnection),
    Log(LogConnection),
    Hbase(HbaseConnection),
    Csv(CsvConnection),
    Mysql(MysqlConnection),
    Sqlite(SqliteConnection),
}

/// Place for dead letters. The flag says whether a missing table or topic is made.
enum LettersPlace<'a> {
    Mysql(&'a MysqlConnection, &'a str, bool),
    Sqlite(&'a SqliteConnection, &'a str, bool),
    Kafka(&'a KafkaConnection, &'a str, bool),
    File(&'a Path),
}

/// Connections of a service. Pipelines that look up on the same one share its pool and its cache.
pub struct Connections {
    by_name: BTreeMap<String, Connection>,
}

impl Connections {
    /// Makes the connections of these settings; connects to nothing yet.
    pub fn new(settings: &BTreeMap<String, config::Connection>) -> Result<Connections, LookupError> {
        let by_name = settings.iter().map(|(name, settings)| Ok((name.clone(), connection(settings)?)));
        Ok(Connections { by_name: by_name.collect::<Result<_, LookupError>>()? })
    }

    /// Joins the group of a source, if its hosts share partitions, as this host. `alone` says that no other one was seen before.
    pub fn join(
        &self,
        source: &config::Source,
        want: Want,
        host: &str,
        alone: bool,
    ) -> Result<Option<Membership>, SourceError> {
        match self.by_name.get(&source.connection) {
            Some(Connection::Kafka(kafka)) => {
                Membership::join(kafka, &source.topic, &source.group, want, host, alone).map(Some)
            }
            _ => Ok(None),
        }
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
        let subscription = subscription(source, resumed, known);
        match self.by_name.get(&source.connection) {
            Some(Connection::Kafka(kafka)) => {
                Ok(Box::new(KafkaSource::open(kafka, &subscription, membership, PATIENCE)?))
            }
            Some(Connection::Log(log)) => Ok(Box::new(LogSource::open(log, &subscription)?)),
            _ => Err(SourceError::Unusable(misused(&source.connection, "a source (kafka or log)"))),
        }
    }

    /// A lookup of a pipeline's step.
    pub fn open_lookup(&self, lookup: &config::Lookup) -> Result<Box<dyn Lookup>, LookupError> {
        let columns = lookup_columns(lookup);
        match self.by_name.get(&lookup.connection) {
            Some(Connection::Hbase(hbase)) => Ok(Box::new(hbase.lookup(&lookup.table, &columns)?)),
            Some(Connection::Csv(csv)) => Ok(Box::new(csv.lookup(&lookup.table, &columns)?)),
            _ => Err(LookupError::Unusable(misused(&lookup.connection, "a lookup (hbase or csv)"))),
        }
    }

    /// Checks that the lookup's table and columns are there. Blocks until the server answers.
    pub fn check_lookup(&self, lookup: &config::Lookup) -> Result<(), LookupError> {
        let columns = lookup_columns(lookup);
        match self.by_name.get(&lookup.connection) {
            Some(Connection::Hbase(hbase)) => hbase.check(&lookup.table, &columns),
            Some(Connection::Csv(csv)) => csv.check(&lookup.table, &columns),
            _ => Err(LookupError::Unusable(misused(&lookup.connection, "a lookup (hbase or csv)"))),
        }
    }

    /// Opens a sink for rows of these fields, of a fold or not.
    pub async fn open_sink(
        &self,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let target = target(sink, folds);
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => Ok(Box::new(MysqlSink::open(mysql, &target, fields).await?)),
            Some(Connection::Sqlite(sqlite)) => Ok(Box::new(SqliteSink::open(sqlite, &target, fields).await?)),
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// Opens a pipeline's sink whose rows are written in transactions with their intervals.
    pub async fn open_transactions(
        &self,
        pipeline: &config::Pipeline,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<Box<dyn TransactionSink>, SinkError> {
        let ledger = ledger(pipeline, sink, folds);
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => mysql.open_transactions(&ledger, fields).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.open_transactions(&ledger, fields).await,
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// Returns true if a sink's table has a row.
    pub async fn has_rows(&self, sink: &config::Sink) -> Result<bool, SinkError> {
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => mysql.has_rows(&sink.table).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.has_rows(&sink.table).await,
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// Returns how far the rows of a sink with transactions are, as its database says.
    pub async fn written(&self, pipeline: &config::Pipeline, sink: &config::Sink) -> Result<Written, SinkError> {
        let (name, topic) = (&pipeline.name, &pipeline.source.topic);
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => mysql.written(name, topic).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.written(name, topic).await,
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// Reports every fault that opening the pipeline's sink would find; makes nothing.
    pub async fn check_sink(
        &self,
        pipeline: &config::Pipeline,
        sink: &config::Sink,
        fields: &[Field],
        folds: bool,
    ) -> Result<(), SinkError> {
        let transaction = sink.delivery == config::Delivery::Transaction;
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) if transaction => {
                mysql.check_transactions(&ledger(pipeline, sink, folds), fields).await
            }
            Some(Connection::Sqlite(sqlite)) if transaction => {
                sqlite.check_transactions(&ledger(pipeline, sink, folds), fields).await
            }
            Some(Connection::Mysql(mysql)) => mysql.check(&target(sink, folds), fields).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.check(&target(sink, folds), fields).await,
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// The dead letters in a place, to be looked at.
    pub fn letters(&self, place: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Mysql(mysql, table, _) => mysql.letters(table),
            LettersPlace::Sqlite(sqlite, table, _) => Ok(sqlite.letters(table)),
            LettersPlace::Kafka(kafka, topic, _) => Ok(kafka.letters(topic)),
            LettersPlace::File(path) => Ok(letters::file::letters(path)),
        }
    }

    /// Reports every fault that opening the place for dead letters would find; makes nothing.
    pub async fn check_letters(&self, place: &config::DeadLetters) -> Result<(), SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Mysql(mysql, table, create) => mysql.check_letters(table, create).await,
            LettersPlace::Sqlite(sqlite, table, create) => sqlite.check_letters(table, create).await,
            LettersPlace::Kafka(kafka, topic, create) => {
                let (kafka, topic) = (kafka.clone(), topic.to_owned());
                blocking(move || kafka.check_letters(&topic, create)).await
            }
            LettersPlace::File(path) => letters::file::check(path),
        }
    }

    /// Opens a place for dead letters.
    pub async fn open_letters(&self, place: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.letters_place(place)? {
            LettersPlace::Mysql(mysql, table, create) => mysql.open_letters(table, create).await,
            LettersPlace::Sqlite(sqlite, table, create) => sqlite.open_letters(table, create).await,
            LettersPlace::Kafka(kafka, topic, create) => {
                let (kafka, topic) = (kafka.clone(), topic.to_owned());
                blocking(move || kafka.open_letters(&topic, create)).await
            }
            LettersPlace::File(path) => {
                letters::file::check(path)?;
                Ok(letters::file::letters(path))
            }
        }
    }

    fn letters_place<'a>(&'a self, place: &'a config::DeadLetters) -> Result<LettersPlace<'a>, SinkError> {
        let misused = |connection: &str| {
            Err(SinkError::Unusable(misused(connection, "a place for dead letters (mysql, sqlite or kafka)")))
        };
        match place {
            config::DeadLetters::File { path } => Ok(LettersPlace::File(path)),
            config::DeadLetters::Table { connection, table, create } => match self.by_name.get(connection) {
                Some(Connection::Mysql(mysql)) => Ok(LettersPlace::Mysql(mysql, table, *create)),
                Some(Connection::Sqlite(sqlite)) => Ok(LettersPlace::Sqlite(sqlite, table, *create)),
                _ => misused(connection),
            },
            config::DeadLetters::Topic { connection, topic, create } => match self.by_name.get(connection) {
                Some(Connection::Kafka(kafka)) => Ok(LettersPlace::Kafka(kafka, topic, *create)),
                _ => misused(connection),
            },
        }
    }

    /// Opens a connection for writing records. Blocks while the server answers.
    pub fn open_writer(&self, name: &str) -> Result<Box<dyn Writer>, WriteError> {
        match self.by_name.get(name) {
            Some(Connection::Kafka(kafka)) => Ok(Box::new(KafkaWriter::open(kafka, PATIENCE)?)),
            Some(Connection::Log(log)) => Ok(Box::new(LogWriter::open(log)?)),
            Some(_) => Err(WriteError::Unusable(misused(name, "records (kafka or log)"))),
            None => {
                let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
                Err(WriteError::Unusable(format!("there is no connection `{name}`; there are {}", known.join(", "))))
            }
        }
    }
}

fn connection(settings: &config::Connection) -> Result<Connection, LookupError> {
    Ok(match settings {
        config::Connection::Kafka { brokers, properties } => {
            let properties = properties.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
            Connection::Kafka(KafkaConnection { brokers: brokers.clone(), properties: properties.collect() })
        }
        config::Connection::Log { directory } => Connection::Log(LogConnection { directory: directory.clone() }),
        config::Connection::Hbase { thrift, cache } => {
            let mut options = HbaseOptions::new(thrift);
            options.cache = CacheConfig { ttl: cache.ttl, entries: cache.entries as usize, ..options.cache };
            Connection::Hbase(HbaseConnection::new(options)?)
        }
        config::Connection::Csv { directory } => Connection::Csv(CsvConnection { directory: directory.clone() }),
        config::Connection::Mysql { url, time_zone, connections } => Connection::Mysql(MysqlConnection {
            url: url.expose().to_owned(),
            time_zone: time_zone.clone(),
            pool: Pool::new(*connections),
        }),
        config::Connection::Sqlite { path } => Connection::Sqlite(SqliteConnection { path: path.clone() }),
    })
}

fn subscription(source: &config::Source, resumed: Option<Start>, known: Identity) -> Subscription {
    let start = resumed.unwrap_or(match source.start {
        config::Start::Earliest => Start::Earliest,
        config::Start::Latest => Start::Latest,
        config::Start::Committed => Start::Committed,
    });
    Subscription { topic: source.topic.clone(), group: source.group.clone(), start, known }
}

fn lookup_columns(lookup: &config::Lookup) -> Vec<(String, Kind)> {
    lookup.columns.iter().map(|column| (column.column.clone(), column.kind)).collect()
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let work = tokio::task::spawn_blocking(work).await;
    work.unwrap_or_else(|error| Err(SinkError::Unusable(format!("{error}; this is a defect"))))
}

/// Returns the name of this process for people: the host's name and the process's number.
fn this_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() { "a host without a name" } else { name.trim() };
    format!("{name} (process {})", std::process::id())
}

/// Returns the error for a connection that doesn't fit its use. It only occurs if the configuration's checks have a gap.
fn misused(connection: &str, what: &str) -> String {
    format!("connection `{connection}` can't be {what}")
}
