//! The rows of a batch into their windows.

use super::{EventTimes, Late, Span, Watermark, Window, WindowOptions};
use crate::interval::Partition;

/// Decides for each row which windows it counts in.
#[derive(Debug)]
pub struct Windows {
    options: WindowOptions,
    watermark: Watermark,
}

/// Windows of the rows of a batch. A place is one row in one window.
#[derive(Debug)]
pub struct Placed {
    /// Row of each place. A row that is in several windows appears once for each of them.
    pub rows: Vec<u32>,
    /// The window of each place. A session's is the span that the row opens.
    pub spans: Vec<Span>,
    /// Rows that are at fault, and why. Late rows that are just dropped aren't among them.
    pub unplaced: Vec<(u32, Unplaced)>,
    /// Rows that came after the end of one of their windows, whatever became of them.
    pub late: usize,
    /// The watermark once the batch counts.
    pub watermark: Watermark,
}

/// Reason why a row that counts in no window is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// The row has no time.
    #[error("its time is null, so that it is in no window")]
    NoTime,
    /// The row's window would begin or end beyond the range of a timestamp.
    #[error("its time is too far from 1970 for a window")]
    BeyondTime,
    /// All windows of the row were over.
    #[error("late: its window was over when it came")]
    Late,
}

impl Windows {
    /// Windows at the beginning of time.
    pub fn new(options: WindowOptions) -> Windows {
        Windows { options, watermark: Watermark::new(options.lateness, options.idle_after) }
    }

    /// Returns the options that the pipeline sets.
    pub fn options(&self) -> &WindowOptions {
        &self.options
    }

    /// Returns the position of the watermark.
    pub fn passed(&self) -> Option<i64> {
        self.watermark.passed()
    }

    /// Returns the part of the watermark that a checkpoint keeps.
    pub fn times(&self) -> EventTimes {
        self.watermark.times()
    }

    /// Gives access to the watermark, for a caller that moves it.
    pub fn watermark(&mut self) -> &mut Watermark {
        &mut self.watermark
    }

    /// Finds the windows of these rows. Each row is given by its partition and time, in the order of the source. Changes nothing:
    /// the caller sets the watermark once the rows count.
    pub fn place(&self, rows: impl Iterator<Item = (Partition, Option<i64>)>) -> Placed {
        let (least, _) = rows.size_hint();
        let mut placed = Placed {
            rows: Vec::with_capacity(least),
            spans: Vec::with_capacity(least),
            unplaced: Vec::new(),
            late: 0,
            watermark: self.watermark.clone(),
        };
        // A batch has far fewer rows than u32::MAX.
        for (row, (partition, time)) in (0u32..).zip(rows) {
            if let Err(reason) = self.place_row(row, partition, time, &mut placed) {
                placed.unplaced.push((row, reason));
            }
        }
        placed
    }

    fn place_row(
        &self,
        row: u32,
        partition: Partition,
        time: Option<i64>,
        placed: &mut Placed,
    ) -> Result<(), Unplaced> {
        let time = time.ok_or(Unplaced::NoTime)?;
        let spans = self.options.window.spans(time).ok_or(Unplaced::BeyondTime)?;
        let judged_by = placed.watermark.of(partition);
        placed.watermark.see(partition, time);
        let (before, mut late) = (placed.rows.len(), false);
        for span in spans {
            let over = self.over_by(time, span);
            late |= judged_by.is_some_and(|moment| over <= moment);
            if judged_by.is_none_or(|moment| over.saturating_add(self.options.keep_for()) > moment) {
                placed.rows.push(row);
                placed.spans.push(span);
            }
        }
        placed.late += usize::from(late);
        if placed.rows.len() > before || self.options.late == Late::Drop { Ok(()) } else { Err(Unplaced::Late) }
    }

    /// Returns the moment from which a row of this time is too late for the span. A session without this row could be closed as
    /// soon as the row's own moment has passed.
    fn over_by(&self, time: i64, span: Span) -> i64 {
        match self.options.window {
            Window::Session { .. } => time.saturating_add(1),
            Window::Tumbling { .. } | Window::Hopping { .. } => span.end,
        }
    }
}
