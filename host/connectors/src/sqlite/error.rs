//! What SQLite's errors mean for the pipeline.

use std::path::Path;

use crate::sink::SinkError;

/// Primary result codes of what passes: another writer is at it, the disk is full or doesn't answer.
const PASSING: [i32; 4] = [5, 6, 10, 13];

/// The error in words, and whether it passes.
pub(super) fn sink_error(path: &Path, error: &sqlx::Error) -> SinkError {
    let place = path.display();
    match error {
        // The low byte is the primary code; the others say more of it.
        sqlx::Error::Database(e) => match e.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff) {
            Some(code) if PASSING.contains(&code) => {
                SinkError::Unavailable(format!("SQLite at {place} can't take rows now: {}", e.message()))
            }
            code => SinkError::Unusable(format!("SQLite at {place}: {}: {}", e.message(), hint(code))),
        },
        sqlx::Error::Io(e) => SinkError::Unavailable(format!("SQLite at {place}: {e}")),
        other => SinkError::Unusable(format!("SQLite at {place}: {other}")),
    }
}

fn hint(code: Option<i32>) -> &'static str {
    match code {
        Some(8) => "make the file and its directory writable",
        Some(14) => "check the path, and that its directory may be written",
        Some(11 | 26) => "the file is no database or is damaged: name another, or restore it",
        _ => "it refuses the statement or a value in it",
    }
}
