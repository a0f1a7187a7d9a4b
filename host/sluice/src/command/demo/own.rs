//! Removal of an earlier demo's data before a demo begins: of whatever that demo made, and of nothing that isn't marked as such.
//!
//! | place            | what is a demo's                                          | its mark               |
//! |------------------|-----------------------------------------------------------|------------------------|
//! | events           | the directories of the two topics                         | the file `.sluice-demo` |
//! | state            | checkpoints and histories of the configuration's pipelines | the file `.sluice-demo` |
//! | SQLite database  | the tables that these pipelines write                     | the table `sluice_demo` |

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sluice_connectors::generator::Stream;
use sluice_connectors::transaction;
use sluice_core::checkpoint::CheckpointStore as _;
use sluice_store::Store;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::checkpoints;
use crate::config::Config;

/// Marks a directory.
const MARK: &str = ".sluice-demo";

/// Marks a database.
const MARK_TABLE: &str = "sluice_demo";

/// Places of a demo's data.
pub struct Own<'a> {
    pub config: &'a Config,
    pub events: &'a Path,
    /// The name of the connection to the database, and its file.
    pub connection: &'a str,
    pub database: &'a Path,
}

impl Own<'_> {
    /// Removes what the demo before made, and says so first; marks what this one makes. Where there is anything that isn't marked, or
    /// another host has the checkpoints, it removes nothing.
    pub async fn begin_anew(&self) -> anyhow::Result<()> {
        let store = checkpoints::open(self.config)?;
        let topics: Vec<PathBuf> = self.topics().filter(|topic| topic.exists()).collect();
        let pipelines = self.pipelines(&store)?;
        let mut database = self.open_database().await?;
        let there = tables(&mut database).await?;
        let own: Vec<&String> = self.tables().into_iter().filter_map(|table| there.get(&table)).collect();
        let found = [
            (topics.iter().map(|topic| topic.display().to_string()).collect::<Vec<_>>(), is_marked(self.events)),
            (
                pipelines
                    .iter()
                    .map(|name| format!("the checkpoint of {name} in {}", self.config.state.display()))
                    .collect(),
                is_marked(&self.config.state),
            ),
            (
                own.iter().map(|table| format!("the table {table} in {}", self.database.display())).collect(),
                there.contains(MARK_TABLE),
            ),
        ];
        may_be_removed(&found)?;
        for topic in &topics {
            std::fs::remove_dir_all(topic).with_context(|| format!("{} can't be removed", topic.display()))?;
        }
        for name in &pipelines {
            store.reset(name)?;
        }
        for pipeline in &self.config.pipelines {
            store.histories().forget(&pipeline.name)?;
        }
        for table in own {
            run(&mut database, &format!("DROP TABLE {}", quoted(table))).await?;
        }
        run(&mut database, &format!("CREATE TABLE IF NOT EXISTS {MARK_TABLE} (made_by TEXT)")).await?;
        database.close().await?;
        mark(self.events)?;
        mark(&self.config.state)
    }

    fn topics(&self) -> impl Iterator<Item = PathBuf> {
        [Stream::Entry, Stream::Gift].into_iter().map(|stream| self.events.join(stream.topic()))
    }

    /// Returns the pipelines that have a checkpoint.
    fn pipelines(&self, store: &Store) -> anyhow::Result<Vec<String>> {
        let stored = store.pipelines()?;
        let names = self.config.pipelines.iter().map(|pipeline| pipeline.name.clone());
        Ok(names.filter(|name| stored.contains(name)).collect())
    }

    /// Returns the tables that the pipelines write.
    fn tables(&self) -> BTreeSet<String> {
        let pipelines = &self.config.pipelines;
        let sinks = pipelines.iter().flat_map(|pipeline| &pipeline.sinks);
        let sinks = sinks.filter(|sink| sink.connection == self.connection).map(|sink| sink.table.as_str());
        let letters = pipelines.iter().filter_map(|pipeline| pipeline.dead_letters.as_ref()?.table_of(self.connection));
        sinks.chain(letters).chain([transaction::TABLE]).map(str::to_lowercase).collect()
    }

    /// Opens the database; makes it if it is missing, for this user alone.
    async fn open_database(&self) -> anyhow::Result<SqliteConnection> {
        if let Some(directory) = self.database.parent() {
            std::fs::create_dir_all(directory).with_context(|| format!("{} can't be made", directory.display()))?;
        }
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.database);
        match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("{} can't be made", self.database.display()));
            }
            _ => {}
        }
        let options = SqliteConnectOptions::new().filename(self.database);
        SqliteConnection::connect_with(&options).await.with_context(|| self.database.display().to_string())
    }
}

/// Refuses where there are data that no demo has marked as its own; says what is to be removed where all are marked.
fn may_be_removed(found: &[(Vec<String>, bool)]) -> anyhow::Result<()> {
    let all = |marked: bool| -> Vec<&str> {
        found.iter().filter(|(_, is)| *is == marked).flat_map(|(names, _)| names).map(String::as_str).collect()
    };
    let foreign = all(false);
    if !foreign.is_empty() {
        bail!(
            "a demo begins without data, but these data aren't a demo's: {}. Nothing was removed: remove them yourself, or run the \
             demo with the file of a service of its own (--config)",
            foreign.join(", ")
        );
    }
    let own = all(true);
    if !own.is_empty() {
        tracing::info!("the demo begins with nothing: it removes what the last one made: {}", own.join(", "));
    }
    Ok(())
}

/// The names of all tables, in small letters, as SQLite compares them.
async fn tables(database: &mut SqliteConnection) -> anyhow::Result<BTreeSet<String>> {
    let names = sqlx::query_scalar("SELECT lower(name) FROM sqlite_master WHERE type = 'table'");
    Ok(names.fetch_all(database).await?.into_iter().collect())
}

async fn run(database: &mut SqliteConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database).await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn is_marked(directory: &Path) -> bool {
    directory.join(MARK).exists()
}

fn mark(directory: &Path) -> anyhow::Result<()> {
    let mark = directory.join(MARK);
    std::fs::create_dir_all(directory).with_context(|| format!("{} can't be made", directory.display()))?;
    let said = "`sluice demo` made what is here, and removes it when it begins again.\n";
    std::fs::write(&mark, said).with_context(|| format!("{} can't be made", mark.display()))
}
