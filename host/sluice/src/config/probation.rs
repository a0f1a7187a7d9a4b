//! `probation`: how long changed operators are on trial.

use std::time::Duration;

use sluice_core::deploy::Bounds;

use super::reader::{Item, Section};
use super::value;

/// The longest trial: no checkpoint is made until it is over, and a crash replays it.
const MAX_TIME: Duration = Duration::from_secs(3_600);

/// The most records of a trial: the groups that they change are held in memory.
const MAX_ROWS: u32 = 100_000_000;

/// Treatment of a checkpoint whose states the operators can't use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnIncompatible {
    /// The checkpoint stays, and the operators before continue to run.
    #[default]
    Refuse,
    /// The checkpoint is deleted, and the pipeline begins anew at the `start` of its source.
    Reset,
}

/// Reads the value of `on_incompatible`.
pub fn read_policy(item: &Item<'_>) -> Option<OnIncompatible> {
    item.choice(&[("refuse", OnIncompatible::Refuse), ("reset", OnIncompatible::Reset)])
}

/// Reads the table; nothing of either is no trial.
pub fn read(section: &Section<'_>) -> Option<Bounds> {
    let default = Bounds::default();
    let time = section.or("time", default.time, |item| value::duration(&item, Duration::ZERO, MAX_TIME));
    let rows = section.or("rows", default.rows, |item| item.whole(0, MAX_ROWS).map(u64::from));
    Some(Bounds { time: time?, rows: rows? })
}
