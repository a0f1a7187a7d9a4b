//! Treatment of groups as their windows close: they are shown, stored, dropped.

use super::Fold;
use super::windowed::Windowed;
use crate::checkpoint::Changes;
use crate::window::Emit;

/// Least number of dropped groups that is worth a copy of the others, provided that they are half of all. Fewer: a small fold is
/// copied at each close.
const MIN_GONE: usize = 1_024;

impl Windowed {
    /// Iterates over the groups whose timer has ended: they must be shown as closed, or dropped.
    pub(super) fn due(&self) -> impl Iterator<Item = u32> + '_ {
        self.windows.passed().into_iter().flat_map(|watermark| self.timers.due(watermark)).copied()
    }

    /// Returns two answers: whether a group is to be shown, and whether its state is worth being stored.
    pub(super) fn what(&self, group: u32, changed: bool) -> (bool, bool) {
        let (span, watermark) = (self.spans[group as usize], self.windows.passed());
        let closed = watermark.is_some_and(|watermark| span.end <= watermark);
        let news = changed || self.sealed_at.is_none_or(|sealed_at| sealed_at < span.end);
        let shown = match self.windows.options().emit {
            Emit::Changes => changed,
            // Once, unless a late row changed it.
            Emit::Closed => closed && news,
        };
        let over = watermark.is_some_and(|watermark| self.over_at(span) <= watermark);
        (shown, !over)
    }
}

impl Fold {
    /// Returns the groups that are dropped with the next seal.
    pub(super) fn over(&self) -> Vec<u32> {
        let Some(windowed) = &self.windowed else { return Vec::new() };
        let over = |group: &u32| {
            let at = windowed.over_at(windowed.spans[*group as usize]);
            windowed.windows.passed().is_some_and(|watermark| at <= watermark)
        };
        windowed.due().filter(over).collect()
    }

    /// Finishes the windows that were due. Drops the groups `over`; sets a new timer for other groups that closed. The dropped
    /// groups since the last seal are added to the changes; during a trial they wait until it is over.
    pub(super) fn end_windows(&mut self, over: Vec<u32>, changes: &mut Changes) {
        for group in over {
            self.end_group(group);
        }
        let Some(windowed) = &mut self.windowed else { return };
        let closed: Vec<u32> = windowed.due().collect();
        for group in &closed {
            windowed.timers.cancel(windowed.next_time(windowed.spans[*group as usize]), *group);
        }
        windowed.sealed_at = windowed.windows.passed();
        for group in closed {
            windowed.timers.set(windowed.next_time(windowed.spans[group as usize]), group);
        }
        if !self.on_trial {
            changes.append(&std::mem::take(&mut windowed.dropped));
        }
        self.compact(MIN_GONE.max(self.groups.len() / 2));
    }
}
