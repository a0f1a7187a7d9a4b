//! Upserts into MySQL and MariaDB.

use std::fmt;

use async_trait::async_trait;
use sluice_core::Field;

use crate::sink::{Constraint, Rows, Sink, SinkError, Target};

/// Where a MySQL or MariaDB server is, and what its sessions are set to.
#[derive(Clone)]
pub struct MysqlConnection {
    /// `mysql://user:password@host:port/database`, TLS by the parameters `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`.
    pub url: String,
    /// The session's zone, as a name (`Asia/Shanghai`) or an offset (`+08:00`); none leaves the server's. It matters
    /// to `TIMESTAMP` columns only: a `DATETIME` column gets the wall-clock as it is.
    pub time_zone: Option<String>,
}

impl fmt::Debug for MysqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlConnection").field("time_zone", &self.time_zone).finish_non_exhaustive()
    }
}

impl MysqlConnection {
    /// Everything that opening a sink would find at fault, without making a table.
    pub async fn check(&self, _target: &Target, _fields: &[Field]) -> Result<(), SinkError> {
        Err(SinkError::Unusable("MySQL is not there yet".into()))
    }
}

/// A MySQL table that takes upserts.
pub struct MysqlSink {
    constraints: Vec<Constraint>,
}

impl MysqlSink {
    /// Connects, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(
        _connection: &MysqlConnection,
        _target: &Target,
        _fields: &[Field],
    ) -> Result<MysqlSink, SinkError> {
        Err(SinkError::Unusable("MySQL is not there yet".into()))
    }
}

#[async_trait]
impl Sink for MysqlSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    async fn upsert(&mut self, _rows: &Rows) -> Result<(), SinkError> {
        Err(SinkError::Unusable("MySQL is not there yet".into()))
    }
}
