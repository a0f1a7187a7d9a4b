//! `[source]`: what a pipeline reads, and which columns it makes of a record.

use sluice_core::decode::{DecodeOptions, Origin, SourceColumn};
use sluice_core::{Field, Kind};

use super::declared::Declared;
use super::format::{self, MAX_COLUMNS};
use super::nearest::one_of;
use super::reader::{Item, Section};
use super::value;
use crate::connection::Role;

/// Most records of a batch unless the pipeline says otherwise: enough that the cost of a call into an operator hardly counts per
/// row, few enough that a batch stays in the processor's cache.
pub const DEFAULT_BATCH_ROWS: u32 = 8_192;

/// The most records of a batch: beyond it nothing gets faster, and memory and delay grow.
pub const MAX_BATCH_ROWS: u32 = 65_536;

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
    pub decode: DecodeOptions,
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
    let decode = format::read(section);
    let columns = section.required("columns", COLUMNS, |item| columns(&item, decode.as_ref()));
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
        decode: decode?,
        columns: columns?,
        batch: batch?,
    })
}

const COLUMNS: &str = r#"a table of columns such as { user_id = "int64" }"#;

fn columns(item: &Item<'_>, decode: Option<&DecodeOptions>) -> Option<Vec<SourceColumn>> {
    let entries = item.table(COLUMNS, |section| Some(section.entries()))?;
    if entries.is_empty() || entries.len() > MAX_COLUMNS {
        item.problem(format!("{} columns", entries.len()), format!("1 to {MAX_COLUMNS} columns"));
        return None;
    }
    let mut columns: Vec<Option<SourceColumn>> = Vec::new();
    for (name, item) in &entries {
        let column = column(name, item);
        let instead = |column: &SourceColumn| format::instead_of(&column.origin, decode?);
        if let Some(instead) = column.as_ref().and_then(instead) {
            item.problem("a field that the record doesn't have", instead);
        }
        if let Some(other) = column.as_ref().and_then(|column| same_origin(column, &columns)) {
            item.problem(format!("what column {other} takes already"), "one column for each field of the record");
        }
        columns.push(column);
    }
    columns.into_iter().collect()
}

/// Returns the column that already takes the same value: a field is decoded once, and an operator can copy it.
fn same_origin<'a>(column: &SourceColumn, columns: &'a [Option<SourceColumn>]) -> Option<&'a str> {
    let same = |other: &&SourceColumn| other.origin == column.origin;
    columns.iter().flatten().find(same).map(|other| other.field.name.as_str())
}

fn column(name: &str, item: &Item<'_>) -> Option<SourceColumn> {
    if !value::is_column(name) {
        item.problem("a column of this name", value::COLUMN);
        return None;
    }
    if !item.is_table() {
        let origin = format::named(name);
        let kind = value::kind(item, origin.kinds())?;
        return Some(SourceColumn { field: Field::new(name, kind), origin });
    }
    item.table("", |section| {
        let origin = origin(name, section);
        let kind = section.required("kind", &one_of(&Kind::spellings()), |item| {
            value::kind(&item, origin.as_ref().map_or(&Kind::ALL, Origin::kinds))
        });
        Some(SourceColumn { field: Field::new(name, kind?), origin: origin? })
    })
}

/// The origin that a column's table says, which may not be another one than the column's name always means.
fn origin(name: &str, section: &Section<'_>) -> Option<Origin> {
    let (field, path) = (section.optional("field"), section.optional("path"));
    let (item, origin) = match (&field, &path) {
        (Some(_), Some(path)) => {
            let want = "one of them: a field is looked up in the row, a path starts at the record";
            path.problem("both a path and a field", want);
            return None;
        }
        (_, Some(path)) => (path, format::path_from_record(path)?),
        (Some(field), None) => (field, format::field(field)?),
        (None, None) => return Some(format::named(name)),
    };
    let own = format::named(name);
    if own.is_fact() && own != origin {
        item.wrong(format!("another name for this column: {name} is the record's own"));
        return None;
    }
    Some(origin)
}
