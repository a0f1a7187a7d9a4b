//! Starts say where each partition is read from, as a number.

use std::collections::BTreeMap;

use sluice_core::share::{Want, resume_at};
use sluice_core::{Offset, Partition};

use super::claim::Claim;
use super::topic::{Edge, PATIENCE, Topic};
use crate::source::{SourceError, Start};

/// Finds where to start.
pub(super) struct Starts<'a> {
    pub topic: &'a Topic,
    /// The number of the topic's partitions.
    pub count: i32,
    /// The claim on those of them that are read; none for everything.
    pub claim: Option<&'a Claim>,
}

impl Starts<'_> {
    pub fn find(&self, start: &Start) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let partitions = self.partitions();
        self.check(start)?;
        match (start, self.wanders(start)) {
            (Start::Committed, _) => self.resumed(&partitions, &self.committed(&partitions)?, "the committed offset"),
            (Start::At(ends), false) => self.resumed(&partitions, ends, "the checkpoint's offset"),
            (Start::Earliest, false) => self.topic.edges(&partitions, Edge::Beginning, PATIENCE),
            (Start::Latest, false) => self.topic.edges(&partitions, Edge::End, PATIENCE),
            (start, true) => self.agreed(&partitions, start),
        }
    }

    /// Refuses a start that would leave records out. A fold that takes over without a checkpoint must read everything: what it
    /// would leave out is in the totals of the host before.
    fn check(&self, start: &Start) -> Result<(), SourceError> {
        let takes_over = self.claim.is_some_and(|claim| claim.want() == Want::Whole && !claim.share().alone);
        match start {
            Start::Latest | Start::Committed if takes_over => Err(SourceError::Unusable(format!(
                "another host has counted {} so far, this one has no checkpoint, and its `start` leaves out what was counted: \
                 set start = \"earliest\", or bring over the other's checkpoint with `sluice state export` and `import`",
                self.topic.name
            ))),
            _ => Ok(()),
        }
    }

    fn partitions(&self) -> Vec<Partition> {
        match self.claim {
            Some(claim) => claim.share().partitions.iter().copied().collect(),
            None => (0..self.count).map(Partition).collect(),
        }
    }

    /// Says whether other hosts may have read the partitions further. A pipeline that begins alone begins as it is told to.
    fn wanders(&self, start: &Start) -> bool {
        let shared = self.claim.filter(|claim| claim.want() == Want::Any);
        shared.is_some_and(|claim| matches!(start, Start::At(_)) || !claim.share().alone)
    }

    /// Returns the group's commit for each partition, or the pipeline's checkpoint where there is none; the start where there is
    /// neither.
    fn agreed(&self, partitions: &[Partition], start: &Start) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let committed = self.committed(partitions)?;
        let none = BTreeMap::new();
        let checkpoint = if let Start::At(ends) = start { ends } else { &none };
        let at = |partition: &Partition| {
            let at = resume_at(checkpoint.get(partition).copied(), committed.get(partition).copied())?;
            Some((*partition, at))
        };
        let mut ends: BTreeMap<_, _> = partitions.iter().filter_map(at).collect();
        if *start == Start::Latest {
            let new: Vec<_> = partitions.iter().filter(|partition| !ends.contains_key(partition)).copied().collect();
            if !new.is_empty() {
                ends.extend(self.topic.edges(&new, Edge::End, PATIENCE)?);
            }
        }
        self.resumed(partitions, &ends, "the offset that this host or its group is at,")
    }

    fn committed(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        match self.claim {
            Some(claim) => self.topic.committed(claim.client()?.as_ref(), partitions, PATIENCE),
            None => self.topic.committed(&self.topic.consumer, partitions, PATIENCE),
        }
    }

    /// Returns the offset where reading goes on in each partition, if the topic has it, or else the partition's oldest record.
    fn resumed(
        &self,
        partitions: &[Partition],
        ends: &BTreeMap<Partition, Offset>,
        what: &str,
    ) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let topic = self.topic;
        let mut starts = topic.edges(partitions, Edge::Beginning, PATIENCE)?;
        let last = topic.edges(partitions, Edge::End, PATIENCE)?;
        for (partition, end) in ends {
            let at = format!("{what} {end}");
            if partition.0 >= self.count {
                let there = format!("it has {} partitions", self.count);
                return Err(SourceError::Unusable(gone(&topic.name, *partition, &at, &there)));
            }
            // Others have what isn't there.
            let (Some(start), Some(last)) = (starts.get_mut(partition), last.get(partition)) else { continue };
            if end < start || end > last {
                let there = format!("it has {start} to {last}");
                return Err(SourceError::Unusable(gone(&topic.name, *partition, &at, &there)));
            }
            *start = *end;
        }
        Ok(starts)
    }
}

/// The sentence that says what to do about an offset that isn't there any more.
pub(super) fn gone(topic: &str, partition: Partition, at: &str, there: &str) -> String {
    format!(
        "{topic} [{partition}] no longer has {at}: {there}; its retention is too short for how far behind the pipeline is, \
         or the topic was made anew: keep records longer, and start over, with `sluice state reset` where the pipeline has a \
         checkpoint and start = \"earliest\", or restore the records"
    )
}
