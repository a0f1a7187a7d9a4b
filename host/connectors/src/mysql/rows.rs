//! The question whether a table holds anything.

use sqlx::AssertSqlSafe;

use super::MysqlConnection;
use super::describe::{Described, describe};
use super::session::Server;
use crate::sink::SinkError;
use crate::sql::Dialect;

impl MysqlConnection {
    /// Says whether the table is there and has a row.
    pub async fn has_rows(&self, table: &str) -> Result<bool, SinkError> {
        let server = Server::of(self)?;
        let mut lease = server.open().await?;
        if matches!(server.answer(describe(&mut lease, table)).await?, Described::Missing) {
            server.done(lease).await?;
            return Ok(false);
        }
        // The name is quoted.
        let sql = AssertSqlSafe(format!("SELECT 1 FROM {} LIMIT 1", Dialect::Mysql.quote_table(table)));
        let row = server.answer(sqlx::query(sql).persistent(false).fetch_optional(&mut *lease)).await?;
        server.done(lease).await?;
        Ok(row.is_some())
    }
}
