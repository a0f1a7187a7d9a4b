//! `boards/NAME.toml`: what a board shows, or what is wrong with it.
//!
//! A board whose file has a problem is shown all the same: what is wrong stands where it is wrong, on the board or in the panel, and
//! the other panels live on.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;

use super::parameter::{self, Parameter};
use crate::config::nearest::{one_of, suggest};
use crate::config::reader::{self, Item, Section};
use crate::config::{self, Declared, Problem, value};
use crate::connection::{ByName, Role};

/// The most panels of a board. Fewer: two boards for one wall. More: nobody reads them, and each asks a server.
const MAX_PANELS: usize = 32;

/// The most series of a panel.
const MAX_VALUES: usize = 16;

/// The most pipelines that a panel names.
const MAX_PIPELINES: usize = 32;

/// The longest title or unit, in characters.
const MAX_TITLE: usize = 120;

/// Bounds of the time between two queries of a panel, and what it is unless the file says otherwise. Shorter: servers are busy with
/// what nobody can read. Longer: the board is not alive.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
const USUAL_REFRESH: Duration = Duration::from_secs(3);

/// Bounds of `stale_after`, and what it is unless the file says otherwise: ten times what a row takes to its table, usually.
const STALE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));
const USUAL_STALE: Duration = Duration::from_secs(30);

/// The most rows of a panel, and how many unless the file says otherwise.
const MAX_ROWS: u32 = 10_000;
const USUAL_ROWS: u32 = 1_000;

/// The largest map. Smaller: borders of a country don't fit. Larger: a phone doesn't draw it.
const MAX_MAP_BYTES: usize = 2 << 20;

/// A board.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The file's name without `.toml`.
    pub name: String,
    pub title: Words,
    /// Time between two queries of a panel.
    pub refresh: Duration,
    /// The zone of the times.
    pub zone: TimeZone,
    pub zone_name: String,
    /// GeoJSON for maps.
    pub map: Option<Bytes>,
    /// What is wrong with the board's own keys.
    pub error: Option<String>,
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: Words,
    pub chart: Chart,
    pub unit: Option<Words>,
    pub thresholds: Option<Thresholds>,
    /// The column of the labels; none for the first.
    pub label: Option<String>,
    /// The columns of the values; empty for the second.
    pub values: Vec<String>,
    /// How old its data may be.
    pub stale_after: Duration,
    /// The pipelines whose rows it shows; none for those whose tables its statement names.
    pub pipelines: Option<Vec<String>>,
    /// The question, or what is wrong with the panel.
    pub question: Result<Question, String>,
}

/// What a panel asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub connection: String,
    pub sql: String,
    pub rows: usize,
    /// The parameters by their names.
    pub parameters: Vec<(String, Parameter)>,
    /// The words of the statement, in small letters: its tables are among them.
    pub words: BTreeSet<String>,
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

impl Words {
    pub fn same(text: &str) -> Words {
        Words { zh: text.to_owned(), en: text.to_owned() }
    }

    /// The text in this language.
    pub fn of(&self, language: &str) -> &str {
        if language == "zh" { &self.zh } else { &self.en }
    }
}

/// Kind of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    Map,
    Pie,
    Bar,
    Line,
    Ranking,
    Number,
    Table,
}

const CHARTS: [(&str, Chart); 7] = [
    ("map", Chart::Map),
    ("pie", Chart::Pie),
    ("bar", Chart::Bar),
    ("line", Chart::Line),
    ("ranking", Chart::Ranking),
    ("number", Chart::Number),
    ("table", Chart::Table),
];

/// Values from which on, or down to which, a figure is marked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    pub warn: f64,
    pub alarm: f64,
}

/// Reads a file beside a board.
pub type Beside<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// A board's file that was read, and the files that it names.
pub struct Found<'a> {
    /// The text, as the file system gave it.
    pub text: io::Result<Vec<u8>>,
    pub beside: Beside<'a>,
}

/// The board, and its problems; no board of a file that isn't one at all, as TOML.
pub fn parse(path: &Path, found: Found<'_>, connections: &ByName) -> (Option<Board>, Vec<Problem>) {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let text = match config::file_text(path, found.text) {
        Ok(text) => text,
        Err(problem) => return (None, vec![problem]),
    };
    // A variable of the environment may be a secret, and what is here is shown.
    let reading =
        reader::read(path, &text, &|_| None, |section| Some(board(section, name, path, found.beside, connections)));
    let board = reading.value.filter(|_| reading.well_formed);
    let board = board.map(|board| with_problems(board, path, &reading.problems));
    (board, reading.problems)
}

/// A board of a file that can't be read: nothing but what is wrong.
pub fn broken(path: &Path, problems: &[Problem]) -> Board {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    Board {
        name: name.to_owned(),
        title: Words::same(name),
        refresh: USUAL_REFRESH,
        zone: TimeZone::UTC,
        zone_name: "UTC".to_owned(),
        map: None,
        error: said(path, problems.iter()),
        panels: Vec::new(),
    }
}

/// Puts each problem where it is.
fn with_problems(mut board: Board, path: &Path, problems: &[Problem]) -> Board {
    let is_of = |problem: &Problem, index: usize| {
        let rest = problem.key.strip_prefix(&format!("panel[{index}]"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for (index, panel) in board.panels.iter_mut().enumerate() {
        if let Some(error) = said(path, problems.iter().filter(|problem| is_of(problem, index))) {
            panel.question = Err(error);
        }
    }
    let panels = board.panels.len();
    board.error = said(path, problems.iter().filter(|problem| !(0..panels).any(|index| is_of(problem, index))));
    board
}

/// The problems in words, with the file's name and without its directory, which is nobody's business.
pub fn said<'a>(path: &Path, problems: impl Iterator<Item = &'a Problem>) -> Option<String> {
    let file = Path::new(path.file_name().unwrap_or_default());
    let lines: Vec<String> =
        problems.map(|problem| Problem { file: file.to_owned(), ..problem.clone() }.to_string()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn board(section: &Section<'_>, name: &str, path: &Path, beside: Beside<'_>, connections: &ByName) -> Board {
    let title = section.or("title", None, |item| words(&item).map(Some)).flatten();
    let refresh = section.or("refresh", USUAL_REFRESH, |item| value::duration(&item, REFRESH.0, REFRESH.1));
    let (zone, zone_name) = zone(section);
    let map = section.or("map", None, |item| map(&item, path, beside).map(Some)).flatten();
    let declared = Declared::of(connections);
    let panels = section.required("panel", "a table [[panel]] for each panel", |item| {
        let items = item.list("a table [[panel]] for each panel", MAX_PANELS)?;
        Some(items.iter().enumerate().map(|(index, item)| panel(index, item, &declared, connections)).collect())
    });
    Board {
        name: name.to_owned(),
        title: title.unwrap_or_else(|| Words::same(name)),
        refresh: refresh.unwrap_or(USUAL_REFRESH),
        zone,
        zone_name,
        map,
        error: None,
        panels: panels.unwrap_or_default(),
    }
}

/// The zone, and its name. That of this machine unless the file says otherwise: clocks on walls, and what writes their times down,
/// show it.
fn zone(section: &Section<'_>) -> (TimeZone, String) {
    let named = section.or("zone", None, |item| {
        item.parse(r#"a time zone such as "Asia/Shanghai" or "UTC""#, |text| {
            TimeZone::get(text).ok().map(|zone| Some((zone, text.to_owned())))
        })
    });
    named.flatten().unwrap_or_else(|| {
        let zone = TimeZone::system();
        let name = zone.iana_name().unwrap_or("UTC").to_owned();
        // One without a name can't be told to a browser.
        if zone.iana_name().is_some() { (zone, name) } else { (TimeZone::UTC, name) }
    })
}

fn map(item: &Item<'_>, path: &Path, beside: Beside<'_>) -> Option<Bytes> {
    let want = r#"a GeoJSON file beside the board such as "china.json""#;
    let file = item.parse(want, |text| {
        let name = Path::new(text);
        // Nothing of another directory is shown.
        (name.file_name() == Some(name.as_os_str())).then(|| path.with_file_name(text))
    })?;
    let bytes = match beside(&file) {
        Ok(bytes) => bytes,
        Err(error) => {
            item.problem(format!("{}, which can't be read ({error})", item.shown()), want);
            return None;
        }
    };
    if bytes.len() > MAX_MAP_BYTES {
        item.problem("a file that is too large", "at most 2 MiB: a map with fewer points");
        return None;
    }
    if !is_map(&bytes) {
        let want = "GeoJSON: a FeatureCollection whose features have `properties.name`";
        item.problem(format!("{}, which is no map", item.shown()), want);
        return None;
    }
    Some(Bytes::from(bytes))
}

fn is_map(bytes: &[u8]) -> bool {
    let Ok(map) = serde_json::from_slice::<Value>(bytes) else { return false };
    let features = map["features"].as_array();
    map["type"] == "FeatureCollection"
        && features.is_some_and(|all| all.iter().all(|feature| feature["properties"]["name"].is_string()))
}

/// A panel; what is wrong with it is noted, and said in its place.
fn panel(index: usize, item: &Item<'_>, declared: &Declared, connections: &ByName) -> Panel {
    let unread = Panel {
        title: Words::same(&format!("{}", index + 1)),
        chart: Chart::Table,
        unit: None,
        thresholds: None,
        label: None,
        values: Vec::new(),
        stale_after: USUAL_STALE,
        pipelines: None,
        question: Err(String::new()),
    };
    item.table("a table [[panel]]", |section| Some(read_panel(section, &unread, declared, connections)))
        .unwrap_or(unread)
}

fn read_panel(section: &Section<'_>, unread: &Panel, declared: &Declared, connections: &ByName) -> Panel {
    let title = section.required("title", TITLE, |item| words(&item));
    let connection = section.required("connection", "a connection's name", |item| {
        declared.resolve(&item, Role::Board).map(|(name, _)| name)
    });
    let charts = CHARTS.map(|(word, _)| word);
    let chart = section.required("chart", &one_of(&charts), |item| item.choice(&CHARTS));
    let rows = section.or("limit", USUAL_ROWS, |item| item.whole(1, MAX_ROWS));
    let question = section.required("sql", "a statement such as \"SELECT room_id, n FROM gifts\"", |item| {
        let sql = item.text("a statement")?;
        question(&item, sql, connection.as_deref(), rows.unwrap_or(USUAL_ROWS), connections)
    });
    let label = section.or("label", None, |item| item.parse(value::COLUMN, column).map(Some));
    let values = section.or("value", Vec::new(), |item| columns(&item));
    let unit = section.or("unit", None, |item| words(&item).map(Some));
    let thresholds = section.or("thresholds", None, |item| {
        item.table("a table such as { warn = 1000, alarm = 5000 }", |section| {
            let number = |key| section.required(key, "a number", |item| item.number());
            let (warn, alarm) = (number("warn"), number("alarm"));
            Some(Some(Thresholds { warn: warn?, alarm: alarm? }))
        })
    });
    let pipelines = section.or("pipelines", None, |item| names(&item).map(Some));
    let stale_after = section.or("stale_after", USUAL_STALE, |item| value::duration(&item, STALE.0, STALE.1));
    Panel {
        title: title.unwrap_or_else(|| unread.title.clone()),
        chart: chart.unwrap_or(unread.chart),
        unit: unit.flatten(),
        thresholds: thresholds.flatten(),
        label: label.flatten(),
        values: values.unwrap_or_default(),
        stale_after: stale_after.unwrap_or(USUAL_STALE),
        pipelines: pipelines.flatten(),
        question: question.ok_or_else(String::new),
    }
}

/// The question, if its statement is one that only reads and whose parameters there are.
fn question(
    item: &Item<'_>,
    sql: String,
    connection: Option<&str>,
    rows: u32,
    connections: &ByName,
) -> Option<Question> {
    let connection = connection?;
    let role = connections.get(connection)?.queries()?;
    let names = match role.read_statement(&sql) {
        Ok(names) => names,
        Err(error) => {
            item.problem(format!("a statement that is refused: {error}"), "one SELECT");
            return None;
        }
    };
    let mut parameters = Vec::new();
    for name in names.parameters {
        let Some(parameter) = Parameter::of(&name) else {
            item.problem(format!("the parameter :{name}"), suggest(&name, &parameter::NAMES));
            continue;
        };
        parameters.push((name, parameter));
    }
    Some(Question { connection: connection.to_owned(), sql, rows: rows as usize, parameters, words: names.words })
}

const TITLE: &str = r#"a text, or { zh = "礼物", en = "Gifts" }"#;

fn words(item: &Item<'_>) -> Option<Words> {
    let fits = |text: &str| (1..=MAX_TITLE).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let text = |item: &Item<'_>| {
        item.parse("a text of 1 to 120 characters on one line", |text| fits(text).then(|| text.to_owned()))
    };
    if !item.is_table() {
        return text(item).map(|text| Words::same(&text));
    }
    item.table(TITLE, |section| {
        let (zh, en) = (section.optional("zh"), section.optional("en"));
        if zh.is_none() && en.is_none() {
            section.item().problem("neither of them", TITLE);
        }
        let (zh, en) = (zh.map(|item| text(&item)), en.map(|item| text(&item)));
        let (zh, en) = (zh.clone().or_else(|| en.clone())?, en.or(zh)?);
        Some(Words { zh: zh?, en: en? })
    })
}

fn column(text: &str) -> Option<String> {
    value::is_column(text).then(|| text.to_owned())
}

/// One column, or several.
fn columns(item: &Item<'_>) -> Option<Vec<String>> {
    let want = r#"a column's name such as "n", or an array of them"#;
    if item.raw().as_str().is_some() {
        return item.parse(value::COLUMN, column).map(|name| vec![name]);
    }
    item.list(want, MAX_VALUES)?.into_iter().map(|item| item.parse(value::COLUMN, column)).collect()
}

fn names(item: &Item<'_>) -> Option<Vec<String>> {
    let items = item.list(r#"an array of pipelines such as ["gift_sum"]"#, MAX_PIPELINES)?;
    let name = |item: Item<'_>| item.parse(value::NAME, |text| value::is_name(text).then(|| text.to_owned()));
    items.into_iter().map(name).collect()
}
