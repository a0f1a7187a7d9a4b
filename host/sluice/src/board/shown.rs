//! What a board shows: one for all its viewers, and what changed between two of them.
//!
//! ```text
//! answers, health ──▶ Shown, the newest only ──changes since what this viewer saw──▶ events
//! ```
//!
//! Each part has a number that changes with it. So a viewer that was slow, and missed some, gets what differs from the newest: however many
//! it missed, it ends with the same picture.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value as Json, json};
use sluice_connectors::query::{ColumnType, QueryRows, Value};

use super::file::{Board, Chart, Panel, Thresholds, Words};
use super::health::Health;

/// The greatest whole number up to which browsers have all of them.
const MOST_EXACT: i64 = 1 << 53;

/// What a board shows at a time.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Number of this picture: it grows.
    pub version: u64,
    pub board: Arc<Board>,
    /// Number of the board's file: another one is another board.
    pub board_version: u64,
    pub panels: Vec<ShownPanel>,
}

/// A panel in it.
#[derive(Debug, Clone)]
pub struct ShownPanel {
    pub content: Arc<Part<Content>>,
    pub content_version: u64,
    pub health: Arc<Part<Health>>,
    pub health_version: u64,
    /// The time of the last answer, in milliseconds since 1970-01-01T00:00:00 UTC.
    pub queried_at: Option<i64>,
    /// The time at which the last question had its answer, or failed.
    pub asked_at: Option<i64>,
}

/// Part of a picture with its JSON, which is made once for all viewers.
#[derive(Debug, PartialEq)]
pub struct Part<T> {
    value: T,
    json: String,
}

impl<T: Serialize> Part<T> {
    /// Makes the JSON.
    pub fn of(value: T) -> Arc<Part<T>> {
        // Neither content nor health can fail to be JSON.
        let json = serde_json::to_string(&value).unwrap_or_else(|_| "{}".to_owned());
        Arc::new(Part { value, json })
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Content of a panel, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content {
    pub title: Words,
    pub chart: Chart,
    pub unit: Option<Words>,
    pub thresholds: Option<Thresholds>,
    pub label: Option<String>,
    pub values: Vec<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Json>>,
    pub truncated: bool,
    pub error: Option<String>,
}

/// A column of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub of: &'static str,
}

impl Content {
    /// A panel before its first answer.
    pub fn empty(panel: &Panel) -> Content {
        Content {
            title: panel.title.clone(),
            chart: panel.chart,
            unit: panel.unit.clone(),
            thresholds: panel.thresholds,
            label: panel.label.clone(),
            values: panel.values.clone(),
            columns: Vec::new(),
            rows: Vec::new(),
            truncated: false,
            error: panel.question.as_ref().err().cloned(),
        }
    }

    /// The same with an answer's rows; with an error, if it hasn't the panel's columns.
    pub fn with_rows(panel: &Panel, answer: QueryRows) -> Content {
        let mut content = Content::empty(panel);
        let columns =
            answer.columns.iter().map(|column| Column { name: column.name.clone(), of: type_name(column.of) });
        content.columns = columns.collect();
        content.rows = answer.rows.into_iter().map(|row| row.into_iter().map(json_of).collect()).collect();
        content.truncated = answer.truncated;
        match content.resolve(panel) {
            Ok((label, values)) => (content.label, content.values) = (label, values),
            Err(error) => content.error = Some(error),
        }
        content
    }

    /// The same rows, and why there are no newer ones.
    pub fn with_error(&self, error: String) -> Content {
        Content { error: Some(error), ..self.clone() }
    }

    /// The columns of labels and values, as the panel says or as they stand.
    fn resolve(&self, panel: &Panel) -> Result<(Option<String>, Vec<String>), String> {
        let named = |name: &String| -> Result<&Column, String> {
            let column = self.columns.iter().find(|column| column.name == *name);
            let column = column.or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)));
            column.ok_or_else(|| {
                let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
                format!("the answer has no column `{name}`; it has {}", names.join(", "))
            })
        };
        let label = panel.label.as_ref().map(named).transpose()?.or(self.columns.first());
        let usual = if self.columns.len() == 1 {
            self.columns.first()
        } else {
            self.columns.iter().find(|column| Some(*column) != label)
        };
        let values: Vec<&Column> = match panel.values.as_slice() {
            [] => usual.into_iter().collect(),
            names => names.iter().map(named).collect::<Result<_, _>>()?,
        };
        for column in &values {
            let index = self.columns.iter().position(|other| other == *column).unwrap_or(0);
            let empty = || self.rows.iter().all(|row| row.get(index).is_none_or(Json::is_null));
            if panel.chart != Chart::Table && column.of != "number" && !empty() {
                let (name, of) = (&column.name, column.of);
                return Err(format!(
                    "the column `{name}` is of type {of}, and a chart shows numbers: name another one as `value`, or let `chart` be \
                     \"table\""
                ));
            }
        }
        Ok((label.map(|column| column.name.clone()), values.into_iter().map(|column| column.name.clone()).collect()))
    }
}

fn type_name(of: ColumnType) -> &'static str {
    match of {
        ColumnType::Text => "text",
        ColumnType::Number => "number",
        ColumnType::Time => "time",
        ColumnType::Date => "date",
    }
}

fn json_of(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) if (-MOST_EXACT..=MOST_EXACT).contains(&number) => number.into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Float(number) => number.into(),
        Value::Digits(text) | Value::Text(text) => text.into(),
    }
}

/// What a viewer has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    board: u64,
    /// The numbers of content and health.
    panels: Vec<(u64, u64)>,
}

/// A change since then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Everything is to be sent.
    Board,
    /// A panel has another content.
    Panel(usize),
    /// These panels have another health or age, and the same content.
    Health(Vec<usize>),
}

impl Shown {
    /// What differs from what was seen.
    pub fn changes(&self, seen: Option<&Seen>) -> Vec<Change> {
        let Some(seen) = seen.filter(|seen| seen.board == self.board_version && seen.panels.len() == self.panels.len())
        else {
            return vec![Change::Board];
        };
        let (mut changes, mut healths) = (Vec::new(), Vec::new());
        for (index, (panel, (content, health))) in self.panels.iter().zip(&seen.panels).enumerate() {
            if panel.content_version != *content {
                changes.push(Change::Panel(index));
            } else if panel.health_version != *health {
                healths.push(index);
            }
        }
        if !healths.is_empty() {
            changes.push(Change::Health(healths));
        }
        changes
    }

    /// What a viewer has seen once it has all of this.
    pub fn seen(&self) -> Seen {
        let panels = self.panels.iter().map(|panel| (panel.content_version, panel.health_version));
        Seen { board: self.board_version, panels: panels.collect() }
    }

    /// Says whether every question was answered since this time.
    pub fn is_since(&self, time: i64) -> bool {
        let asks = |index: usize| self.board.panels.get(index).is_some_and(|panel| panel.question.is_ok());
        self.panels.iter().enumerate().all(|(index, panel)| !asks(index) || panel.asked_at.is_some_and(|at| at >= time))
    }

    /// The whole picture as JSON.
    pub fn json(&self, now: i64) -> String {
        let board = &self.board;
        let head = json!({
            "name": board.name, "title": board.title, "refresh_ms": u64::try_from(board.refresh.as_millis()).unwrap_or(u64::MAX),
            "zone": board.zone_name, "now": now, "map": board.map.is_some(), "error": board.error,
        });
        let panels: Vec<String> = self.panels.iter().map(ShownPanel::json).collect();
        let head = head.to_string();
        format!("{},\"panels\":[{}]}}", head.trim_end_matches('}'), panels.join(","))
    }

    /// The events of these changes.
    pub fn events(&self, changes: &[Change], now: i64) -> String {
        let mut events = String::new();
        for change in changes {
            let (name, data) = match change {
                Change::Board => ("board", self.json(now)),
                Change::Panel(index) => {
                    ("panel", format!("{{\"now\":{now},\"index\":{index},\"panel\":{}}}", self.panels[*index].json()))
                }
                Change::Health(indices) => {
                    let health = |index: &usize| format!("{{\"index\":{index},{}}}", self.panels[*index].health_json());
                    let panels: Vec<String> = indices.iter().map(health).collect();
                    ("health", format!("{{\"now\":{now},\"panels\":[{}]}}", panels.join(",")))
                }
            };
            // Writing to a String can't fail. JSON has no line breaks.
            let _ = write!(events, "event: {name}\nid: {}\ndata: {data}\n\n", self.version);
        }
        events
    }
}

impl ShownPanel {
    fn json(&self) -> String {
        let content = &self.content.json;
        format!("{},{}}}", content.strip_suffix('}').unwrap_or(content), self.health_json())
    }

    /// The members of an object that tell the panel's age.
    fn health_json(&self) -> String {
        let queried_at = self.queried_at.map_or("null".to_owned(), |at| at.to_string());
        format!("\"queried_at\":{queried_at},\"health\":{}", self.health.json)
    }
}
