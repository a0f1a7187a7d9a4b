//! Eviction: groups leave memory once their state is committed and others are needed more.

use super::{Fold, Mark};

/// Share of a fold's memory that may change between two seals: one part in so many. A flush copies the changed part: as rows, as
/// changes, as a commit and in the store's memory, some three times as much in all. A smaller share writes groups that change
/// again and again more often; a larger one makes the flush of a burst take more memory than the groups.
const CHANGED_PART: usize = 4;

impl Fold {
    /// The memory that groups take, in bytes.
    pub fn bytes(&self) -> usize {
        let a_group = size_of::<Mark>() + size_of::<(u64, i32)>();
        self.groups.bytes() + self.states.bytes() + self.marks.len() * a_group + self.window_bytes()
    }

    /// Returns true if the groups take more memory than they may, and some could leave it. Groups of windows can't.
    pub fn is_over(&self) -> bool {
        self.backing.is_some() && self.windowed.is_none() && self.bytes() > self.keeping.memory
    }

    /// Says whether groups take more memory than they may, and none can leave it.
    pub fn is_stuck(&self) -> bool {
        self.is_over() && !self.groups.is_empty() && self.evictable().next().is_none()
    }

    /// Returns true if no more rows may be added before a flush: the groups take too much memory, or too much of it changed since
    /// the last flush.
    pub fn is_full(&self) -> bool {
        let a_group = self.bytes() / self.groups.len().max(1);
        self.is_over() || self.backing.is_some() && self.changed.len() * a_group > self.keeping.memory / CHANGED_PART
    }

    /// Notes that the changes of this flush, and of all flushes before it, are in the store.
    pub fn set_committed(&mut self, flush: u64) {
        self.committed = flush;
    }

    /// Drops the groups that were needed longest ago from memory, about half of those that may leave, if groups take too much of
    /// it. Called at a batch boundary. A group may leave once its current state is committed. Groups that can't leave stay, so
    /// the fold may still be over its bound; the caller must then wait for a commit.
    pub fn evict(&mut self) {
        if !self.is_over() {
            return;
        }
        if self.groups.is_empty() {
            // Buffers that were once large: those of a batch that could not be taken in, say.
            self.keep_only(&[]);
            return;
        }
        let mut ages: Vec<u64> = self.evictable().map(|group| self.batch.place[group as usize].0).collect();
        if ages.is_empty() || ages.len() * 4 < self.groups.len() {
            // Too little would come of it: rebuilding costs as much as what stays.
            return;
        }
        let middle = ages.len() / 2;
        let (_, cutoff, _) = ages.select_nth_unstable(middle);
        let kept = self.kept(*cutoff);
        self.keep_only(&kept);
    }

    /// Returns the groups that stay, in their order, when the groups leave that may and that were last needed in the batch
    /// `cutoff` or before.
    fn kept(&self, cutoff: u64) -> Vec<u32> {
        let mut going = self.evictable().filter(|group| self.batch.place[*group as usize].0 <= cutoff).peekable();
        (0u32..).take(self.groups.len()).filter(|group| going.next_if_eq(group).is_none()).collect()
    }

    fn evictable(&self) -> impl Iterator<Item = u32> + '_ {
        let free = |mark: &Mark| !mark.listed && !mark.unstored && mark.sealed <= self.committed;
        (0u32..).zip(&self.marks).filter(move |(_, mark)| free(mark)).map(|(group, _)| group)
    }

    /// Numbers the kept groups anew.
    pub(super) fn keep_only(&mut self, kept: &[u32]) {
        let states = self.states.gather(kept);
        self.groups = self.groups.only(kept);
        self.marks = kept.iter().map(|group| self.marks[*group as usize]).collect();
        self.batch.place =
            kept.iter().map(|group| self.batch.place.get(*group as usize).copied().unwrap_or_default()).collect();
        self.relist();
        if let Some(walk) = &mut self.walk {
            walk.renumber(kept);
        }
        self.states = super::States::new(&self.form.columns);
        self.states.resize(kept.len());
        let all: Vec<u32> = (0u32..).take(kept.len()).collect();
        // The arrays were just gathered from columns of the same kinds.
        let _ = self.states.scatter(&all, &states);
        if let Some(backing) = &mut self.backing {
            backing.complete = false;
        }
    }

    /// Finds the listed groups and the held ones by their marks: their numbers have changed.
    pub(super) fn relist(&mut self) {
        let of = |listed: fn(&Mark) -> bool| {
            (0u32..).zip(&self.marks).filter(move |(_, mark)| listed(mark)).map(|(group, _)| group)
        };
        (self.changed, self.held) = (of(|mark| mark.listed).collect(), of(|mark| mark.held).collect());
    }
}
