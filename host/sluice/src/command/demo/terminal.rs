//! The demo's view in the terminal: pipelines and results, once a second.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_clock::Stopwatch;
use sluice_core::deploy::Deployment;
use sluice_core::{printable, time};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::config::Config;
use crate::numbers::grouped;
use crate::pipeline::Snapshot;
use crate::pipeline::deployments::{outcome, short, shown as operators};
use crate::running::Statuses;

/// Time between two drawings of a terminal.
const FRAME: Duration = Duration::from_secs(1);
/// Time between two printings of lines, where there is no terminal to draw on.
const LINES: Duration = Duration::from_secs(5);
/// Number of rows of a result that are shown.
const SHOWN: usize = 10;
/// Number of deployments that are shown.
const SHOWN_DEPLOYMENTS: usize = 4;

/// A result in the view.
struct Panel {
    title: &'static str,
    sql: &'static str,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "gifts by type",
        sql: "SELECT gift_type, gift_total_amount FROM live_gift_total_amount ORDER BY CAST(gift_type AS INTEGER)",
    },
    Panel {
        title: "entries by module",
        sql: "SELECT module_id, module_number_count FROM live_module_number_count ORDER BY module_id",
    },
    Panel {
        title: "latest visits",
        sql: "SELECT arrive_time, province || '  user ' || user_id || '  room ' || room_id FROM live_streaming_log \
              ORDER BY arrive_time DESC, user_id",
    },
];

/// View of the pipelines' status and the rows of their tables.
pub struct Terminal {
    database: PathBuf,
    statuses: Statuses,
    /// Address of the board; none if there is none.
    page: Option<String>,
    started: Stopwatch,
}

impl Terminal {
    pub fn new(database: PathBuf, statuses: Statuses, page: Option<String>) -> Terminal {
        Terminal { database, statuses, page, started: Stopwatch::start() }
    }

    /// Draws until dropped.
    pub async fn show(&self) -> anyhow::Result<()> {
        let terminal = std::io::stdout().is_terminal();
        let mut beats = tokio::time::interval(if terminal { FRAME } else { LINES });
        loop {
            beats.tick().await;
            let frame = self.frame().await;
            // Home, the frame, and nothing of the last one below it.
            let frame = if terminal { format!("\x1b[H\x1b[2J{frame}\nCtrl-C ends it.\n") } else { frame + "\n" };
            print(&frame)?;
        }
    }

    /// Shows the last table, and what to do next.
    pub async fn last(&self, config: &Config) -> anyhow::Result<()> {
        let frame = self.frame().await;
        let [database, operators, toml, pipelines] =
            [&self.database, &config.operators, &config.file, &config.pipelines_dir].map(|path| shown(path));
        let next = format!(
            "\nThe results stay in {database}\n\
             Try next:\n\
             \x20 sqlite3 {database} 'SELECT * FROM live_gift_total_amount'\n\
             \x20 dist/sluice inspect {operators}/gift_sum.wasm --input gift_type:int64,gift_total_amount:int64\n\
             \x20 dist/sluice run --config {toml}     the service, on the records that are there\n\
             \x20 make demo, and while it runs in another terminal: change a line of plugins/gift_sum/src/lib.rs, then\n\
             \x20 make plugins     the running pipeline takes the new operator over, with its totals (#2 in the list)\n\
             \x20 dist/sluice status --config {toml}     what runs, since when; then back to what ran before:\n\
             \x20 dist/sluice rollback gift_sum --config {toml}\n\
             The pipelines are in {pipelines}; docs/author-guide.md shows how to write a metric of your own.\n"
        );
        print(&(frame + &next))
    }

    async fn frame(&self) -> String {
        let snapshots: Vec<Snapshot> = self.statuses.borrow().iter().map(|handle| handle.status.snapshot()).collect();
        let page = self.page.as_ref().map(|page| format!("the board: {page}   ")).unwrap_or_default();
        let mut text = format!("{page}Sluice, {} s\n\n", self.started.elapsed().as_secs());
        pipelines(&mut text, &snapshots);
        text.push('\n');
        deployments(&mut text, &snapshots);
        columns(&mut text, &self.results().await);
        text
    }

    /// Returns the lines of each panel; a table that isn't there yet has none.
    async fn results(&self) -> Vec<Vec<String>> {
        let options = SqliteConnectOptions::new().filename(&self.database).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.ok();
        let mut panels = Vec::with_capacity(PANELS.len());
        for panel in &PANELS {
            let mut lines = vec![panel.title.to_owned(), "─".repeat(panel.title.len())];
            if let Some(connection) = &mut connection {
                lines.extend(rows(connection, panel.sql).await.unwrap_or_default());
            }
            panels.push(lines);
        }
        panels
    }
}

/// A path as people would type it here: without `..`, and without the directory that they are in.
fn shown(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().unwrap_or_default();
    whole.strip_prefix(here).unwrap_or(&whole).display().to_string()
}

async fn rows(connection: &mut SqliteConnection, sql: &str) -> sqlx::Result<Vec<String>> {
    let sql = format!("SELECT CAST(a AS TEXT), CAST(b AS TEXT) FROM (SELECT * FROM ({}) LIMIT {SHOWN})", named(sql));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let line = |row: &sqlx::sqlite::SqliteRow| -> sqlx::Result<String> {
        let (a, b): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let cell = format!("{:<4} {:>8}", a.unwrap_or_default(), b.unwrap_or_default());
        Ok(printable(&cell).into_owned())
    };
    rows.iter().map(line).collect()
}

/// Gives a panel's two columns names.
fn named(sql: &str) -> String {
    format!("WITH panel(a, b) AS ({sql}) SELECT a, b FROM panel")
}

fn pipelines(text: &mut String, snapshots: &[Snapshot]) {
    let _ = writeln!(
        text,
        "{:<21}{:<9}{:>10}{:>10}{:>9}{:>7}{:>10}  operator",
        "pipeline", "state", "records", "a second", "rows", "lag", "rejected"
    );
    for s in snapshots {
        let lag = s.figures.lag.map_or_else(|| "?".to_owned(), grouped);
        let operator = s.deployed.operator.as_ref().map_or_else(String::new, |operator| {
            let trial = if s.deployed.on_trial { ", on trial" } else { "" };
            let pinned = if s.deployed.pinned { ", pinned" } else { "" };
            format!("{} {} #{}{trial}{pinned}", operator.name, short(&operator.digest), operator.generation)
        });
        let state = format!("{:?}", s.activity.state).to_lowercase();
        let counts = [
            grouped(s.figures.records),
            grouped(s.rate.round() as u64),
            grouped(s.figures.rows),
            lag,
            grouped(s.figures.rejected),
        ];
        let [records, rate, rows, lag, rejected] = counts;
        let _ = writeln!(
            text,
            "{:<21}{state:<9}{records:>10}{rate:>10}{rows:>9}{lag:>7}{rejected:>10}  {operator}",
            s.name
        );
        for reason in [&s.activity.reason, &s.deployed.refused].into_iter().flatten() {
            let _ = writeln!(text, "                {}", printable(reason));
        }
    }
}

/// Writes the last deployments of all pipelines, the newest first. The first deployment of each pipeline is left out.
fn deployments<'a>(text: &mut String, snapshots: &'a [Snapshot]) {
    let of = |s: &'a Snapshot| s.deployed.deployments.iter().map(|deployment| (s.name.as_str(), deployment));
    let mut all: Vec<(&str, &Deployment)> = snapshots.iter().flat_map(of).collect();
    all.retain(|(_, deployment)| deployment.generation > 1);
    all.sort_by_key(|(_, deployment)| std::cmp::Reverse(deployment.time));
    for (pipeline, deployment) in all.iter().take(SHOWN_DEPLOYMENTS) {
        let reason = deployment.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", printable(reason)));
        let _ = writeln!(
            text,
            "{pipeline} #{} {} at {} UTC, {}{reason}",
            deployment.generation,
            outcome(deployment.outcome),
            clock(deployment.time),
            operators(&deployment.operators)
        );
    }
    if !all.is_empty() {
        text.push('\n');
    }
}

/// The time of a day.
fn clock(micros: i64) -> String {
    time::shown(micros).and_then(|shown| Some(shown.get(11..19)?.to_owned())).unwrap_or_default()
}

/// Panels side by side.
fn columns(text: &mut String, panels: &[Vec<String>]) {
    let height = panels.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        for panel in panels {
            let cell = panel.get(line).map_or("", String::as_str);
            let _ = write!(text, "{cell:<24}");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
