//! Reports of a run, and of a pipeline between its runs, in the status and in the log.

use sluice_core::decode::Lost;
use sluice_core::run::life::Culprit;
use sluice_core::run::{LeftOutLine, LifeReport, Report};

use super::status::{PipelineState, Status};

/// Adds a report to the status, and logs what people should read.
pub fn tell(status: &Status, report: Report) {
    let pipeline = status.name();
    match report {
        Report::Records(records) => status.meters.records.add(records),
        Report::Late(rows) => status.meters.late.add(rows),
        Report::LeftOut { lost, reason, times, line } => {
            match lost {
                Lost::Record => status.add_rejected(&reason, times),
                Lost::Value => status.meters.dropped.add(&reason, times),
            }
            if let Some(line) = line {
                log(pipeline, lost, line);
            }
        }
        Report::Waiting(rows) => status.meters.pending.set(rows),
        Report::Groups(groups) => status.sample(sluice_clock::now(), groups),
        Report::Lag(lag) => status.meters.lag.set(lag),
        Report::Holds(reason) => {
            if status.set(PipelineState::Holding, Some(reason.clone())) {
                tracing::warn!(pipeline, "holding, nothing is lost: {reason}");
            }
        }
        Report::GoesOn(what) => {
            let is_news = status.set(PipelineState::Running, None);
            if let Some(what) = what.filter(|_| is_news) {
                tracing::info!(pipeline, "{what}");
            }
        }
        Report::Interrupted => {
            tracing::warn!(pipeline, "an operator's call was ended, since the pipeline ends: its batch is read again");
        }
        Report::Flushed(rows) => {
            status.meters.rows.add(rows);
            status.meters.flushes.add(1);
        }
        Report::Letters(letters) => status.meters.dead_letters.add(letters),
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

/// The same of what a pipeline says between its runs.
pub fn tell_life(status: &Status, report: LifeReport) {
    let pipeline = status.name();
    let is_news = report.state().is_some_and(|(state, reason)| status.set(state, reason));
    match report {
        LifeReport::Waits(_, reason) if is_news => tracing::warn!(pipeline, "waiting: {reason}"),
        LifeReport::Held(reason) if is_news => tracing::warn!(pipeline, "holding: {reason}"),
        LifeReport::Moved(reason) => tracing::info!(pipeline, "begins anew: {reason}"),
        LifeReport::Replaced(reason) => tracing::warn!(pipeline, "begins anew: {reason}"),
        LifeReport::Disabled { culprit: Culprit::Operator, reason, wait } if is_news => {
            tracing::error!(pipeline, ?wait, "operator disabled, tried again after the wait: {reason}");
        }
        LifeReport::Disabled { culprit: Culprit::Host, reason, wait } if is_news => {
            tracing::error!(pipeline, ?wait, "disabled, goes on after the wait: {reason}");
        }
        LifeReport::Stopped { reason, news: true } => tracing::error!(pipeline, "stopped: {reason}"),
        LifeReport::NotKept(reason) => {
            tracing::warn!(pipeline, "the last good generation can't be run: {reason}");
        }
        LifeReport::OthersInstead(reason) => {
            tracing::warn!(pipeline, "the last good generation can't be opened, the newest is tried: {reason}");
        }
        LifeReport::Waits(..)
        | LifeReport::Held(_)
        | LifeReport::Disabled { .. }
        | LifeReport::Stopped { .. }
        | LifeReport::Compiling(_)
        | LifeReport::Compiled
        | LifeReport::Finished => {}
    }
}

fn log(pipeline: &str, lost: Lost, line: LeftOutLine) {
    let LeftOutLine { place, unsaid, example, reason } = line;
    match (lost, example) {
        (Lost::Record, None) => tracing::warn!(pipeline, place, unsaid, "rejected: {reason}"),
        (Lost::Record, Some(first)) => tracing::warn!(pipeline, place, unsaid, first, "left out: {reason}"),
        (Lost::Value, first) => tracing::warn!(pipeline, place, unsaid, first, "dropped: {reason}"),
    }
}
