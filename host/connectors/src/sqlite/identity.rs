//! The identity of a table's file, which says whether it is still the one that was opened: one that is moved or removed takes rows that
//! nobody finds again.

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection as Connection};

use super::file::File;
use crate::found::{FoundTable, Watched};
use crate::sink::SinkError;
use crate::sql::UpsertPlan;

/// Finds the table that has the plan's name in the open file, which was opened when the path led to `file`.
pub(super) async fn find(
    file: &File,
    connection: &mut Connection,
    plan: &UpsertPlan,
    before: Option<String>,
) -> Result<FoundTable, SinkError> {
    let is_empty = file.run(is_empty(connection, plan)).await?;
    if file.identity() != before {
        return Err(SinkError::Unavailable(format!(
            "SQLite at {}: the file was replaced while it was opened",
            file.path()
        )));
    }
    Ok(FoundTable { table: before, is_empty, ..FoundTable::default() })
}

/// Checks that the path still leads to the file that was opened.
fn verify_file(file: &File, watched: &Watched) -> Result<(), SinkError> {
    match file.identity() {
        None => Err(replaced(file, "is gone")),
        now => watched.differs(now.as_deref(), false).map_or(Ok(()), |what| Err(replaced(file, &what))),
    }
}

/// The same; if not, the connection is closed before this answers: SQLite's locks on the files beside a database are the process's,
/// and one that closes later lets go of those that the next one has.
pub(super) async fn verify_open(
    file: &File,
    connection: Option<Connection>,
    watched: &Watched,
) -> Result<Option<Connection>, SinkError> {
    let verified = verify_file(file, watched);
    match (verified, connection) {
        (Ok(()), connection) => Ok(connection),
        (Err(replaced), connection) => {
            if let Some(connection) = connection {
                // What was not committed is written elsewhere.
                let _ = connection.close().await;
            }
            Err(replaced)
        }
    }
}

/// Checks that the table still has its rows; within the transaction that writes more.
pub(super) async fn verify_rows(
    file: &File,
    connection: &mut Connection,
    plan: &UpsertPlan,
    watched: &Watched,
) -> Result<(), SinkError> {
    let table = plan.table();
    match is_empty(connection, plan).await {
        Ok(is_empty) => {
            let differs = watched.differs(None, is_empty);
            differs.map_or(Ok(()), |what| Err(replaced(file, &format!("has the table {table}, which {what}"))))
        }
        Err(error) if error.to_string().contains("no such table") => {
            Err(replaced(file, &format!("no longer has the table {table}")))
        }
        Err(error) => Err(file.error(&error)),
    }
}

async fn is_empty(connection: &mut Connection, plan: &UpsertPlan) -> Result<bool, sqlx::Error> {
    let any = format!("SELECT 1 FROM {} LIMIT 1", plan.table());
    Ok(sqlx::query(AssertSqlSafe(any)).fetch_optional(connection).await?.is_none())
}

fn replaced(file: &File, what: &str) -> SinkError {
    SinkError::Replaced(format!("SQLite at {}: it {what}", file.path()))
}
