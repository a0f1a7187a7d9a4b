//! Lines that a guest may write into the host's log.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use sluice_core::operator::Operator;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::guests::{columns, open_transformer, rows};

/// Keeps the events of a thread as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sluice::operator"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn lines_of(behaviour: &str) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        open_transformer(behaviour).unwrap().process(columns(&rows())).unwrap();
    });
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

#[test]
fn a_flood_is_bounded() {
    let lines = lines_of("flood the log");
    assert!(lines[0].contains("line 0") && lines[0].contains("operator=\"zoo\""), "{}", lines[0]);
    assert!(lines.len() < 100, "{}", lines.len());
}

#[test]
fn a_long_line_is_cut() {
    let lines = lines_of("log a long line");
    assert!(lines[0].starts_with("WARN") && lines[0].len() < 5_000, "{}", lines[0].len());
}

#[test]
fn a_line_can_not_pretend_to_be_two() {
    let lines = lines_of("log a forged line");
    assert!(lines[0].starts_with("ERROR") && !lines[0].contains(['\n', '\x1b']), "{lines:?}");
}
