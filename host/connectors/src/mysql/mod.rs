//! Upserts into MySQL and MariaDB.
//!
//! A flush is one transaction of multi-row `INSERT … ON DUPLICATE KEY UPDATE`, so `Ok` means committed, and a lost
//! connection leaves nothing or all of it. Where the pipeline asks for it, the intervals of its records are in the same
//! transaction (`transaction`). Sessions are strict: a value that a column can't hold is an error, never cut.
//!
//! Timestamps are wall-clock times: a `DATETIME` column gets them as they are, a `TIMESTAMP` column takes them as times of
//! the session's zone. A column with fewer fraction digits than the value has drops the rest, as SQL does.
//!
//! Text keys are equal where the table's collation says so. In tables that exist, `'a'` and `'A'` may be one row; tables
//! that we make compare by code point.

mod bind;
mod describe;
mod error;
mod inserts;
mod letters;
mod rights;
mod session;
mod sink;
mod transaction;
mod types;
mod url;
mod zone;

use std::fmt;

use sluice_core::Field;

pub use self::sink::MysqlSink;
pub use self::url::{MysqlUrl, UrlError};
use crate::sink::{SinkError, Target};

/// Where a MySQL or MariaDB server is, and what its sessions are set to.
#[derive(Clone)]
pub struct MysqlConnection {
    /// `mysql://user:password@host:port/database`; TLS by the parameters `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, a
    /// local socket by `socket`.
    pub url: String,
    /// The session's zone, as a name (`Asia/Shanghai`) or an offset (`+08:00`); none leaves the server's. It matters
    /// to `TIMESTAMP` columns only.
    pub time_zone: Option<String>,
}

/// Says where the server is, and never the password.
impl fmt::Debug for MysqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = session::Server::of(self).map_or_else(|_| "an unreadable url".into(), |server| server.to_string());
        f.debug_struct("MysqlConnection").field("server", &server).field("time_zone", &self.time_zone).finish()
    }
}

impl MysqlConnection {
    /// Everything that opening a sink would find at fault, changing nothing: a missing table that the target would make is
    /// no fault.
    pub async fn check(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
        sink::check(self, target, fields).await
    }
}
