//! The connection as a sink.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::AssertSqlSafe;

use super::describe::{Described, describe};
use super::session::Server;
use super::{MysqlConnection, MysqlSink, MysqlUrl, sink};
use crate::roles::{SinkRole, TableName, TransactionRole};
use crate::sink::{Sink, SinkError, Target};
use crate::sql::Dialect;

#[async_trait]
impl SinkRole for MysqlConnection {
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(MysqlSink::open(self, target, fields).await?))
    }

    async fn check_sink(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
        sink::check(self, target, fields).await
    }

    async fn has_rows(&self, table: &str) -> Result<bool, SinkError> {
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

    /// The server's address with the database, and the table. Never the user and the password.
    fn place(&self, table: &str) -> TableName {
        let Ok(url) = MysqlUrl::parse(&self.url) else { return TableName::default() };
        let local = url.host.eq_ignore_ascii_case("localhost");
        let host = if local { "127.0.0.1".to_owned() } else { url.host.to_lowercase() };
        let own = url.database.clone().unwrap_or_default();
        let address = MysqlUrl { host, ..url }.address();
        let (database, table) = table.split_once('.').unwrap_or((&own, table));
        (format!("{address}/{database}"), table.to_owned())
    }

    fn transactions(&self) -> Option<&dyn TransactionRole> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, table: &str) -> TableName {
        MysqlConnection { url: url.to_owned(), ..MysqlConnection::default() }.place(table)
    }

    #[test]
    fn a_table_is_the_same_whoever_asks_for_it_and_however_the_server_is_written() {
        let one = place("mysql://root:p@w@db.example:3306/live?ssl-mode=DISABLED", "gifts");
        assert_eq!(one, place("mysql://other@DB.example/live", "gifts"));
        assert_eq!(one, place("mysql://other@db.example/others", "live.gifts"));
        assert_eq!(place("mysql://localhost/live", "gifts"), place("mariadb://u@127.0.0.1:3306/live", "gifts"));
        for other in ["mysql://root@db.example:3307/live", "mysql://root@db.example/other", "mysql://root@db/live"] {
            assert_ne!(one, place(other, "gifts"));
        }
        assert_ne!(one, place("mysql://root@db.example/live", "Gifts"));
        assert!(!format!("{one:?}").contains("p@w"));
    }
}
