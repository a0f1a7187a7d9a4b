//! What the server's and the driver's errors mean for the pipeline.

use sqlx::mysql::MySqlDatabaseError;

use super::session::Server;
use crate::sink::SinkError;

/// The error of `SET time_zone` for a name that the server doesn't know.
pub(super) const UNKNOWN_TIME_ZONE: u16 = 1298;

/// The error of a statement that names a table which isn't there.
pub(super) const NO_SUCH_TABLE: u16 = 1146;

/// Errors that pass without anybody changing the table or the configuration: the server is starting, stopping, full,
/// failing over, or somebody else holds a lock. Numbers as in MySQL's and MariaDB's manuals.
const PASSING: [u16; 35] = [
    1021, 1037, 1038, 1040, 1041, // disk full, out of memory, too many connections
    1043, 1047, 1053, 1077, 1079, 1080, // bad handshake, cluster not ready, shutting down
    1152, 1158, 1159, 1160, 1161, 1184, // the connection broke off
    1180, 1203, 1205, 1206, 1213, 1226, // commit failed, user's limits, locks, deadlock
    1290, 1317, 1412, 1461, 1615, 1637, // read-only, interrupted, table changed meanwhile, too many statements
    1792, 1836, 1927, 1969, 3024, 4031, // read-only transaction or server, killed, too slow, idle for too long
];

/// Who connects isn't let in.
const NOT_LET_IN: [u16; 6] = [1045, 1130, 1251, 1698, 1820, 1862];

/// Who connects may not do it.
const NOT_ALLOWED: [u16; 5] = [1044, 1142, 1143, 1227, 1370];

/// Whether the user lacks a right that somebody could give.
pub(super) fn lacks_a_right(error: &sqlx::Error) -> bool {
    number(error).is_some_and(|number| NOT_ALLOWED.contains(&number))
}

/// The server's number of the error, if it is the server's.
pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Whether the connection broke, so that another one may do.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    // A server ends an idle connection with one of these, or with nothing.
    matches!(error, sqlx::Error::Io(_)) || matches!(number(error), Some(1927 | 4031))
}

/// The error in words, and whether it passes.
pub(super) fn sink_error(server: &Server, error: &sqlx::Error) -> SinkError {
    match (number(error), error) {
        (Some(number), _) => server_error(server, number, error),
        (None, sqlx::Error::Io(e)) => SinkError::Unavailable(format!("{server} can't be reached: {e}")),
        (None, sqlx::Error::Tls(e)) => SinkError::Unusable(format!(
            "{server}: TLS failed ({e}): check the connection's `tls`, `ca`, `cert` and `key`, or ssl-mode and ssl-ca in its url"
        )),
        (None, sqlx::Error::Protocol(words)) if words.contains("unknown authentication plugin") => {
            SinkError::Unusable(format!(
                "{server}: {words}, which this build doesn't have: let the user be IDENTIFIED by mysql_native_password, \
                 caching_sha2_password or sha256_password"
            ))
        }
        (None, sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::Configuration(_)) => {
            SinkError::Unusable(format!("{server}: {error}"))
        }
        (None, _) => SinkError::Unavailable(format!("{server} broke off: {error}")),
    }
}

fn server_error(server: &Server, number: u16, error: &sqlx::Error) -> SinkError {
    if PASSING.contains(&number) {
        return SinkError::Unavailable(format!("{server} can't take rows now: {}", plain(error)));
    }
    let hint = match number {
        1049 => "create the database, or name another one in the url",
        NO_SUCH_TABLE => "create the table, or set create = true",
        _ if NOT_LET_IN.contains(&number) => {
            "check user and password (in a url, % of a password is written %25, and @ : / ? # as %40 %3A %2F %3F %23; the key \
             `password` takes it as it is)"
        }
        1044 => "grant the user SELECT, INSERT and UPDATE on the database's tables, or name another database",
        _ if NOT_ALLOWED.contains(&number) => "grant the user that right; `sluice check` shows the statement",
        _ => "the server refuses the statement or a value in it",
    };
    SinkError::Unusable(format!("{server}: {}: {hint}", plain(error)))
}

/// The server's own words, with its number.
pub(super) fn plain(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>()) {
        Some(e) => format!("{} (error {})", e.message(), e.number()),
        None => error.to_string(),
    }
}
