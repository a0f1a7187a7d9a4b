//! `[source]`: what a pipeline reads, and which columns it makes of a record.

use sluice_core::Kind;
pub use sluice_core::decode::JsonOptions;
use sluice_core::decode::{Convert, Epoch, Path};

use super::declared::Declared;
use super::nearest::one_of;
use super::reader::{Item, Section};
use super::value;
use crate::connection::Role;

/// Most records of a batch unless the pipeline says otherwise: enough that the cost of a call into an operator hardly counts per
/// row, few enough that a batch stays in the processor's cache.
pub const DEFAULT_BATCH_ROWS: u32 = 8_192;

/// The most records of a batch: beyond it nothing gets faster, and memory and delay grow.
pub const MAX_BATCH_ROWS: u32 = 65_536;

/// The most columns of a source; more is a generated file or a mistake.
pub const MAX_COLUMNS: usize = 1_000;

/// Source of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A kafka or log connection.
    pub connection: String,
    /// The topic.
    pub topic: String,
    /// The consumer group that offsets are committed to.
    pub group: String,
    /// Position at which reading starts.
    pub start: Start,
    /// Options for reading records and for records that don't fit.
    pub json: JsonOptions,
    /// The columns, in the order of the file. At least one; names are distinct.
    pub columns: Vec<SourceColumn>,
    /// The bounds of a batch.
    pub batch: BatchLimits,
}

/// Position at which reading starts when the pipeline has no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that is still there.
    Earliest,
    /// Records that come after the start.
    Latest,
    /// The group's last commit; the oldest record where it has none.
    Committed,
}

/// The bounds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most records, from 1 to [`MAX_BATCH_ROWS`].
    pub rows: u32,
}

/// A column that is made of each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name of the column.
    pub name: String,
    /// Type of the column.
    pub kind: Kind,
    /// Origin of the column's values.
    pub from: Origin,
}

/// Origin of a source column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The field of this name in the JSON object that is the row.
    Field(String),
    /// Value at this path from the record's JSON object.
    Path(Path),
    /// `_topic`: the topic's name, utf8.
    Topic,
    /// `_partition`: the partition's number, int64.
    Partition,
    /// `_offset`: the record's offset, int64.
    Offset,
    /// `_timestamp`: when the record was made, in UTC, timestamp.
    Timestamp,
    /// `_key`: the record's key, utf8 or binary.
    Key,
}

impl Origin {
    /// Returns the origin that a field's name refers to: one of the record's own facts, or a field of its JSON object.
    fn of(field: &str) -> Origin {
        match field {
            "_topic" => Origin::Topic,
            "_partition" => Origin::Partition,
            "_offset" => Origin::Offset,
            "_timestamp" => Origin::Timestamp,
            "_key" => Origin::Key,
            _ => Origin::Field(field.to_owned()),
        }
    }

    /// The kinds that a column from here can have.
    fn kinds(&self) -> &'static [Kind] {
        match self {
            Origin::Field(_) | Origin::Path(_) => &Kind::ALL,
            Origin::Topic => &[Kind::Utf8],
            Origin::Partition | Origin::Offset => &[Kind::Int64],
            Origin::Timestamp => &[Kind::Timestamp],
            Origin::Key => &[Kind::Utf8, Kind::Binary],
        }
    }
}

/// Reads `[source]`.
pub fn read(section: &Section<'_>, declared: &Declared) -> Option<Source> {
    let connection = section.required("connection", "a connection's name", |item| {
        declared.resolve(&item, Role::Source).map(|(name, _)| name)
    });
    let topic = section.required("topic", "a topic's name", |item| value::topic(&item, "a topic's name"));
    let group =
        section.required("group", "a consumer group's name", |item| value::topic(&item, "a consumer group's name"));
    let starts = [("earliest", Start::Earliest), ("latest", Start::Latest), ("committed", Start::Committed)];
    let start = section.required("start", &one_of(&starts.map(|(word, _)| word)), |item| item.choice(&starts));
    let json = section.or("json", JsonOptions::default(), |item| json(&item));
    let columns = section.required("columns", COLUMNS, |item| columns(&item));
    let batch = section.or("batch", BatchLimits { rows: DEFAULT_BATCH_ROWS }, |item| {
        item.table("a table such as { rows = 8192 }", |section| {
            let rows = section.or("rows", DEFAULT_BATCH_ROWS, |item| item.whole(1, MAX_BATCH_ROWS));
            Some(BatchLimits { rows: rows? })
        })
    });
    Some(Source {
        connection: connection?,
        topic: topic?,
        group: group?,
        start: start?,
        json: json?,
        columns: columns?,
        batch: batch?,
    })
}

const COLUMNS: &str = r#"a table of columns such as { user_id = "int64" }"#;

fn json(item: &Item<'_>) -> Option<JsonOptions> {
    let want = "a table such as { ignore_parse_errors = false, fail_on_missing_field = false }";
    item.table(want, |section| {
        let ignore = section.or("ignore_parse_errors", false, |item| item.boolean());
        let fail = section.or("fail_on_missing_field", false, |item| item.boolean());
        let convert = section
            .or("convert", Convert::Exact, |item| item.choice(&[("exact", Convert::Exact), ("flink", Convert::Flink)]));
        let epoch = section.or("epoch", None, |item| item.choice(&EPOCHS).map(Some));
        let path = section.or("path", None, |item| path(&item).map(Some));
        let skip_tombstones = section.or("skip_tombstones", false, |item| item.boolean());
        let schema_registry = section.or("schema_registry", false, |item| item.boolean());
        let (ignore_parse_errors, fail_on_missing_field) = (ignore?, fail?);
        if ignore_parse_errors && fail_on_missing_field {
            let found = "both ignore_parse_errors and fail_on_missing_field";
            section.item().problem(found, "at most one of them: a missing field can't be ignored and fatal");
            return None;
        }
        Some(JsonOptions {
            ignore_parse_errors,
            fail_on_missing_field,
            convert: convert?,
            epoch: epoch?,
            path: path?,
            skip_tombstones: skip_tombstones?,
            schema_registry: schema_registry?,
        })
    })
}

const EPOCHS: [(&str, Epoch); 4] = [
    ("seconds", Epoch::Seconds),
    ("milliseconds", Epoch::Milliseconds),
    ("microseconds", Epoch::Microseconds),
    ("nanoseconds", Epoch::Nanoseconds),
];

const PATH: &str = "a path such as payload.after or data[0].id";

fn path(item: &Item<'_>) -> Option<Path> {
    item.parse(PATH, |text| text.parse().ok())
}

fn columns(item: &Item<'_>) -> Option<Vec<SourceColumn>> {
    let entries = item.table(COLUMNS, |section| Some(section.entries()))?;
    if entries.is_empty() || entries.len() > MAX_COLUMNS {
        item.problem(format!("{} columns", entries.len()), format!("1 to {MAX_COLUMNS} columns"));
        return None;
    }
    let mut columns: Vec<Option<SourceColumn>> = Vec::new();
    for (name, item) in &entries {
        let column = column(name, item);
        if let Some(other) = column.as_ref().and_then(|column| same_origin(column, &columns)) {
            item.problem(format!("what column {other} takes already"), "one column for each field of the record");
        }
        columns.push(column);
    }
    columns.into_iter().collect()
}

/// Returns the column that already takes the same value: a field is decoded once, and an operator can copy it.
fn same_origin<'a>(column: &SourceColumn, columns: &'a [Option<SourceColumn>]) -> Option<&'a str> {
    let same = |other: &&SourceColumn| other.from == column.from;
    columns.iter().flatten().find(same).map(|other| other.name.as_str())
}

fn column(name: &str, item: &Item<'_>) -> Option<SourceColumn> {
    if !value::is_column(name) {
        item.problem("a column of this name", value::COLUMN);
        return None;
    }
    if !item.is_table() {
        let from = Origin::of(name);
        let kind = value::kind(item, from.kinds())?;
        return Some(SourceColumn { name: name.to_owned(), kind, from });
    }
    item.table("", |section| {
        let field = section.optional("field");
        let path = section.optional("path");
        let from = match (&field, &path) {
            (Some(_), Some(path)) => {
                path.problem(
                    "both a path and a field",
                    "one of them: a field is looked up in the row, a path starts at the record",
                );
                None
            }
            (_, Some(path)) => path_of(name, path).map(Origin::Path),
            (Some(field), None) => origin(name, field),
            (None, None) => Some(Origin::of(name)),
        };
        let kind = section.required("kind", &one_of(&Kind::spellings()), |item| {
            value::kind(&item, from.as_ref().map_or(&Kind::ALL, Origin::kinds))
        });
        Some(SourceColumn { name: name.to_owned(), kind: kind?, from: from? })
    })
}

fn path_of(name: &str, item: &Item<'_>) -> Option<Path> {
    if !matches!(Origin::of(name), Origin::Field(_)) {
        item.wrong(format!("another name for this column: {name} is the record's own"));
        return None;
    }
    let path = path(item)?;
    if path.to_string() == "." {
        item.wrong(PATH);
        return None;
    }
    Some(path)
}

fn origin(name: &str, item: &Item<'_>) -> Option<Origin> {
    let from = Origin::of(&item.text("the name of a field in the record")?);
    let own = Origin::of(name);
    if !matches!(own, Origin::Field(_)) && own != from {
        item.wrong(format!("another name for this column: {name} is the record's own"));
        return None;
    }
    Some(from)
}
