//! The identity of the server, the database and the table that a connection leads to.
//!
//! A server is known by `server_uuid` (MySQL) or `server_uid` (MariaDB), one of a cluster by the cluster's own id, which all of its
//! servers have. A table is known by when it was made, which any `ALTER` makes anew and `TRUNCATE` doesn't: of that only its
//! emptiness tells. Nothing of this needs a right beyond those that upserts need.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row};

use super::error::{self, NO_SUCH_TABLE};
use super::inserts::Failure;
use super::session::Server;
use crate::found::{FoundTable, Watched};
use crate::sink::SinkError;
use crate::sql::{Dialect, UpsertPlan};

/// The question what servers call themselves.
const SERVER: &str =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'group_replication_group_name')";

/// The question what a Galera cluster calls itself.
const CLUSTER: &str = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'";

/// The names of a cluster's id. A server that is in none has an empty one, or zeros.
const CLUSTERS: [&str; 2] = ["wsrep_cluster_state_uuid", "group_replication_group_name"];

const DATABASE: &str = "SELECT CAST(DATABASE() AS CHAR)";

/// Finds the table that has the plan's name.
pub(super) async fn find(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<Watched, SinkError> {
    let mut ids = server.answer(pairs(connection, CLUSTER)).await?;
    ids.extend(server.answer(pairs(connection, SERVER)).await?);
    let own: String =
        server.answer(async { sqlx::raw_sql(DATABASE).fetch_one(&mut *connection).await?.try_get(0) }).await?;
    let ((table, is_empty), is_blind) = match server.answer(look(connection, plan, true)).await {
        // A user who may only insert doesn't see whether there are rows.
        Err(SinkError::Unusable(_)) => ((server.answer(look(connection, plan, false)).await?.0, false), true),
        found => (found?, false),
    };
    // Each server of a cluster made the table at a time of its own.
    let table = table.filter(|_| !of_cluster(&ids));
    let database = Dialect::Mysql.database_of(&plan.target.table).0.unwrap_or(&own);
    let database = server_id(&ids).map(|id| format!("database `{database}` of the server {id}"));
    Ok(Watched { is_blind, ..Watched::new(FoundTable { database, table, is_empty, ..FoundTable::default() }) })
}

/// Checks that the table is still the one that was opened; right before rows are written to it, and in their transaction, which keeps it
/// as it is.
pub(super) async fn verify(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
    watched: &Watched,
) -> Result<(), Failure> {
    let replaced = |what: &str| Failure::Other(SinkError::Replaced(format!("{server}: table {} {what}", plan.table())));
    let looked = server.raw_answer(look(connection, plan, watched.watches_rows())).await.map_err(Failure::Other)?;
    match looked {
        Ok((None, _)) if watched.found.table.is_some() => Err(replaced("is gone")),
        Ok((table, is_empty)) => {
            watched.differs(table.as_deref(), is_empty).map_or(Ok(()), |what| Err(replaced(&what)))
        }
        Err(e) if error::number(&e) == Some(NO_SUCH_TABLE) => Err(replaced("is gone")),
        Err(e) if error::is_lost(&e) => Err(Failure::Lost(error::sink_error(server, &e))),
        Err(e) => Err(Failure::Other(error::sink_error(server, &e))),
    }
}

/// Asks when the table was made, and whether it is empty: only if that is asked for.
async fn look(
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
    rows: bool,
) -> Result<(Option<String>, bool), sqlx::Error> {
    let any = if rows { format!("(SELECT 1 FROM {} LIMIT 1)", plan.table()) } else { "1".to_owned() };
    let sql = format!(
        "SELECT (SELECT CAST(UNIX_TIMESTAMP(create_time) AS SIGNED) FROM information_schema.tables WHERE table_schema = \
         COALESCE(?, DATABASE()) AND table_name = ?), CAST({any} AS SIGNED)"
    );
    let (of, table) = Dialect::Mysql.database_of(&plan.target.table);
    let row = sqlx::query(AssertSqlSafe(sql)).bind(of).bind(table).fetch_one(connection).await?;
    let made: Option<i64> = row.try_get(0)?;
    let any: Option<i64> = row.try_get(1)?;
    let made = made.and_then(|seconds| sluice_core::time::shown(seconds.saturating_mul(1_000_000)));
    Ok((made.map(|time| format!("made at {} UTC", time.get(..19).unwrap_or(&time))), any.is_none()))
}

async fn pairs(connection: &mut MySqlConnection, show: &'static str) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::raw_sql(show).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Picks the server's identity: the cluster's name, or else the server's own.
fn server_id(ids: &[(String, String)]) -> Option<&str> {
    let of = |name: &str| {
        let found = ids.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, id)| id.as_str()).filter(|id| id.chars().any(|c| c.is_alphanumeric() && c != '0'))
    };
    CLUSTERS.into_iter().chain(["server_uuid", "server_uid"]).find_map(of)
}

/// Says whether the server is one of a cluster, whose id is its own.
fn of_cluster(ids: &[(String, String)]) -> bool {
    let clusters: Vec<_> =
        ids.iter().filter(|(name, _)| CLUSTERS.iter().any(|known| known.eq_ignore_ascii_case(name))).cloned().collect();
    server_id(&clusters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_a_cluster_is_known_by_the_clusters_name() {
        let ids = |ids: &[(&str, &str)]| -> Vec<(String, String)> {
            ids.iter().map(|(name, id)| (name.to_string(), id.to_string())).collect()
        };
        let alone =
            ids(&[("wsrep_cluster_state_uuid", ""), ("server_uuid", "a"), ("group_replication_group_name", "")]);
        assert_eq!(server_id(&alone), Some("a"));
        let group = ids(&[("server_uuid", "a"), ("group_replication_group_name", "g")]);
        assert_eq!(server_id(&group), Some("g"));
        assert_eq!(server_id(&ids(&[("wsrep_cluster_state_uuid", "w"), ("server_uid", "a")])), Some("w"));
        assert_eq!(server_id(&[]), None);
        let zeros = "00000000-0000-0000-0000-000000000000";
        let lone = ids(&[("wsrep_cluster_state_uuid", zeros), ("server_uid", "a")]);
        assert_eq!(server_id(&lone), Some("a"), "compiled in, and not used");
        assert!(of_cluster(&group) && !of_cluster(&lone) && !of_cluster(&alone));
    }
}
