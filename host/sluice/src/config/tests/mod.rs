//! Files as people write them, and what comes of them.

mod example;
mod laws;
mod problems;
mod secrets;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Config, Problems, load};

/// A sluice.toml with a connection of each type.
const SERVICE: &str = r#"
[connections]
events = { kafka = { brokers = "127.0.0.1:9092" } }
log = { log = { directory = "data" } }
dimensions = { hbase = { thrift = "127.0.0.1:9090" } }
tables = { csv = { directory = "tables" } }
livedb = { mysql = { url = "mysql://root:pw@127.0.0.1:3306/live" } }
lite = { sqlite = { path = "live.db" } }
"#;

/// A pipeline without a fault, and with what only such a one allows to check: a key that is known to be there.
const PIPELINE: &str = r#"
[source]
connection = "events"
topic = "gifts"
group = "g"
start = "earliest"
columns = { id = "int64", at = "timestamp" }
[[sink]]
connection = "livedb"
table = "gifts"
key = ["id"]
"#;

/// A directory with a sluice.toml and pipelines of these names.
fn directory(service: &str, pipelines: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("sluice.toml"), service).unwrap();
    fs::create_dir(directory.path().join("pipelines")).unwrap();
    for (name, text) in pipelines {
        fs::write(directory.path().join("pipelines").join(name), text).unwrap();
    }
    directory
}

fn env(name: &str) -> Option<String> {
    match name {
        "FOUR" => Some("4s".to_owned()),
        "WORD" => Some("topsecret".to_owned()),
        _ => None,
    }
}

fn load_from(directory: &Path) -> Result<Config, Problems> {
    load(&directory.join("sluice.toml"), &env)
}

/// The problems of these files, as lines without the directory's name.
fn lines(service: &str, pipelines: &[(&str, &str)]) -> Vec<String> {
    let directory = directory(service, pipelines);
    let problems = match load_from(directory.path()) {
        Ok(_) => Problems(Vec::new()),
        Err(problems) => problems,
    };
    let prefix = format!("{}/", directory.path().display());
    problems.to_string().lines().map(|line| line.replace(&prefix, "")).collect()
}
