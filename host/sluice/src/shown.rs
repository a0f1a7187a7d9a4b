//! Protection of the log against texts that come from outside.

use std::fmt;
use std::io::{self, Write};

use sluice_core::printable;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::config::unveiled;

/// Formats an event's fields for people, so that no text can forge a line or control a terminal.
pub fn fields() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", printable(&text)),
            name => write!(writer, "{name}={}", printable(&text)),
        }
    })
    .delimited(" ")
}

/// Writer of the log's lines that hides the values that variables put into connections. Each call is a line of its own.
pub struct Unveiled<W>(pub W);

impl<W: Write> Write for Unveiled<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = str::from_utf8(line).map(unveiled);
        self.0.write_all(shown.as_deref().map_or(line, str::as_bytes))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_the_log_is_one_line_that_does_nothing() {
        let lines = Lines::default();
        let to = lines.clone();
        let log =
            tracing_subscriber::fmt().with_writer(move || Unveiled(to.clone())).with_ansi(false).fmt_fields(fields());
        tracing::subscriber::with_default(log.finish(), || {
            tracing::info!(column = "a\u{202e}b", "a record says {:?}: {}", "x", "\x1b[2J\nsecond\u{9b}");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            written.ends_with("a record says \"x\": \\x1b[2J\\nsecond\\u{9b} column=\"a\\u{202e}b\"\n"),
            "{written}"
        );
        assert_eq!(written.lines().count(), 1);
    }
}
