//! Meaning of SQLite's errors for the pipeline.

use std::path::Path;

use crate::sink::SinkError;

/// Primary result codes of what passes: another writer is at it, the disk is full or doesn't answer.
const PASSING: [i32; 4] = [5, 6, 10, 13];

/// Primary result codes of a statement that are about what its rows hold: a constraint (a trigger's RAISE is one), a value
/// that is too large, or of another type than the rowid's.
const OF_A_ROW: [i32; 3] = [18, 19, 20];

/// Codes of errors about the file, the table or the statement: somebody must change something.
const OF_THE_TABLE: [i32; 11] = [2, 3, 7, 8, 11, 12, 14, 21, 23, 25, 26];

/// Says whether a statement was refused for what its rows hold: surely (true), or perhaps, if other rows are taken (false). None if
/// it was for another reason, or not refused.
pub(super) fn about_rows(error: &sqlx::Error) -> Option<bool> {
    let code = primary(error.as_database_error()?)?;
    (!PASSING.contains(&code) && !OF_THE_TABLE.contains(&code)).then(|| OF_A_ROW.contains(&code))
}

/// SQLite's own words.
pub(super) fn plain(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
}

/// Returns the primary code of an error: the low byte. The other bytes give details.
fn primary(error: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// The error in words, and whether it passes.
pub(super) fn sink_error(path: &Path, error: &sqlx::Error) -> SinkError {
    let place = path.display();
    match error {
        sqlx::Error::Database(e) => match primary(e.as_ref()) {
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
