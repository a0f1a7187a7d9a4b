//! Tables that are written twice: two writers would replace each other's rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sluice_connectors::mysql::DEFAULT_PORT;

use super::connection::Connection;
use super::pipeline::Pipeline;
use super::problem::Problem;
use super::sink::Sink;

/// Table, independent of its connection's name: its server and database, or its file, and its own name.
type TableName = (String, String);

/// A problem for each sink that writes a table which a sink before it writes, unless both say that they share it, or both only
/// add rows.
pub fn shared_tables(pipelines: &[Pipeline], connections: &BTreeMap<String, Connection>) -> Vec<Problem> {
    let mut first: BTreeMap<TableName, (&Pipeline, &Sink)> = BTreeMap::new();
    let mut problems = Vec::new();
    for pipeline in pipelines {
        for (index, sink) in pipeline.sinks.iter().enumerate() {
            let Some(place) = connections.get(&sink.connection).and_then(|on| place(on, &sink.table)) else { continue };
            let Some((other, before)) = first.get(&place) else {
                first.insert(place, (pipeline, sink));
                continue;
            };
            // That its own file names a table twice is said where the file is read.
            let same_words = other.name == pipeline.name && before.connection == sink.connection;
            if !same_words && !may_both_write(before, sink) {
                problems.push(problem(pipeline, index, other));
            }
        }
    }
    problems
}

fn may_both_write(one: &Sink, other: &Sink) -> bool {
    (one.shared && other.shared) || (one.key.is_empty() && other.key.is_empty())
}

fn problem(pipeline: &Pipeline, index: usize, other: &Pipeline) -> Problem {
    let who = match other.name == pipeline.name {
        true => "another sink of this pipeline".to_owned(),
        false => format!("pipeline {}", other.name),
    };
    let found = format!("{:?}, which {who} writes", pipeline.sinks[index].table);
    let want = "a table of its own for each, or `shared = true` in both sinks if no key is ever both's";
    Problem::new(&pipeline.file, format!("sink[{index}].table"), found, want)
}

/// Returns the server's database and the table, in a form to compare; none for a connection that isn't a database.
fn place(connection: &Connection, table: &str) -> Option<TableName> {
    match connection {
        Connection::Mysql { url, .. } => {
            let (server, database) = mysql_place(url.expose());
            let (database, table) = table.split_once('.').unwrap_or((database, table));
            Some((format!("{server}/{database}"), table.to_owned()))
        }
        // SQLite's names have no case.
        Connection::Sqlite { path } => Some((sqlite_place(path), table.to_lowercase())),
        Connection::Kafka { .. } | Connection::Log { .. } | Connection::Hbase { .. } | Connection::Csv { .. } => None,
    }
}

/// `host:port` and the database. Never the user and the password, which come before the last `@`.
fn mysql_place(url: &str) -> (String, &str) {
    let place = url.rsplit_once('@').or_else(|| url.split_once("://")).map_or(url, |(_, place)| place);
    let (place, _) = place.split_once('?').unwrap_or((place, ""));
    let (server, database) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = match server.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, port.to_owned()),
        None => (server, DEFAULT_PORT.to_string()),
    };
    let host = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1".to_owned() } else { host.to_lowercase() };
    (format!("{host}:{port}"), database)
}

/// The file, by the directory that it is in: it may not be there yet.
fn sqlite_place(path: &Path) -> String {
    let directory = path.parent().and_then(|directory| fs::canonicalize(directory).ok());
    let place = fs::canonicalize(path).ok().or_else(|| Some(directory?.join(path.file_name()?)));
    place.as_deref().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    fn mysql(url: &str, table: &str) -> Option<TableName> {
        place(&Connection::Mysql { url: Secret::new(url), time_zone: None, connections: 8 }, table)
    }

    #[test]
    fn a_table_of_mysql_is_the_same_whoever_asks_for_it_and_however_the_server_is_written() {
        let one = mysql("mysql://root:p@w@db.example:3306/live?ssl-mode=DISABLED", "gifts");
        assert_eq!(one, mysql("mysql://other@DB.example/live", "gifts"));
        assert_eq!(one, mysql("mysql://other@db.example/others", "live.gifts"));
        assert_eq!(mysql("mysql://localhost/live", "gifts"), mysql("mariadb://u@127.0.0.1:3306/live", "gifts"));
        for other in ["mysql://root@db.example:3307/live", "mysql://root@db.example/other", "mysql://root@db/live"] {
            assert_ne!(one, mysql(other, "gifts"));
        }
        assert_ne!(one, mysql("mysql://root@db.example/live", "Gifts"));
        assert!(!format!("{one:?}").contains("p@w"));
    }

    #[test]
    fn a_file_is_the_same_by_every_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| Connection::Sqlite { path: directory.path().join(name) };
        let one = place(&path("live.db"), "gifts");
        assert_eq!(one, place(&path("./live.db"), "GIFTS"));
        assert_ne!(one, place(&path("other.db"), "gifts"));
        fs::write(directory.path().join("live.db"), "").unwrap();
        std::os::unix::fs::symlink(directory.path().join("live.db"), directory.path().join("linked.db")).unwrap();
        assert_eq!(place(&path("linked.db"), "gifts"), place(&path("live.db"), "gifts"));
    }
}
