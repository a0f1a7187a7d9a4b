//! `[[sink]]`: the tables and topics that a pipeline writes.

use std::time::Duration;

use sluice_core::Field;

use super::declared::Declared;
use super::nearest::suggest;
use super::reader::{Item, Section};
use super::value;
use crate::connection::{Place, Role};

/// The most sinks of a pipeline: each holds a flush's rows.
pub const MAX_SINKS: usize = 16;

/// The most columns of a key: MySQL's limit for an index.
const MAX_KEY: usize = 16;

/// The most rows of a flush, which are held in memory until the table has them.
const MAX_FLUSH_ROWS: u32 = 1_000_000;

/// The longest time between flushes: what a restart has to do again.
const MAX_FLUSH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The most attempts before a pipeline is held; it goes on by itself in any case.
const MAX_RETRIES: u32 = 1_000;

/// A table that a pipeline writes. A topic counts as the table of its keys' last records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// The connection.
    pub connection: String,
    /// The form of the connection's tables.
    pub place: Place,
    /// The table, or the topic.
    pub table: String,
    /// The columns that identify a row; names are distinct. At least one, unless rows are written in transactions or to a topic.
    pub key: Vec<String>,
    /// Way in which rows are written.
    pub delivery: Delivery,
    /// True if a missing table is made.
    pub create: bool,
    /// True if other pipelines write the table as well. People must then make sure that no two pipelines write the same key.
    pub shared: bool,
    /// True if columns may round the values that are written to them.
    pub round: bool,
    /// Comparison of keys.
    pub key_equality: KeyEquality,
    /// True if the column `_generation` holds the generation of the operators that wrote a row.
    pub generation: bool,
    /// True if a topic gets a tombstone for each group that ends.
    pub tombstones: bool,
    /// Conditions for a flush.
    pub flush: Flush,
}

/// Way in which rows get into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Rows are written under their key, and written again if need be.
    Upsert,
    /// Rows are written once, in one transaction with the intervals of their records.
    Transaction,
}

/// Comparison of keys: which keys count as the same row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyEquality {
    /// Keys are the same row if their values are the same; a table that compares otherwise is refused.
    #[default]
    Exact,
    /// Keys are the same row if the table considers them equal.
    Table,
}

/// Conditions for writing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// Number of waiting rows that starts a flush.
    pub rows: u32,
    /// Age of the oldest waiting row that starts a flush.
    pub interval: Duration,
    /// Number of further tries after a failed write. After these the pipeline reports the failure and holds until the server is
    /// back.
    pub retries: u32,
}

impl Default for Flush {
    /// Values that the jobs of the live-streaming metrics use.
    fn default() -> Flush {
        Flush { rows: 5_000, interval: Duration::from_secs(2), retries: 3 }
    }
}

/// Reads one sink. `flow` is what is known of the columns that come to it.
pub fn read(section: &Section<'_>, declared: &Declared, flow: Option<&[Field]>) -> Option<Sink> {
    let named = section.required("connection", "a connection's name", |item| declared.resolve(&item, Role::Sink));
    let of = named.as_ref().and_then(|(_, of)| of.and_then(|of| of.sink));
    let (place, table) = place(section, of);
    let delivery = section.or("delivery", Delivery::Upsert, |item| {
        item.choice(&[("upsert", Delivery::Upsert), ("transaction", Delivery::Transaction)])
    });
    let key = match delivery {
        Some(Delivery::Upsert) if place == Place::Table => section.required("key", KEY, |item| key(&item, flow)),
        _ => section.or("key", Vec::new(), |item| key(&item, flow)),
    };
    let tombstones = section.or("tombstones", false, |item| item.boolean());
    check_place(section, place, key.as_deref());
    let create = section.or("create", false, |item| item.boolean());
    let shared = section.or("shared", false, |item| item.boolean());
    let round = section.or("round", false, |item| item.boolean());
    let key_equality = section.or("key_equality", KeyEquality::default(), |item| {
        item.choice(&[("exact", KeyEquality::Exact), ("table", KeyEquality::Table)])
    });
    let generation = section.or("generation", false, |item| item.boolean());
    let flush = section.or("flush", Flush::default(), |item| {
        item.table(r#"a table such as { rows = 5000, interval = "2s", retries = 3 }"#, flush)
    });
    Some(Sink {
        connection: named?.0,
        place,
        table: table?,
        key: key?,
        delivery: delivery?,
        create: create?,
        shared: shared?,
        round: round?,
        key_equality: key_equality?,
        generation: generation?,
        tombstones: tombstones?,
        flush: flush?,
    })
}

/// Reads the name of the table or the topic, whichever the connection has. Where its type isn't known, what is said decides.
fn place(section: &Section<'_>, of: Option<Place>) -> (Place, Option<String>) {
    let (table, topic) = (section.optional("table"), section.optional("topic"));
    let place = of.unwrap_or(if topic.is_some() && table.is_none() { Place::Topic } else { Place::Table });
    let (wrong, found, want) = match place {
        Place::Table => (topic, "a topic", "a `table` of this connection"),
        Place::Topic => (table, "a table", "a `topic` of this connection"),
    };
    if let Some(wrong) = &wrong {
        wrong.problem(found, want);
    }
    let name = match place {
        Place::Table => section.required("table", "a table's name", |item| value::table(&item)),
        Place::Topic => section.required("topic", "a topic's name", |item| value::topic(&item, "a topic's name")),
    };
    (place, name)
}

/// Notes a problem for each key that is of the other kind of place.
fn check_place(section: &Section<'_>, place: Place, key: Option<&[String]>) {
    let others: &[&str] = match place {
        Place::Table => &["tombstones"],
        Place::Topic => &["delivery", "round", "key_equality"],
    };
    for item in others.iter().filter_map(|name| section.optional(name)) {
        match place {
            Place::Table => item.problem("a key of topics", "no such key for a table, whose rows of ended groups stay"),
            Place::Topic => item.problem("a key of tables", "no such key for a topic, which takes each row as it is"),
        }
    }
    if let Some(item) =
        section.optional("tombstones").filter(|_| place == Place::Topic && key.is_some_and(<[_]>::is_empty))
    {
        item.problem("tombstones for records without a key", "a `key`, of which a tombstone marks the end");
    }
}

const KEY: &str = r#"an array of the columns that identify a row, such as ["user_id"]"#;

fn key(item: &Item<'_>, flow: Option<&[Field]>) -> Option<Vec<String>> {
    let mut key: Vec<Option<String>> = Vec::new();
    for item in item.list(KEY, MAX_KEY)? {
        let column = key_column(&item, flow);
        if column.is_some() && key.contains(&column) {
            item.wrong("each column of the key once");
        }
        key.push(column);
    }
    key.into_iter().collect()
}

fn key_column(item: &Item<'_>, flow: Option<&[Field]>) -> Option<String> {
    let name = item.parse(value::COLUMN, |text| value::is_column(text).then(|| text.to_owned()))?;
    let Some(flow) = flow else { return Some(name) };
    if flow.iter().any(|field| field.name == name) {
        return Some(name);
    }
    let known: Vec<&str> = flow.iter().map(|field| field.name.as_str()).collect();
    item.wrong(format!("a column that is there: {}", suggest(&name, &known)));
    None
}

fn flush(section: &Section<'_>) -> Option<Flush> {
    let default = Flush::default();
    let rows = section.or("rows", default.rows, |item| item.whole(1, MAX_FLUSH_ROWS));
    let interval = section
        .or("interval", default.interval, |item| value::duration(&item, Duration::from_millis(1), MAX_FLUSH_INTERVAL));
    let retries = section.or("retries", default.retries, |item| item.whole(0, MAX_RETRIES));
    Some(Flush { rows: rows?, interval: interval?, retries: retries? })
}
