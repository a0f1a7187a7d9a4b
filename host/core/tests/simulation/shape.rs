//! Pipelines of the simulation: their steps, windows and sinks.

use std::time::Duration;

use fastrand::Rng;
use sluice_core::chain::Join;
use sluice_core::share::Want;
use sluice_core::window::{Emit, Late, Length, Window, WindowOptions};

use crate::world::UNIT;

/// Shape of a pipeline: what it does with its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Rows are the records as they are.
    Rows,
    /// A sum for each key.
    Sums,
    /// A sum for each key and window.
    Windows(WindowOptions),
}

/// A pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipeline {
    pub shape: Shape,
    /// Number of tables that its rows go to.
    pub sinks: usize,
    /// The last of them takes rows and intervals in one transaction.
    pub transaction: bool,
    /// Dead letters go into that transaction, too.
    pub letters_in_transaction: bool,
    /// Every version takes the same rows, and nobody retries letters: what a window holds when it closes is the same after a crash.
    pub steady: bool,
    /// Rows are joined with a table by their key, before all else.
    pub join: Option<Join>,
    /// The time that groups live after their last row, in microseconds.
    pub ttl: Option<i64>,
    /// Runs may be told to end where the topic ends as they begin.
    pub ends: bool,
    /// The first table is told which groups have ended, and has no rows of those.
    pub tombstones: bool,
    /// The number of hosts that have its file.
    pub hosts: usize,
}

impl Pipeline {
    pub fn any(rng: &mut Rng) -> Pipeline {
        let shape = Shape::any(rng);
        let transaction = shape.windows().is_none() && rng.u8(0..3) == 0;
        let may_have_hosts = shape == Shape::Rows || shape == Shape::Sums && !transaction;
        let hosts = if may_have_hosts && rng.u8(0..3) == 0 { 2 } else { 1 };
        let joins = [Join::Inner, Join::Left, Join::Required];
        let sinks = rng.usize(1..=2);
        Pipeline {
            shape,
            sinks,
            transaction,
            letters_in_transaction: transaction && rng.bool(),
            // A fold that takes over goes on from its own checkpoint: what others took in again meanwhile isn't in it.
            steady: rng.u8(0..3) == 0 || hosts > 1 && shape.folds(),
            // What has no time that a window can have is at fault, even if it would be left out as nobody knows its key.
            join: (rng.u8(0..4) == 0).then(|| *pick(rng, if shape.windows().is_some() { &joins[1..] } else { &joins })),
            ttl: (shape == Shape::Sums && hosts == 1 && rng.u8(0..3) == 0).then(|| rng.i64(100..1_500)),
            ends: rng.u8(0..4) == 0,
            tombstones: shape.folds() && rng.bool() && !(transaction && sinks == 1),
            hosts,
        }
    }

    /// Returns what a host needs of the topic.
    pub fn want(self) -> Want {
        if self.shape.folds() || self.transaction { Want::Whole } else { Want::Any }
    }

    /// Says whether the first table's server refuses rows that no other server does. It doesn't where two tables have other rows of a
    /// flush: the second would have what the first one's refuses.
    pub fn has_refusals(self) -> bool {
        !self.shape.folds() && (self.sinks == 1 || !self.inserts())
    }

    /// Rows are inserted and never replaced, so that one that came twice is there twice.
    pub fn inserts(self) -> bool {
        self.transaction && self.shape == Shape::Rows
    }
}

impl Shape {
    fn any(rng: &mut Rng) -> Shape {
        match rng.u8(0..8) {
            0..2 => Shape::Rows,
            2..5 => Shape::Sums,
            _ => Shape::Windows(windows(rng)),
        }
    }

    pub fn folds(self) -> bool {
        self != Shape::Rows
    }

    pub fn windows(self) -> Option<WindowOptions> {
        match self {
            Shape::Windows(options) => Some(options),
            Shape::Rows | Shape::Sums => None,
        }
    }

    /// Says whether windows may go on without a silent partition, so that the host's clock has a say in what is late.
    pub fn idles(self) -> bool {
        self.windows().is_some_and(|options| options.idle_after < Duration::MAX)
    }
}

/// Some windows, as a configuration may ask for them: those of sessions are written once, and take no updates.
fn windows(rng: &mut Rng) -> WindowOptions {
    let window = window(rng);
    let session = matches!(window, Window::Session { .. });
    let keep_for = micros(*pick(rng, &[40, 300]));
    let lates = [Late::Drop, Late::Reject, Late::Update { keep_for }];
    WindowOptions {
        window,
        lateness: micros(*pick(rng, &[0, 30, 100])),
        idle_after: *pick(rng, &[Duration::MAX, UNIT * 60]),
        emit: if session || rng.bool() { Emit::Closed } else { Emit::Changes },
        late: *pick(rng, if session { &lates[..2] } else { &lates }),
    }
}

fn window(rng: &mut Rng) -> Window {
    let length = |micros| Length::try_from(micros).unwrap();
    match rng.u8(0..3) {
        0 => Window::Tumbling { size: length(*pick(rng, &[1, 40, 100])) },
        1 => Window::hopping(length(30 * rng.i64(1..=4)), length(30)).unwrap(),
        _ => Window::Session { gap: length(rng.i64(1..60)) },
    }
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(0..choices.len())]
}
