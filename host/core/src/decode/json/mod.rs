//! Records of JSON: an object that is the row, or objects within a record that are rows.
//!
//! [`scan`] walks a record once, byte by byte with [`cursor`] and with a shortcut for records that are alike, and [`find`] goes on
//! into values within values. Fields that nobody asked for are walked over, not decoded.

mod cursor;
mod find;
mod foreign;
mod lead;
mod open;
mod scalar;
mod scan;
mod word;

use super::MAX_ROWS_OF_A_RECORD;
use super::format::{Format, Rows};
use super::origin::Origin;
use super::path::Path;
use super::problem::Problem;
use super::slot::{Slot, Span};
use find::Finder;
use foreign::Foreign;
pub use scan::is_whole_object;
use scan::{ScanError, elements};

/// Options of the JSON format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Path to the rows in a record: to an object, or to an array of objects. Without it, the record's object is the row.
    pub path: Option<Path>,
    /// Pass over the header that serializers of Confluent's Schema Registry write before the JSON.
    pub schema_registry: bool,
}

/// Finds values in records of JSON.
#[derive(Debug)]
pub(super) struct Json {
    schema_registry: bool,
    /// Finds the values of a row, which fill the first slots.
    row: Finder,
    layout: Layout,
}

/// Position of the rows in a record.
#[derive(Debug)]
enum Layout {
    /// The record's object is the row.
    Record,
    /// The record's object is the row, or each object of its array is one.
    Records,
    /// Rows are at a path within the record's object: its values fill the slots behind the row's.
    Within { envelope: Finder, rows: usize, path: String },
}

/// Reason why a record isn't JSON with rows in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unreadable {
    /// The record isn't valid JSON text: where and why.
    #[error("the record is not valid JSON: {0}")]
    Malformed(String),
    /// The record is in another format than JSON text.
    #[error("the record is not plain JSON: {0}")]
    Foreign(Foreign),
    /// The record is JSON, but not an object.
    #[error("the record is not a JSON object but {0}")]
    NotAnObject(&'static str),
    /// The value where the rows should be is neither an object nor an array of objects.
    #[error("the record has no row at `{path}`: {found} is there")]
    NoRow { path: String, found: &'static str },
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Problem {
        let message = unreadable.to_string();
        let kind = match unreadable {
            Unreadable::Malformed(_) => "the record is not valid JSON".to_owned(),
            Unreadable::Foreign(foreign) => format!("the record is not plain JSON: {}", foreign.kind()),
            Unreadable::NotAnObject(_) | Unreadable::NoRow { .. } => message.clone(),
        };
        Problem::Unreadable { kind, message }
    }
}

impl Json {
    /// The format for the values that are wanted; answers also the slot of each.
    pub(super) fn new(options: &JsonOptions, wanted: &[&Origin]) -> (Json, Vec<usize>) {
        let row_is_record = options.path.as_ref().is_none_or(Path::is_whole);
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        let places: Vec<(bool, usize)> = wanted
            .iter()
            .map(|origin| {
                let (path, of_record) = path_of(origin);
                let beside = of_record && !row_is_record;
                let paths = if beside { &mut outer } else { &mut inner };
                paths.push(path);
                (beside, paths.len() - 1)
            })
            .collect();
        let (row, inner) = Finder::new(&inner);
        let (layout, outer) = Layout::new(options.path.as_ref(), outer);
        let slot = |(beside, place): (bool, usize)| if beside { row.slots() + outer[place] } else { inner[place] };
        let slots = places.into_iter().map(slot).collect();
        (Json { schema_registry: options.schema_registry, row, layout }, slots)
    }

    /// Finds the slot that has the rows: the record's own value, or the one at the path.
    fn rows_slot(&mut self, record: &[u8], from: usize, slots: &mut [Slot]) -> Result<Slot, Problem> {
        match &mut self.layout {
            Layout::Record | Layout::Records => scan::value(record, from),
            Layout::Within { envelope, rows, .. } => {
                let slots = &mut slots[self.row.slots()..];
                slots.fill(Slot::Missing);
                envelope.find(record, from, slots).map(|()| slots[*rows])
            }
        }
        .map_err(|error| unreadable(record, from, error))
    }

    /// Returns the problem of a record with this instead of rows.
    #[cold]
    fn no_row(&self, found: &'static str) -> Unreadable {
        let path = match &self.layout {
            Layout::Within { path, .. } => path.clone(),
            Layout::Record | Layout::Records => ".".to_owned(),
        };
        Unreadable::NoRow { path, found }
    }

    fn rows(&self, record: &[u8], rows: Slot) -> Result<Rows, Problem> {
        let is_object = |span: Span| span.of(record).first() == Some(&b'{');
        let object = |slot: &Slot| match slot {
            Slot::Nested(span) if is_object(*span) => Ok(*span),
            other => Err(self.no_row(other.what())),
        };
        match rows {
            Slot::Null => Ok(Rows::None(self.no_row("null").to_string())),
            Slot::Nested(span) if !is_object(span) => {
                let elements = elements(record, span, MAX_ROWS_OF_A_RECORD + 1);
                if elements.is_empty() {
                    return Ok(Rows::None(self.no_row("an empty array").to_string()));
                }
                Ok(Rows::Many(elements.iter().map(object).collect::<Result<_, _>>()?))
            }
            other => Ok(Rows::Many(vec![object(&other)?])),
        }
    }

    fn fill(&mut self, json: &[u8], from: usize, slots: &mut [Slot]) -> Result<(), Problem> {
        let slots = &mut slots[..self.row.slots()];
        slots.fill(Slot::Missing);
        self.row.find(json, from, slots).map_err(|error| unreadable(json, from, error))
    }
}

impl Format for Json {
    fn slots(&self) -> usize {
        self.row.slots() + self.layout.slots()
    }

    #[inline]
    fn find(&mut self, record: &[u8], slots: &mut [Slot]) -> Result<Rows, Problem> {
        let from = foreign::header(record, self.schema_registry);
        if matches!(self.layout, Layout::Record) {
            self.fill(record, from, slots)?;
            return Ok(Rows::One);
        }
        let rows = self.rows_slot(record, from, slots)?;
        self.rows(record, rows)
    }

    fn row(&mut self, record: &[u8], row: Span, slots: &mut [Slot]) -> Result<(), Problem> {
        self.fill(row.and_before(record), row.start(), slots)
    }
}

/// The path to a value, and whether it begins at the record instead of the row.
fn path_of(origin: &Origin) -> (Path, bool) {
    match origin {
        Origin::Field(name) => (Path::field(name), false),
        Origin::Within(path) => (path.clone(), false),
        Origin::Path(path) => (path.clone(), true),
        // What is no field has no slot anybody looks at.
        _ => (Path::field(""), false),
    }
}

/// Returns the problem of a record whose bytes from `from` on aren't a row.
#[cold]
fn unreadable(record: &[u8], from: usize, error: ScanError) -> Problem {
    let unreadable = match error {
        ScanError::NotAnObject(found) => Unreadable::NotAnObject(found),
        ScanError::Malformed(why) => {
            let foreign = Foreign::of(record.get(from..).unwrap_or_default());
            foreign.map_or(Unreadable::Malformed(why), Unreadable::Foreign)
        }
    };
    unreadable.into()
}

impl Layout {
    /// Makes the layout of records with rows at `path`; `beside` are the paths of values outside the rows. Also returns the slot
    /// of each of these values among the layout's own.
    fn new(path: Option<&Path>, mut beside: Vec<Path>) -> (Layout, Vec<usize>) {
        match path {
            None => (Layout::Record, Vec::new()),
            Some(path) if path.is_whole() => (Layout::Records, Vec::new()),
            Some(path) => {
                beside.push(path.clone());
                let (envelope, mut places) = Finder::new(&beside);
                let rows = places.pop().unwrap_or_default();
                (Layout::Within { envelope, rows, path: path.to_string() }, places)
            }
        }
    }

    fn slots(&self) -> usize {
        match self {
            Layout::Record | Layout::Records => 0,
            Layout::Within { envelope, .. } => envelope.slots(),
        }
    }
}
