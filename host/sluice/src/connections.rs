//! What a connection's name stands for: the only place that knows both the configuration and the connectors.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_connectors::csv::CsvConnection;
use sluice_connectors::hbase::{CacheConfig, HbaseConnection, HbaseOptions};
use sluice_connectors::kafka::{KafkaConnection, KafkaSource, KafkaWriter, Membership};
use sluice_connectors::letters::Letterbox;
use sluice_connectors::log::{LogConnection, LogSource, LogWriter};
use sluice_connectors::mysql::{MysqlConnection, MysqlSink};
use sluice_connectors::sink::{Sink, SinkError, Target};
use sluice_connectors::source::{Source, SourceError, Start, Subscription};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_connectors::writer::{WriteError, Writer};
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::share::Want;
use sluice_core::{Field, Kind};

use crate::config;

/// How long a server has to answer when a pipeline opens or is checked. Shorter: a broker that elects a leader counts as away. Longer:
/// `sluice check` keeps people waiting.
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

/// All connections of a service. Pipelines that look up on the same one share its pool and its cache.
pub struct Connections {
    by_name: BTreeMap<String, Connection>,
}

impl Connections {
    /// Of these settings; connects nothing yet.
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

    /// Opens a pipeline's source, where its checkpoint ends if it has one, on what its host has as a member of the group.
    /// Blocks while the server answers.
    pub fn open_source(
        &self,
        source: &config::Source,
        resumed: Option<Start>,
        membership: Option<&Membership>,
    ) -> Result<Box<dyn Source>, SourceError> {
        let subscription = subscription(source, resumed);
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

    /// Whether the lookup's table and columns are there. Blocks while the server answers.
    pub fn check_lookup(&self, lookup: &config::Lookup) -> Result<(), LookupError> {
        let columns = lookup_columns(lookup);
        match self.by_name.get(&lookup.connection) {
            Some(Connection::Hbase(hbase)) => hbase.check(&lookup.table, &columns),
            Some(Connection::Csv(csv)) => csv.check(&lookup.table, &columns),
            _ => Err(LookupError::Unusable(misused(&lookup.connection, "a lookup (hbase or csv)"))),
        }
    }

    /// Opens a sink for rows of these fields.
    pub async fn open_sink(&self, sink: &config::Sink, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError> {
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => Ok(Box::new(MysqlSink::open(mysql, &target(sink), fields).await?)),
            Some(Connection::Sqlite(sqlite)) => Ok(Box::new(SqliteSink::open(sqlite, &target(sink), fields).await?)),
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// Everything that opening the sink would find at fault; makes nothing.
    pub async fn check_sink(&self, sink: &config::Sink, fields: &[Field]) -> Result<(), SinkError> {
        match self.by_name.get(&sink.connection) {
            Some(Connection::Mysql(mysql)) => mysql.check(&target(sink), fields).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.check(&target(sink), fields).await,
            _ => Err(SinkError::Unusable(misused(&sink.connection, "a sink (mysql or sqlite)"))),
        }
    }

    /// The dead letters in a table, to be looked at.
    pub fn letters(&self, letters: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.by_name.get(&letters.connection) {
            Some(Connection::Mysql(mysql)) => mysql.letters(&letters.table),
            Some(Connection::Sqlite(sqlite)) => Ok(sqlite.letters(&letters.table)),
            _ => Err(SinkError::Unusable(misused(&letters.connection, LETTERS))),
        }
    }

    /// Everything that opening the table for dead letters would find at fault; makes nothing.
    pub async fn check_letters(&self, letters: &config::DeadLetters) -> Result<(), SinkError> {
        match self.by_name.get(&letters.connection) {
            Some(Connection::Mysql(mysql)) => mysql.check_letters(&letters.table, letters.create).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.check_letters(&letters.table, letters.create).await,
            _ => Err(SinkError::Unusable(misused(&letters.connection, LETTERS))),
        }
    }

    /// Opens a table for dead letters.
    pub async fn open_letters(&self, letters: &config::DeadLetters) -> Result<Box<dyn Letterbox>, SinkError> {
        match self.by_name.get(&letters.connection) {
            Some(Connection::Mysql(mysql)) => mysql.open_letters(&letters.table, letters.create).await,
            Some(Connection::Sqlite(sqlite)) => sqlite.open_letters(&letters.table, letters.create).await,
            _ => Err(SinkError::Unusable(misused(&letters.connection, LETTERS))),
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
        config::Connection::Mysql { url, time_zone } => {
            Connection::Mysql(MysqlConnection { url: url.expose().to_owned(), time_zone: time_zone.clone() })
        }
        config::Connection::Sqlite { path } => Connection::Sqlite(SqliteConnection { path: path.clone() }),
    })
}

fn subscription(source: &config::Source, resumed: Option<Start>) -> Subscription {
    let start = resumed.unwrap_or(match source.start {
        config::Start::Earliest => Start::Earliest,
        config::Start::Latest => Start::Latest,
        config::Start::Committed => Start::Committed,
    });
    Subscription { topic: source.topic.clone(), group: source.group.clone(), start }
}

fn lookup_columns(lookup: &config::Lookup) -> Vec<(String, Kind)> {
    lookup.columns.iter().map(|column| (column.column.clone(), column.kind)).collect()
}

fn target(sink: &config::Sink) -> Target {
    Target { table: sink.table.clone(), key: sink.key.clone(), create: sink.create }
}

const LETTERS: &str = "a place for dead letters (mysql or sqlite)";

/// The configuration checks that connections fit their use; this is what a gap in those checks would say.
fn misused(connection: &str, what: &str) -> String {
    format!("connection `{connection}` can't be {what}")
}
