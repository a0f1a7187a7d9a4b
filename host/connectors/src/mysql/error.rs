//! Meaning of the server's and the driver's errors for the pipeline.

use std::error::Error;
use std::fmt::Display;

use sqlx::mysql::MySqlDatabaseError;

use crate::sink::SinkError;

/// The error of `SET time_zone` for a name that the server doesn't know.
pub(super) const UNKNOWN_TIME_ZONE: u16 = 1298;

/// The error of a statement that names a table which isn't there.
pub(super) const NO_SUCH_TABLE: u16 = 1146;

/// The error of `ADD COLUMN` for a column that is there.
pub(super) const COLUMN_IS_THERE: u16 = 1060;

/// Errors that pass without anybody changing the table or the configuration: the server is starting, stopping, full,
/// failing over, or somebody else holds a lock. Numbers as in MySQL's and MariaDB's manuals.
const PASSING: [u16; 42] = [
    1020, 1021, 1026, 1037, 1038, 1040, 1041, // changed meanwhile, disk full, out of memory, too many connections
    1043, 1047, 1053, 1077, 1079, 1080, // bad handshake, cluster not ready, shutting down
    1152, 1158, 1159, 1160, 1161, 1184, // the connection broke off
    1180, 1203, 1205, 1206, 1213, 1226, // commit failed, user's limits, locks, deadlock
    1290, 1317, 1412, 1461, 1615, 1637, // read-only, interrupted, table changed meanwhile, too many statements
    1114, 1223, 3100, 3101, 3572, // the table is full, locked for a backup, rolled back by a cluster
    1792, 1836, 1927, 1969, 3024, 4031, // read-only transaction or server, killed, too slow, idle for too long
];

/// The error of a session that isn't encrypted, for a server that takes no other (`require_secure_transport`).
const NOT_ENCRYPTED: u16 = 3159;

/// The change that ends it, and any error that comes of a password which is sent by TLS only.
const ENCRYPT: &str = "let tls be \"required\" (in a url, ssl-mode=REQUIRED)";

/// The settings that a session hangs on which can't be encrypted.
const TLS_KEYS: &str = "check the connection's `tls`, `ca`, `cert` and `key`, or ssl-mode and ssl-ca in its url";

/// Errors of a user who isn't let in.
const NOT_LET_IN: [u16; 6] = [1045, 1130, 1251, 1698, 1820, 1862];

/// Errors of a user who may not do it.
const NOT_ALLOWED: [u16; 5] = [1044, 1142, 1143, 1227, 1370];

fn is_denied(number: u16) -> bool {
    NOT_LET_IN.contains(&number) || NOT_ALLOWED.contains(&number)
}

/// Says whether the user lacks a right that somebody could give.
pub(super) fn lacks_a_right(error: &sqlx::Error) -> bool {
    number(error).is_some_and(|number| NOT_ALLOWED.contains(&number))
}

/// Errors of a statement with rows that are about the table, the user or the statement, whatever the rows hold: somebody must
/// change something.
const OF_THE_TABLE: [u16; 17] = [
    1049, 1054, 1064, 1136, 1146, 1288, 1305, 1348, 1356, // no such database, column, table, function; a view
    1036, 1364, 1442, 1449, 1471, 1467, 1194,
    1195, // read-only, a column without default, a trigger's own fault, damage
];

/// Numbers of errors that only the content of a row can cause, beside those with such an SQLSTATE.
const OF_A_ROW: [u16; 14] = [
    1118, 1153, 1265, 1300, 1366, 1411, 1525, 1526, 1713,
    1748, // too large, cut off, no such character, no partition
    3140, 3819, 3988, 4025, // JSON, CHECK, a character that the column's set lacks
];

/// Classes of SQLSTATE that say that a row is at fault: its data, a constraint, a view's check, a trigger's SIGNAL.
const CLASSES_OF_A_ROW: [&str; 4] = ["22", "23", "44", "45"];

/// A storage engine's own error, of which the server gives only the engine's number.
const ENGINE: u16 = 1030;

/// InnoDB's number for a row that is too large for a page.
const ROW_TOO_BIG: &str = "139";

/// The server's number of the error, if it is the server's.
pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Says whether the connection broke, so that another one may do.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    // A server ends an idle connection with one of these, or with nothing.
    matches!(error, sqlx::Error::Io(_)) || matches!(number(error), Some(1927 | 4031))
}

/// Says whether a statement was refused for what its rows hold: surely (true), or perhaps, if other rows are taken (false). None if
/// it was for another reason, or not refused.
pub(super) fn about_rows(error: &sqlx::Error) -> Option<bool> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    let number = error.number();
    let class = error.code().and_then(|state| state.get(..2)).unwrap_or_default();
    // A trigger may give its SIGNAL any number.
    if class == "45" {
        return Some(true);
    }
    if number == ENGINE {
        return error.message().contains(ROW_TOO_BIG).then_some(true);
    }
    if PASSING.contains(&number) || OF_THE_TABLE.contains(&number) || is_denied(number) {
        return None;
    }
    Some(OF_A_ROW.contains(&number) || CLASSES_OF_A_ROW.contains(&class))
}

/// The error in words, and whether it passes. `server` says which server it is of.
pub(super) fn sink_error(server: &dyn Display, error: &sqlx::Error) -> SinkError {
    match (number(error), error) {
        (Some(number), _) => server_error(server, number, error),
        (None, sqlx::Error::Io(e)) => SinkError::Unavailable(format!("{server} can't be reached: {e}")),
        (None, sqlx::Error::Tls(e)) if broke_off(e.as_ref()) => {
            SinkError::Unavailable(format!("{server} broke off while the session was being encrypted: {e}"))
        }
        (None, sqlx::Error::Tls(e)) => SinkError::Unusable(format!("{server}: TLS failed ({e}): {TLS_KEYS}")),
        (None, sqlx::Error::Protocol(words)) if words.contains("unknown authentication plugin") => {
            SinkError::Unusable(format!(
                "{server}: {words}, which this build doesn't have: let the user be IDENTIFIED by mysql_native_password, \
                 caching_sha2_password or sha256_password"
            ))
        }
        (None, sqlx::Error::Protocol(e)) => SinkError::Unusable(format!(
            "{server} answers what this program doesn't understand ({e}): name the port of a MySQL or MariaDB server, and a user \
             that is identified by mysql_native_password, caching_sha2_password or sha256_password"
        )),
        // The driver would need RSA for that, whose crate has a weakness that is not mended.
        (None, sqlx::Error::Configuration(e)) if e.to_string().contains("RSA") => SinkError::Unusable(format!(
            "{server}: this user's password goes over TLS only: {ENCRYPT}; a server without TLS has to know the user as \
             IDENTIFIED by mysql_native_password, which MySQL has before 9.0"
        )),
        (None, sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::Configuration(_)) => {
            SinkError::Unusable(format!("{server}: {error}"))
        }
        (None, _) => SinkError::Unavailable(format!("{server} broke off: {error}")),
    }
}

/// Says whether the connection broke, which for the driver is a failure of TLS while that begins.
fn broke_off(error: &(dyn Error + 'static)) -> bool {
    // OpenSSL's words for an end without a word.
    error.to_string().to_ascii_lowercase().contains("unexpected eof")
        || std::iter::successors(Some(error), |&error| error.source()).any(|error| error.is::<std::io::Error>())
}

/// The error of a file of TLS that can't be read, which for the driver is a server that can't be reached.
pub(super) fn unreadable(server: &dyn Display, file: &str, error: &std::io::Error) -> SinkError {
    SinkError::Unusable(format!("{server}: {file} can't be read ({error}): {TLS_KEYS}"))
}

fn server_error(server: &dyn Display, number: u16, error: &sqlx::Error) -> SinkError {
    if PASSING.contains(&number) || number == ENGINE {
        return SinkError::Unavailable(format!("{server} can't take rows now: {}", plain(error)));
    }
    let hint = match number {
        1049 => "create the database, or name another one in the url",
        NO_SUCH_TABLE => "create the table, or set create = true",
        NOT_ENCRYPTED => ENCRYPT,
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
