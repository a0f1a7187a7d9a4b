//! Options of a pipeline's windows.

use std::time::Duration;

use super::Window;

/// Options of a fold step's windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Kind of the windows, and their size.
    pub window: Window,
    /// Delay within which a row is never late: its time may be this much before the greatest time of its partition.
    pub lateness: Duration,
    /// Time without anything to read after which a partition no longer holds the watermark back.
    pub idle_after: Duration,
    /// Moment at which rows are written.
    pub emit: Emit,
    /// Treatment of rows whose windows are over.
    pub late: Late,
}

/// Moment at which a window's rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Rows are written with each flush, for the groups that changed.
    Changes,
    /// Rows are written once, when the watermark has passed the window's end.
    Closed,
}

/// Treatment of a row whose windows are over. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The row is left out.
    Drop,
    /// The row is rejected, with a reason.
    Reject,
    /// The row counts, and the window's row is written again. States are kept for `keep_for` (in the rows' time) after the end of
    /// their window; a row that comes even later is rejected.
    Update {
        /// Time for which states are kept.
        keep_for: Duration,
    },
}

impl WindowOptions {
    /// Returns the time for which a state is kept after the end of its window: microseconds of the rows' time.
    pub fn keep_for(&self) -> i64 {
        match self.late {
            Late::Update { keep_for } => micros(keep_for),
            Late::Drop | Late::Reject => 0,
        }
    }
}

/// Converts a duration to microseconds; the greatest number stands for any that is too long.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
