//! Upserts into MySQL and MariaDB, and lookups in their tables.
//!
//! A flush is one transaction of multi-row `INSERT … ON DUPLICATE KEY UPDATE`, so `Ok` means committed, and a lost
//! connection leaves nothing or all of it. Where the pipeline asks for it, the intervals of its records are in the same
//! transaction (`transaction`). Sessions are strict: a value that a column can't hold is an error, never cut.
//!
//! Timestamps are wall-clock times: a `DATETIME` column gets them as they are, a `TIMESTAMP` column takes them as times of
//! the session's zone.
//!
//! A column that keeps fewer digits than values have, and a key whose collation takes texts for the same that differ, are
//! refused, unless the target says that they may.

mod bind;
mod describe;
mod error;
mod identity;
mod inserts;
mod letters;
mod lookup;
mod pool;
mod query;
mod reads;
mod rights;
mod role;
mod session;
mod sink;
mod transaction;
mod types;
mod url;
mod zone;

use std::fmt;

pub use self::pool::{DEFAULT_CONNECTIONS, Pool};
pub use self::sink::MysqlSink;
pub use self::url::{DEFAULT_PORT, MysqlUrl, UrlError};
use crate::lookup::Caches;

/// A connection says where a MySQL or MariaDB server is, and what its sessions are set to.
#[derive(Clone, Default)]
pub struct MysqlConnection {
    /// `mysql://user:password@host:port/database`; TLS by the parameters `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, a
    /// local socket by `socket`.
    pub url: String,
    /// The session's zone, as a name (`Asia/Shanghai`) or an offset (`+08:00`); none leaves the server's. It matters
    /// to `TIMESTAMP` columns only.
    pub time_zone: Option<String>,
    /// The connections that everything shares that is opened on this or on a clone of it.
    pub pool: Pool,
    /// The rows that were looked up on this or on a clone of it.
    pub caches: Caches,
}

/// Says where the server is, and never the password.
impl fmt::Debug for MysqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = session::Server::of(self).map_or_else(|_| "an unreadable url".into(), |server| server.to_string());
        f.debug_struct("MysqlConnection").field("server", &server).field("time_zone", &self.time_zone).finish()
    }
}
