//! The log: lines to standard error, which never fail or hold up whoever says them.
//!
//! ```text
//! any thread ──line──▶ queue, bounded ──▶ thread `log` ──▶ standard error
//!                 └──▶ full, or it can't be written: counted as lost, and said once lines can be written again
//! ```

mod levels;
mod lines;
pub mod recent;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;

use crate::config::unveiled;
use crate::shown::{self, Unveiled};
use lines::{EventWriter, Lines};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for people.
    Human,
    /// A JSON object a line.
    Json,
}

/// Longest wait at the process's end for lines that nobody has read yet. Shorter: a slow reader misses the last lines. Longer: a
/// reader that is stuck holds up the end.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The process's lines, once there is a log.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Begins the log: with the levels of `SLUICE_LOG`, or those that are the default if these can't be read, so that the error can.
pub fn start(format: Format) -> anyhow::Result<()> {
    let lines = LINES.get_or_init(|| Lines::written_to(std::io::stderr()));
    let (levels, wrong) = match levels::of_environment() {
        Ok(levels) => (levels, None),
        Err(reason) => (levels::default(), Some(reason)),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(levels)
        // It would say these to standard error itself, and panic where that fails.
        .log_internal_errors(false)
        .with_writer(|| Unveiled(EventWriter::of(lines)));
    let begun = match format {
        Format::Human => {
            let log = log.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            log.fmt_fields(shown::fields()).finish().with(recent::Recent).try_init()
        }
        Format::Json => log.json().finish().with(recent::Recent).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("there is no log: {error}"))?;
    std::panic::set_hook(Box::new(say_panic));
    wrong.map_or(Ok(()), |reason| bail!(reason))
}

/// Returns the number of lines that were lost since the start.
pub fn lost() -> u64 {
    LINES.get().map_or(0, Lines::lost)
}

/// Waits until all lines are written, but not for long.
pub fn end() {
    if let Some(lines) = LINES.get() {
        lines.wait_until_written(LAST_LINES);
    }
}

/// Says why the process fails: by the log, or in plain where there is none or its levels leave errors out.
pub fn last_words(error: &anyhow::Error) {
    let words = format!("{error:#}");
    if tracing::enabled!(tracing::Level::ERROR) {
        // A line of the log for each problem of a configuration.
        words.lines().for_each(|line| tracing::error!("{line}"));
    } else {
        aside(&format!("{}\n", unveiled(&words)));
    }
}

/// Writes a text to standard error, and ignores a failure: nobody may be there to read it.
pub fn aside(text: &str) {
    // There is no other place to say that this one is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes a panic to the log; the standard library would wait for a standard error that is stuck.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
    let said = panic.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    let trace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let thread = std::thread::current();
    tracing::error!(thread = thread.name(), backtrace = trace, "panicked{at}: {said}; this is a defect");
}
