//! Groups of windows: a group's key ends in its window's start and end, and it lives until the window is over.
//!
//! ```text
//! times ──place──▶ rows and spans ──(sessions: join)──▶ keys with window_start, window_end ──▶ accumulate
//! watermark ──▶ timers ──seal──▶ rows of what closed; groups that are over are dropped
//! ```
//!
//! All groups of open windows are in memory, so that the store is asked for none of them: what closes is known without it.

use std::sync::Arc;

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, PrimitiveArray, UInt32Array};
use arrow_select::take::take;

use super::{Fold, FoldError, Groups, Mark, picked};
use crate::checkpoint::Changes;
use crate::interval::Partition;
use crate::operator::{Operator, OperatorError};
use crate::row;
use crate::schema::{Field, Kind};
use crate::window::{EventTimes, Placed, Sessions, Span, Timers, Window, WindowOptions, Windows};

/// The columns that follow a windowed fold's keys.
pub const WINDOW_COLUMNS: [&str; 2] = ["window_start", "window_end"];

/// Bytes of the window's columns at the end of a key: a tag and 8 bytes each.
const WINDOW_KEY: usize = 18;

/// Memory of a group's window, in bytes: its span, its timer with a share of the tree, a session with its key.
const WINDOW_BYTES: usize = 128;

/// Windows of a fold.
pub(super) struct Windowed {
    pub(super) windows: Windows,
    /// The window of each group in memory.
    pub(super) spans: Vec<Span>,
    /// Times at which groups close, or are to be dropped.
    pub(super) timers: Timers<u32>,
    pub(super) sessions: Sessions,
    /// The watermark as of the last seal: groups that ended by it were shown as closed.
    pub(super) sealed_at: Option<i64>,
    /// Groups that were dropped since the last seal.
    pub(super) dropped: Changes,
    /// Dropped groups that still have a number.
    gone: usize,
}

impl Windowed {
    /// Returns the time of the next action for a group of this window: to show it as closed, or to drop it.
    pub(super) fn next_time(&self, span: Span) -> i64 {
        let closed = self.sealed_at.is_some_and(|sealed_at| span.end <= sealed_at);
        if closed { self.over_at(span) } else { span.end }
    }

    /// Returns the time when a group of this window is dropped.
    pub(super) fn over_at(&self, span: Span) -> i64 {
        span.end.saturating_add(self.windows.options().keep_for())
    }
}

impl Fold {
    /// Adds windows to the fold. To be called before the first row.
    pub fn windowed(mut self, options: WindowOptions) -> Fold {
        self.form.keys.extend(WINDOW_COLUMNS.map(|name| Field::new(name, Kind::Timestamp)));
        self.form.window = Some(options.window);
        self.groups = Groups::new(self.form.keys.iter().map(|field| field.kind).collect());
        self.windowed = Some(Windowed {
            windows: Windows::new(options),
            spans: Vec::new(),
            timers: Timers::default(),
            sessions: Sessions::default(),
            sealed_at: None,
            dropped: Changes::default(),
            gone: 0,
        });
        self
    }

    /// Gives access to the windows, to which the host reports its partitions and the times of the checkpoint; none for a fold
    /// without windows.
    pub fn windows(&mut self) -> Option<&mut Windows> {
        self.windowed.as_mut().map(|windowed| &mut windowed.windows)
    }

    /// Returns the part of the watermark that a checkpoint keeps.
    pub fn event_times(&self) -> EventTimes {
        self.windowed.as_ref().map(|windowed| windowed.windows.times()).unwrap_or_default()
    }

    /// Goes on from a checkpoint: where time was, and all groups of open windows. After [`Fold::keep`].
    pub fn resume(&mut self, times: &EventTimes, operator: &mut dyn Operator) -> Result<(), FoldError> {
        let Some(windowed) = &mut self.windowed else { return Ok(()) };
        windowed.windows.watermark().resume(times);
        windowed.sealed_at = windowed.windows.watermark().passed();
        self.load_all(operator)?;
        self.admit_windows()
    }

    /// Finds the windows of rows with these partitions and times, in the order of the source; none for a fold without windows.
    /// Changes nothing.
    pub fn place(&self, rows: impl Iterator<Item = (Partition, Option<i64>)>) -> Option<Placed> {
        self.windowed.as_ref().map(|windowed| windowed.windows.place(rows))
    }

    /// Adds the rows that have a place: `columns` are the transform's result, of which the planned ones must be there.
    pub fn accumulate_placed(
        &mut self,
        operator: &mut dyn Operator,
        columns: &[Option<ArrayRef>],
        mut placed: Placed,
    ) -> Result<(), FoldError> {
        self.make_room()?;
        let rows = placed.rows.len();
        let places = UInt32Array::from(std::mem::take(&mut placed.rows));
        if rows > 0 {
            let mut keys = taken(&picked(columns, &self.plan.keys)?, &places)?;
            let values = taken(&picked(columns, &self.plan.values)?, &places)?;
            let moves = self.join_sessions(&keys, &mut placed.spans)?;
            keys.extend(bounds(&placed.spans));
            let known = self.groups.len();
            self.assign(&keys, rows, operator)
                .and_then(|()| self.move_states(operator, &moves))
                .and_then(|()| self.add(operator, rows, &values))
                .inspect_err(|_| self.forget_from(known))?;
            for moved in &moves {
                self.drop_group(moved.from);
            }
            self.admit_windows()?;
        }
        if let Some(windowed) = &mut self.windowed {
            *windowed.windows.watermark() = placed.watermark;
            windowed.windows.watermark().advance();
        }
        Ok(())
    }

    /// Groups that changed, and one more if windows have ended: whether there is anything to seal.
    pub fn waiting(&self) -> usize {
        let due = self.windowed.as_ref().is_some_and(|windowed| {
            windowed.windows.passed().is_some_and(|watermark| windowed.timers.is_due(watermark))
        });
        self.changed.len() + usize::from(due)
    }

    /// Returns the memory that the windows of all groups take, in bytes.
    pub(super) fn window_bytes(&self) -> usize {
        self.windowed.as_ref().map_or(0, |windowed| windowed.spans.len() * WINDOW_BYTES)
    }

    /// Takes the windows of groups that are new in memory from their keys.
    fn admit_windows(&mut self) -> Result<(), FoldError> {
        let Some(windowed) = &mut self.windowed else { return Ok(()) };
        let session = matches!(windowed.windows.options().window, Window::Session { .. });
        for group in (windowed.spans.len()..self.groups.len()).filter_map(|group| u32::try_from(group).ok()) {
            let (base, span) = split(self.groups.key(group)).ok_or_else(|| {
                OperatorError::Contract("a group's key doesn't end in the bounds of a window".to_owned())
            })?;
            windowed.spans.push(span);
            windowed.timers.set(windowed.next_time(span), group);
            if session {
                windowed.sessions.open(base, span);
            }
        }
        Ok(())
    }

    /// Drops a group whose rows another one has taken over.
    fn drop_group(&mut self, group: u32) {
        self.take_out(group, |dropped, key| dropped.push(key, None));
    }

    /// Drops a group whose time is over.
    pub(super) fn end_group(&mut self, group: u32) {
        self.take_out(group, Changes::end);
    }

    /// Takes a group out of all but the numbering: its number stays until there are enough of them to be worth a copy of the others.
    fn take_out(&mut self, group: u32, note: impl FnOnce(&mut Changes, &[u8])) {
        let Some(windowed) = &mut self.windowed else { return };
        self.groups.forget(group);
        let mark = &mut self.marks[group as usize];
        (mark.unshown, mark.unstored, mark.gone) = (false, false, true);
        let span = windowed.spans[group as usize];
        windowed.timers.cancel(windowed.next_time(span), group);
        let key = self.groups.key(group);
        if let Some((base, span)) = split(key) {
            windowed.sessions.close(base, span);
        }
        note(&mut windowed.dropped, key);
        windowed.gone += 1;
    }

    /// Numbers the groups anew if at least `least` of them were dropped. To be called at a batch boundary.
    pub(super) fn compact(&mut self, least: usize) {
        let Some(windowed) = self.windowed.as_mut().filter(|windowed| windowed.gone >= least) else { return };
        let live = |(group, mark): (u32, &Mark)| (!mark.gone).then_some(group);
        let kept: Vec<u32> = (0u32..).zip(&self.marks).filter_map(live).collect();
        windowed.spans = kept.iter().map(|group| windowed.spans[*group as usize]).collect();
        windowed.gone = 0;
        windowed.timers = Timers::default();
        for group in (0u32..).take(kept.len()) {
            let span = windowed.spans[group as usize];
            windowed.timers.set(windowed.next_time(span), group);
        }
        self.keep_only(&kept);
        if let Some(backing) = &mut self.backing {
            // What isn't in memory is dropped from the store, too.
            backing.complete = true;
        }
    }

    /// Groups of open windows never leave memory, so that there must be room for them.
    fn make_room(&mut self) -> Result<(), FoldError> {
        let lacks_room = |fold: &Fold| fold.bytes() > fold.keeping.memory;
        if lacks_room(self) {
            self.compact(1);
        }
        if lacks_room(self) {
            return Err(FoldError::Windows { memory: self.keeping.memory });
        }
        Ok(())
    }
}

/// The window's columns, for each span.
fn bounds(spans: &[Span]) -> [ArrayRef; 2] {
    let column = |bound: fn(&Span) -> i64| -> ArrayRef {
        Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter_values(spans.iter().map(bound)))
    };
    [column(|span| span.start), column(|span| span.end)]
}

/// The bytes of a windowed group's key without its window, and the window.
fn split(key: &[u8]) -> Option<(&[u8], Span)> {
    let (base, window) = key.split_at_checked(key.len().checked_sub(WINDOW_KEY)?)?;
    let (start, end) = window.split_at_checked(WINDOW_KEY / 2)?;
    let bound = |bytes: &[u8]| Some(i64::from_le_bytes(*bytes.last_chunk::<8>()?));
    Some((base, Span { start: bound(start)?, end: bound(end)? }))
}

/// The key of a window's group.
pub(super) fn key_of(base: &[u8], span: Span) -> Vec<u8> {
    let mut key = base.to_vec();
    [span.start, span.end].into_iter().for_each(|bound| row::encode_timestamp(bound, &mut key));
    key
}

fn taken(columns: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>, OperatorError> {
    let all = |column: &ArrayRef| column.len() == rows.len() && rows.values().iter().copied().eq(0..rows.len() as u32);
    let some = |column: &ArrayRef| {
        take(column, rows, None).map_err(|e| OperatorError::Limit(format!("the rows' windows are too many: {e}")))
    };
    columns.iter().map(|column| if all(column) { Ok(Arc::clone(column)) } else { some(column) }).collect()
}
