//! `on_error` and `[dead_letters]`: what becomes of records at fault, and where those that are left out go.

use std::fmt;
use std::path::{Path, PathBuf};

use super::declared::Declared;
use super::reader::{Item, Section};
use super::sink::Sink;
use super::source::Source;
use super::value;
use crate::connection::{Place, Role};

/// The table or topic of dead letters unless the pipeline says otherwise.
pub const DEFAULT_TABLE: &str = "sluice_dead_letters";

/// Treatment of records at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The pipeline stops at the first.
    Stop,
    /// The records are left out and counted.
    Skip,
    /// The records are left out, counted, and kept.
    DeadLetter,
}

/// Destination of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// A table.
    Table {
        /// A mysql or sqlite connection.
        connection: String,
        /// The table.
        table: String,
        /// True if a missing table is made.
        create: bool,
    },
    /// A compacted topic.
    Topic {
        /// A kafka connection.
        connection: String,
        /// The topic.
        topic: String,
        /// True if a missing topic is made.
        create: bool,
    },
    /// A file of JSON lines.
    File {
        /// The file; made with the first letter.
        path: PathBuf,
    },
}

impl DeadLetters {
    /// The table, if it is one of this connection.
    pub fn table_of(&self, of: &str) -> Option<&str> {
        match self {
            DeadLetters::Table { connection, table, .. } if connection == of => Some(table),
            _ => None,
        }
    }

    /// Returns true if both send letters to the same place.
    pub fn is_same_place(&self, other: &DeadLetters) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Writes the place as messages name it: `connection.table`, `connection.topic`, or the file.
impl fmt::Display for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadLetters::Table { connection, table: name, .. } | DeadLetters::Topic { connection, topic: name, .. } => {
                write!(f, "{connection}.{name}")
            }
            DeadLetters::File { path } => write!(f, "{}", path.display()),
        }
    }
}

/// Reads the value of `on_error`.
pub fn read_policy(item: &Item<'_>) -> Option<OnError> {
    item.choice(&[("stop", OnError::Stop), ("skip", OnError::Skip), ("dead_letter", OnError::DeadLetter)])
}

/// Other settings of the pipeline that matter for the place of its letters.
pub struct Beside<'a> {
    /// The pipeline's file.
    pub file: &'a Path,
    pub source: Option<&'a Source>,
    pub sinks: Option<&'a [Sink]>,
}

/// Reads the place of a pipeline's letters; none if it makes none. By default it is beside what the first sink writes.
pub fn read_letters(
    section: &Section<'_>,
    declared: &Declared,
    on_error: Option<OnError>,
    beside: &Beside<'_>,
) -> Option<Option<DeadLetters>> {
    let makes_letters = matches!(on_error, None | Some(OnError::DeadLetter));
    let Some(item) = section.optional("dead_letters") else {
        let first = beside.sinks.and_then(<[Sink]>::first).map(|sink| {
            let (connection, name, create) = (sink.connection.clone(), DEFAULT_TABLE.to_owned(), true);
            match sink.place {
                Place::Table => DeadLetters::Table { connection, table: name, create },
                Place::Topic => DeadLetters::Topic { connection, topic: name, create },
            }
        });
        return if makes_letters { first.map(Some) } else { Some(None) };
    };
    if !makes_letters {
        item.problem("a place for dead letters", "none, or on_error = \"dead_letter\": this pipeline makes no letters");
    }
    let letters = item.table("a table [dead_letters]", |section| letters(section, declared, beside.file))?;
    if beside.sinks.is_some_and(|sinks| sinks.iter().any(|sink| writes(sink, &letters))) {
        item.problem("what a sink of this pipeline writes", "a table or topic of its own");
    }
    if beside.source.is_some_and(|source| reads(source, &letters)) {
        item.problem("the topic that this pipeline reads", "a topic of its own");
    }
    Some(Some(letters).filter(|_| makes_letters))
}

fn letters(section: &Section<'_>, declared: &Declared, pipeline: &Path) -> Option<DeadLetters> {
    if let Some(item) = section.optional("file") {
        for other in ["connection", "table", "topic", "create"] {
            let one = "either a file or a table or topic of a connection";
            section.optional(other).inspect(|item| item.problem("this beside `file`", one));
        }
        let directory = pipeline.parent().unwrap_or(Path::new(""));
        let path = value::path(&item, directory, r#"a file such as "dead_letters.jsonl""#)?;
        return Some(DeadLetters::File { path });
    }
    let named = section
        .required("connection", "a connection's name, or `file`", |item| declared.resolve(&item, Role::DeadLetters));
    let (table, topic) = (section.optional("table"), section.optional("topic"));
    let create = section.or("create", true, |item| item.boolean());
    let place = named.as_ref().and_then(|(_, of)| of.and_then(|of| of.letters));
    // Where the connection's type isn't known, what is said of it decides.
    let is_topic = place.map_or(topic.is_some() && table.is_none(), |place| place == Place::Topic);
    let (right, wrong) = if is_topic { (topic, table) } else { (table, topic) };
    if let Some(wrong) = wrong {
        let (found, want) = if is_topic { ("a table", "a `topic`") } else { ("a topic", "a `table`") };
        wrong.problem(found, format!("{want} of this connection"));
    }
    if is_topic {
        let want = "a topic's name";
        let topic = match right {
            Some(item) => value::topic(&item, want),
            None => section.required("topic", want, |item| value::topic(&item, want)),
        };
        return Some(DeadLetters::Topic { connection: named?.0, topic: topic?, create: create? });
    }
    let table = right.map_or(Some(DEFAULT_TABLE.to_owned()), |item| value::table(&item));
    Some(DeadLetters::Table { connection: named?.0, table: table?, create: create? })
}

fn writes(sink: &Sink, letters: &DeadLetters) -> bool {
    match letters {
        DeadLetters::Table { connection, table: name, .. } | DeadLetters::Topic { connection, topic: name, .. } => {
            (connection, name) == (&sink.connection, &sink.table)
        }
        DeadLetters::File { .. } => false,
    }
}

fn reads(source: &Source, letters: &DeadLetters) -> bool {
    match letters {
        DeadLetters::Topic { connection, topic, .. } => (connection, topic) == (&source.connection, &source.topic),
        _ => false,
    }
}
