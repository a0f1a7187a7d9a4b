//! What a pipeline says about its windows.

use std::time::Duration;

use super::Window;

/// How a fold step is windowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// How time is cut.
    pub window: Window,
    /// How far behind the greatest time of its partition a row may come and be in time for certain.
    pub lateness: Duration,
    /// How long a partition has nothing to read before time goes on without it.
    pub idle_after: Duration,
    /// When rows are written.
    pub emit: Emit,
    /// What becomes of rows whose windows are over.
    pub late: Late,
}

/// When a window's rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// With each flush, those of the groups that changed.
    Changes,
    /// Once, when the watermark has passed the window's end.
    Closed,
}

/// What becomes of a row whose windows are over. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It is left out.
    Drop,
    /// It is rejected, with a reason.
    Reject,
    /// It counts, and the window's row is written again. States are kept this long (in the rows' time) after their
    /// window's end; a row that comes even later is rejected.
    Update {
        /// How long.
        keep_for: Duration,
    },
}

impl WindowOptions {
    /// How long in the rows' time a state is kept after its window's end, in microseconds.
    pub fn keep_for(&self) -> i64 {
        match self.late {
            Late::Update { keep_for } => micros(keep_for),
            Late::Drop | Late::Reject => 0,
        }
    }
}

/// The duration in microseconds; one that is too long for that is as good as endless.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
