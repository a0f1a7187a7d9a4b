//! A connection to the server, set up as the sink needs it.
//!
//! Statements stay prepared until the connection ends (sqlx's default): closing one is a packet without an answer, for which
//! Nagle's algorithm, which sqlx leaves on, holds the next one back until the server's delayed acknowledgement, 40 ms later.

use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::pool::{LEASE_TIMEOUT, Lease, Pool};
use super::{MysqlConnection, MysqlUrl, error, zone};
use crate::sink::SinkError;

/// The longest that connecting and setting up may take. Shorter fails on a slow handshake, longer delays the word that the server
/// is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that the server may take for a statement. A thousand rows take milliseconds; a lock that somebody else holds is
/// given up by the server itself before ([`LOCK_TIMEOUT_SECONDS`]), which says more than our giving up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of statements that a connection keeps prepared. An upsert has at most eleven texts, a lookup four, of so many of the
/// pipelines that share the connection; all connections together stay far below a server's limit of 16,382
/// (`max_prepared_stmt_count`).
const PREPARED: usize = 256;

/// The parameters of a url that name files, without hyphens.
const FILES: [&str; 3] = ["sslca", "sslcert", "sslkey"];

/// The seconds that a statement waits for a row's lock.
const LOCK_TIMEOUT_SECONDS: u32 = 5;

/// A server's address and the options to connect to it.
pub(super) struct Server {
    options: MySqlConnectOptions,
    /// The files that the driver reads for each connection.
    files: Vec<String>,
    time_zone: Option<String>,
    pool: Pool,
    home: usize,
}

/// The address, without user and password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.options.get_socket() {
            Some(path) => write!(f, "MySQL at {}", path.display()),
            None if self.options.get_host().contains(':') => {
                write!(f, "MySQL at [{}]:{}", self.options.get_host(), self.options.get_port())
            }
            None => write!(f, "MySQL at {}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

impl Server {
    /// Reads the url. No message repeats it, since it holds the password.
    pub(super) fn of(connection: &MysqlConnection) -> Result<Server, SinkError> {
        let unusable = |what: String| {
            SinkError::Unusable(format!("the mysql url {what}: write mysql://user:password@host:3306/database"))
        };
        let url = MysqlUrl::parse(&connection.url).map_err(|error| unusable(error.to_string()))?;
        if url.database.is_none() {
            return Err(unusable("names no database".into()));
        }
        // The session's settings are made below, in one place; the driver's own would change `sql_mode` as well.
        let options = options(&url)
            .map_err(unusable)?
            .charset("utf8mb4")
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .statement_cache_capacity(PREPARED)
            .disable_statement_logging();
        let is_file = |name: &str| FILES.contains(&name.replace('-', "").as_str());
        let files = url.parameters.into_iter().filter(|(name, _)| is_file(name)).map(|(_, file)| file).collect();
        let pool = connection.pool.clone();
        Ok(Server { options, files, time_zone: connection.time_zone.clone(), home: pool.home(), pool })
    }

    /// A connection of the pool with no transaction open. One that was idle may turn out to be closed: then a [`Server::fresh`] one
    /// may do.
    pub(super) async fn lease(&self) -> Result<Lease, SinkError> {
        let (slot, idle) = self.pool.take(self.home).await.ok_or_else(|| self.busy())?;
        match idle {
            Some(connection) => Ok(Lease::new(connection, slot, true)),
            None => Ok(Lease::new(self.connect().await?, slot, false)),
        }
    }

    /// Returns a connection of the pool that the server has just confirmed to be open.
    pub(super) async fn open(&self) -> Result<Lease, SinkError> {
        let mut lease = self.lease().await?;
        if lease.was_idle && self.answer(lease.ping()).await.is_err() {
            drop(lease);
            return self.fresh().await;
        }
        Ok(lease)
    }

    /// A connection that was made just now, in the place of one of the pool's.
    pub(super) async fn fresh(&self) -> Result<Lease, SinkError> {
        let (slot, idle) = self.pool.take(self.home).await.ok_or_else(|| self.busy())?;
        drop(idle);
        Ok(Lease::new(self.connect().await?, slot, false))
    }

    /// Ends the transaction of reads, and gives the connection back.
    pub(super) async fn done(&self, mut lease: Lease) -> Result<(), SinkError> {
        self.answer(sqlx::raw_sql("COMMIT").execute(&mut *lease)).await?;
        lease.give_back();
        Ok(())
    }

    fn busy(&self) -> SinkError {
        SinkError::Unavailable(format!(
            "all {} connections to {self} were in use for {} s: look what the server is doing, or raise `connections` of the mysql \
             connection in sluice.toml",
            self.pool.limit(),
            LEASE_TIMEOUT.as_secs()
        ))
    }

    /// A connection with strict types, the zone, and no transaction open.
    async fn connect(&self) -> Result<Box<MySqlConnection>, SinkError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, MySqlConnection::connect_with(&self.options));
        let connected = connecting.await.map_err(|_| self.late(CONNECT_TIMEOUT))?;
        let mut connection =
            connected.map_err(|e| self.unreadable(&e).unwrap_or_else(|| error::sink_error(self, &e)))?;
        // Every statement opens a transaction by itself, which saves a round trip for each flush.
        let settings = format!(
            "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
             NO_ENGINE_SUBSTITUTION', autocommit=0, innodb_lock_wait_timeout={LOCK_TIMEOUT_SECONDS}"
        );
        let set = sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection);
        self.within(CONNECT_TIMEOUT, set).await?;
        if let Some(zone) = &self.time_zone {
            self.set_zone(&mut connection, zone).await?;
        }
        Ok(Box::new(connection))
    }

    /// Waits for one answer of the server.
    pub(super) async fn answer<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, SinkError> {
        self.within(STATEMENT_TIMEOUT, call).await
    }

    /// Waits for one answer of the server, with the error as the driver gave it; none if it took too long.
    pub(super) async fn raw_answer<T>(
        &self,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<Result<T, sqlx::Error>, SinkError> {
        tokio::time::timeout(STATEMENT_TIMEOUT, call).await.map_err(|_| self.late(STATEMENT_TIMEOUT))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, SinkError> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|e| error::sink_error(self, &e)),
            Err(_) => Err(self.late(limit)),
        }
    }

    /// The first of the files that can't be read, if that is why there is no connection.
    fn unreadable(&self, error: &sqlx::Error) -> Option<SinkError> {
        let sqlx::Error::Io(io) = error else { return None };
        // What a server that is away doesn't cause; on that, files aren't looked at, which may hang.
        if !matches!(io.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory) {
            return None;
        }
        let failed = |file: &String| std::fs::read(file).err().map(|why| error::unreadable(self, file, &why));
        self.files.iter().find_map(failed)
    }

    fn late(&self, limit: Duration) -> SinkError {
        SinkError::Unavailable(format!("{self} didn't answer within {} s", limit.as_secs()))
    }

    async fn set_zone(&self, connection: &mut MySqlConnection, name: &str) -> Result<(), SinkError> {
        let answer = self.raw_answer(set_zone_query(connection, name)).await?;
        match answer {
            Err(e) if error::number(&e) == Some(error::UNKNOWN_TIME_ZONE) => {
                let offset = zone::constant_offset(name).map_err(|e| SinkError::Unusable(format!("{self}: {e}")))?;
                zone::warn_once(name, &offset);
                self.answer(set_zone_query(connection, &offset)).await
            }
            other => other.map_err(|e| error::sink_error(self, &e)),
        }
    }
}

async fn set_zone_query(connection: &mut MySqlConnection, zone: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SET time_zone = ?").bind(zone).execute(connection).await.map(|_| ())
}

/// The driver's options; the driver itself never sees the url, which its errors might quote.
fn options(url: &MysqlUrl) -> Result<MySqlConnectOptions, String> {
    let mut options = MySqlConnectOptions::new().host(&url.host).port(url.port);
    options = url.user.iter().fold(options, |options, user| options.username(user));
    options = url.password.iter().fold(options, |options, password| options.password(password));
    options = url.database.iter().fold(options, |options, database| options.database(database));
    for (name, value) in &url.parameters {
        options = match name.replace('-', "").as_str() {
            "sslmode" => options.ssl_mode(ssl_mode(value)?),
            "sslca" => options.ssl_ca(value),
            "sslcert" => options.ssl_client_cert(value),
            "sslkey" => options.ssl_client_key(value),
            _ => options.socket(value),
        };
    }
    Ok(options)
}

fn ssl_mode(text: &str) -> Result<MySqlSslMode, String> {
    let known = "has an ssl-mode that isn't DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
    text.parse().map_err(|_| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, SinkError> {
        Server::of(&MysqlConnection { url: url.into(), ..MysqlConnection::default() })
    }

    #[test]
    fn a_url_that_cant_be_used_is_told_without_its_password() {
        for url in [
            "mysql://root:s3cret@host:notaport/db",
            "mysql://root:s3cret@host:3306",
            "postgres://root:s3cret@host/db",
            "mysql://root:s3cret@host/db?rewriteBatchedStatements=true",
            "mysql://root:s3cret@host/db?ssl-mode=maybe",
            "mysql://root:12?s3cret@host:3306/db",
            "mysql://root:12#s3cret@host:3306/db",
            "mysql://root:12/s3cret@host:3306/db",
            "mysql://root:x@s3cret/y@host:3306/db",
            "s3cret",
        ] {
            let Err(SinkError::Unusable(message)) = server(url) else { panic!("{url} was taken") };
            assert!(!message.contains("s3cret") && message.contains("mysql://user:password@"), "{message}");
        }
    }

    #[test]
    fn a_connection_shows_its_server_and_never_its_password() {
        let connection =
            MysqlConnection { url: "mysql://me:s3cret@db.example:3307/live".into(), ..MysqlConnection::default() };
        let shown = format!("{connection:?}");
        assert!(shown.contains("db.example:3307") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn tls_parameters_are_taken() {
        assert!(server("mysql://u:p@h/db?ssl-mode=VERIFY_CA&ssl-ca=%2Fetc%2Fca.pem").is_ok());
    }
}
