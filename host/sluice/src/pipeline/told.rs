//! Reports of a run, in the status and in the log.

use sluice_core::decode::Lost;
use sluice_core::run::{Line, Report};

use super::status::{State, Status};

/// Adds a report to the status, and logs what people should read.
pub fn tell(status: &Status, report: Report) {
    let pipeline = status.name();
    match report {
        Report::Records(records) => status.add_records(records),
        Report::Late(rows) => status.add_late(rows),
        Report::LeftOut { lost, reason, times, line } => {
            match lost {
                Lost::Record => status.add_rejected(&reason, times),
                Lost::Value => status.add_dropped(&reason, times),
            }
            if let Some(line) = line {
                log(pipeline, lost, line);
            }
        }
        Report::Waiting(rows) => status.set_pending(rows),
        Report::Groups(groups) => status.sample(sluice_clock::now(), groups),
        Report::Lag(lag) => status.set_lag(lag),
        Report::Holds(reason) => {
            if status.set(State::Holding, Some(reason.clone())) {
                tracing::warn!(pipeline, "holding, nothing is lost: {reason}");
            }
        }
        Report::GoesOn(what) => {
            let is_news = status.set(State::Running, None);
            if let Some(what) = what.filter(|_| is_news) {
                tracing::info!(pipeline, "{what}");
            }
        }
        Report::Interrupted => {
            tracing::warn!(pipeline, "an operator's call was ended, since the pipeline ends: its batch is read again");
        }
        Report::Flushed(rows) => status.flushed(rows),
        Report::Letters(letters) => status.add_dead_letters(letters),
        Report::Searched(words) => tracing::debug!(pipeline, "searched: {words}"),
        Report::Refreshing(refreshing) => status.set_refreshing(refreshing),
        // Whoever waits for these hears of them from who drives the machine.
        Report::Again(_)
        | Report::TookOver(..)
        | Report::NotTaken(..)
        | Report::Passed(_)
        | Report::Retried(_)
        | Report::RetryLater(_) => {}
    }
}

fn log(pipeline: &str, lost: Lost, line: Line) {
    let Line { place, unsaid, example, reason } = line;
    match (lost, example) {
        (Lost::Record, None) => tracing::warn!(pipeline, place, unsaid, "rejected: {reason}"),
        (Lost::Record, Some(first)) => tracing::warn!(pipeline, place, unsaid, first, "left out: {reason}"),
        (Lost::Value, first) => tracing::warn!(pipeline, place, unsaid, first, "dropped: {reason}"),
    }
}
