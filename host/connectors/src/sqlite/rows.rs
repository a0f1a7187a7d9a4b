//! The question whether a table holds anything.

use sqlx::AssertSqlSafe;

use super::SqliteConnection;
use super::describe::{Described, describe};
use super::file::File;
use crate::sink::SinkError;
use crate::sql::Dialect;

impl SqliteConnection {
    /// Says whether the table is there and has a row.
    pub async fn has_rows(&self, table: &str) -> Result<bool, SinkError> {
        let file = File::new(&self.path);
        if !file.exists() {
            return Ok(false);
        }
        let mut connection = file.open_to_read().await?;
        if matches!(file.run(describe(&mut connection, table)).await?, Described::Missing) {
            return Ok(false);
        }
        // The name is quoted.
        let sql = AssertSqlSafe(format!("SELECT 1 FROM {} LIMIT 1", Dialect::Sqlite.quote(table)));
        Ok(file.run(sqlx::query(sql).fetch_optional(&mut connection)).await?.is_some())
    }
}
