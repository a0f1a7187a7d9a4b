//! `[connections.*]`: the servers and directories that pipelines name.

mod able;
mod declared;
mod mysql;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
pub(super) use declared::{Declared, Role};
pub(super) use read::read_all;

/// A named server or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// A Kafka cluster: topics are its topics.
    Kafka {
        /// `host:port`, several separated by commas.
        brokers: String,
        /// Further librdkafka properties, by name.
        properties: BTreeMap<String, Secret>,
    },
    /// A directory of `topic/partition.jsonl` files.
    Log {
        /// The directory.
        directory: PathBuf,
    },
    /// HBase's Thrift server.
    Hbase {
        /// `host:port`.
        thrift: String,
        /// Cache of the rows that were looked up.
        cache: CacheSettings,
    },
    /// A directory of `table.csv` files.
    Csv {
        /// The directory.
        directory: PathBuf,
    },
    /// A MySQL or MariaDB server and database.
    Mysql {
        /// `mysql://user:password@host:port/database`.
        url: Secret,
        /// The session's time zone, as the server names it; none: the server's own.
        time_zone: Option<String>,
        /// Greatest number of connections to the server at one time, for everything in the service that uses it.
        connections: u32,
    },
    /// A SQLite database.
    Sqlite {
        /// The database's file.
        path: PathBuf,
    },
}

/// Cache of the rows that were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Time for which a row, or its absence, is used again. With zero, every batch asks again.
    pub ttl: Duration,
    /// Greatest number of rows that are kept.
    pub entries: u32,
}

/// Type of a connection, without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionType {
    /// [`Connection::Kafka`]
    Kafka,
    /// [`Connection::Log`]
    Log,
    /// [`Connection::Hbase`]
    Hbase,
    /// [`Connection::Csv`]
    Csv,
    /// [`Connection::Mysql`]
    Mysql,
    /// [`Connection::Sqlite`]
    Sqlite,
}

impl ConnectionType {
    pub(super) const ALL: [ConnectionType; 6] = [
        ConnectionType::Kafka,
        ConnectionType::Log,
        ConnectionType::Hbase,
        ConnectionType::Csv,
        ConnectionType::Mysql,
        ConnectionType::Sqlite,
    ];

    /// The key that makes a connection one of this type.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionType::Kafka => "kafka",
            ConnectionType::Log => "log",
            ConnectionType::Hbase => "hbase",
            ConnectionType::Csv => "csv",
            ConnectionType::Mysql => "mysql",
            ConnectionType::Sqlite => "sqlite",
        }
    }
}

impl Connection {
    /// Returns the type of this connection.
    pub fn connection_type(&self) -> ConnectionType {
        match self {
            Connection::Kafka { .. } => ConnectionType::Kafka,
            Connection::Log { .. } => ConnectionType::Log,
            Connection::Hbase { .. } => ConnectionType::Hbase,
            Connection::Csv { .. } => ConnectionType::Csv,
            Connection::Mysql { .. } => ConnectionType::Mysql,
            Connection::Sqlite { .. } => ConnectionType::Sqlite,
        }
    }
}
