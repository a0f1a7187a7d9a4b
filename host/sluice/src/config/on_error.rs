//! `on_error` and `[dead_letters]`: what becomes of records at fault, and where those that are left out go.

use super::connection::{Declared, Role};
use super::reader::{Item, Section};
use super::sink::Sink;
use super::value;

/// The table of dead letters unless the pipeline says otherwise.
pub const DEFAULT_TABLE: &str = "sluice_dead_letters";

/// What becomes of records at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The pipeline stops at the first.
    Stop,
    /// They are left out and counted.
    Skip,
    /// They are left out, counted, and kept.
    DeadLetter,
}

/// The table that dead letters go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// A mysql or sqlite connection.
    pub connection: String,
    /// The table.
    pub table: String,
    /// Whether a missing table is made.
    pub create: bool,
}

/// What `on_error` says.
pub fn read_policy(item: &Item<'_>) -> Option<OnError> {
    item.choice(&[("stop", OnError::Stop), ("skip", OnError::Skip), ("dead_letter", OnError::DeadLetter)])
}

/// Where a pipeline's letters go; none if it makes none. Unset, beside the first of its sinks.
pub fn read_letters(
    section: &Section<'_>,
    declared: &Declared,
    on_error: Option<OnError>,
    sinks: Option<&[Sink]>,
) -> Option<Option<DeadLetters>> {
    let makes_letters = matches!(on_error, None | Some(OnError::DeadLetter));
    let Some(item) = section.optional("dead_letters") else {
        let beside = sinks.and_then(<[Sink]>::first).map(|sink| DeadLetters {
            connection: sink.connection.clone(),
            table: DEFAULT_TABLE.to_owned(),
            create: true,
        });
        return if makes_letters { beside.map(Some) } else { Some(None) };
    };
    if !makes_letters {
        item.problem("a place for dead letters", "none, or on_error = \"dead_letter\": this pipeline makes no letters");
    }
    let letters = item.table("a table [dead_letters]", |section| letters(section, declared))?;
    if sinks.is_some_and(|sinks| sinks.iter().any(|sink| writes(sink, &letters))) {
        item.problem("a table that a sink of this pipeline writes", "a table of its own");
    }
    Some(Some(letters).filter(|_| makes_letters))
}

fn letters(section: &Section<'_>, declared: &Declared) -> Option<DeadLetters> {
    let connection = section.required("connection", "a connection's name", |item| {
        declared.resolve(&item, Role::Sink).map(|(name, _)| name)
    });
    let table = section.or("table", DEFAULT_TABLE.to_owned(), |item| value::table(&item));
    let create = section.or("create", true, |item| item.boolean());
    Some(DeadLetters { connection: connection?, table: table?, create: create? })
}

fn writes(sink: &Sink, letters: &DeadLetters) -> bool {
    (&sink.connection, &sink.table) == (&letters.connection, &letters.table)
}
