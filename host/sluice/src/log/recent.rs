//! The log's last lines of each pipeline and operator, for those who look at them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sluice_clock::now_micros;
use sluice_core::printable;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config::unveiled;

/// Lines that are kept of a pipeline or operator.
const LINES: usize = 50;

/// Pipelines and operators whose lines are kept: twice as many as there can be of the former.
const NAMES: usize = 512;

/// The longest line that is kept, in bytes.
const MAX_BYTES: usize = 1 << 10;

static RECENT: Mutex<BTreeMap<String, VecDeque<Line>>> = Mutex::new(BTreeMap::new());

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Milliseconds since 1970-01-01T00:00:00 UTC.
    pub at: i64,
    pub level: &'static str,
    pub text: String,
}

/// The last lines of all of these names, at most so many; the newest last.
pub fn lines<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<Line> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines: Vec<Line> = names.into_iter().filter_map(|name| recent.get(name)).flatten().cloned().collect();
    drop(recent);
    lines.sort_by_key(|line| line.at);
    lines.drain(..lines.len().saturating_sub(most));
    lines
}

/// Keeps the lines that name a pipeline or an operator.
pub struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let Some(name) = said.pipeline.or(said.operator) else { return };
        let mut text = printable(&unveiled(&said.text)).into_owned();
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => "info",
        };
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= NAMES && !recent.contains_key(&name) {
            return;
        }
        let lines = recent.entry(name).or_default();
        lines.push_back(Line { at: now_micros() / 1_000, level, text });
        if lines.len() > LINES {
            lines.pop_front();
        }
    }
}

#[derive(Default)]
struct Said {
    pipeline: Option<String>,
    operator: Option<String>,
    text: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "pipeline" => self.pipeline = Some(value.to_owned()),
            "operator" => self.operator = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String can't fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{}{value:?}", if self.text.is_empty() { "" } else { " " }),
            "pipeline" => {
                self.pipeline = Some(format!("{value:?}").trim_matches('"').to_owned());
                Ok(())
            }
            "operator" => {
                self.operator = Some(format!("{value:?}").trim_matches('"').to_owned());
                Ok(())
            }
            name => write!(self.text, "{}{name}={value:?}", if self.text.is_empty() { "" } else { " " }),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_last_lines_of_a_pipeline_and_its_operators_are_kept_and_no_more() {
        let log = tracing_subscriber::registry().with(Recent);
        tracing::subscriber::with_default(log, || {
            for number in 0..LINES + 7 {
                tracing::warn!(pipeline = "recent-a", number, "line \x1b[2J{number}");
            }
            tracing::info!(operator = "recent-b", "from the operator");
            tracing::info!("of nobody");
        });
        let kept = lines(["recent-a"], 1_000);
        assert_eq!((kept.len(), kept[0].level), (LINES, "warn"));
        assert_eq!(kept[LINES - 1].text, format!("line \\x1b[2J{} number={}", LINES + 6, LINES + 6));
        let both = lines(["recent-a", "recent-b", "recent-c"], 2);
        assert_eq!(both[1].text, "from the operator");
        assert_eq!(both.len(), 2);
    }
}
