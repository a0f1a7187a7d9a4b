//! Telling a group how far it is, and asking whether this host may still write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use sluice_core::identity::Identity;
use sluice_core::{Offset, Partition};

use super::claim::Claim;
use super::sameness;
use super::topic::Topic;
use crate::source::{Committer, LeaseError, SourceError};

/// Commits as a member of the group, the partitions that it has alone.
pub(super) struct MemberCommitter {
    pub topic: Topic,
    pub identity: Identity,
    pub claim: Arc<Claim>,
    /// The offsets that the group was told last; at first, where reading begins.
    pub told: Mutex<BTreeMap<Partition, Offset>>,
}

impl Committer for MemberCommitter {
    fn still_same(&self) -> Result<(), LeaseError> {
        still_same(&self.topic, &self.identity)
    }

    fn may_write(&self) -> Result<(), LeaseError> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let list = list(&self.topic, &told).map_err(|error| LeaseError::Unknown(error.to_string()))?;
        self.claim.may_write(&list)
    }

    /// Waits for the coordinator's answer, and at most a session's timeout for a coordinator.
    fn commit(&self, next: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        let mine = &self.claim.share().partitions;
        let next: BTreeMap<_, _> =
            next.iter().filter(|(partition, _)| mine.contains(partition)).map(|(p, offset)| (*p, *offset)).collect();
        if next.is_empty() {
            return Ok(());
        }
        self.claim.commit(&list(&self.topic, &next)?).map_err(|error| self.topic.unanswered(&error))?;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(next);
        Ok(())
    }
}

/// Commits a group's offsets as an outsider: the group must have no members.
pub(super) struct OutsideCommitter {
    pub topic: Topic,
    pub identity: Identity,
}

impl Committer for OutsideCommitter {
    fn still_same(&self) -> Result<(), LeaseError> {
        still_same(&self.topic, &self.identity)
    }

    /// Waits for the coordinator's answer, and at most a session's timeout for a coordinator.
    fn commit(&self, next: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        if next.is_empty() {
            return Ok(());
        }
        let list = list(&self.topic, next)?;
        self.topic.consumer.commit(&list, CommitMode::Sync).map_err(|error| self.topic.unanswered(&error))
    }
}

/// Checks that the topic is still the one that the records were read of. If not, the lease is lost, and the next opening reports
/// it.
fn still_same(topic: &Topic, identity: &Identity) -> Result<(), LeaseError> {
    sameness::check(topic, identity).map_err(|error| match error {
        error @ SourceError::Another { .. } => LeaseError::Lost(error.to_string()),
        error => LeaseError::Unknown(error.to_string()),
    })
}

fn list(topic: &Topic, offsets: &BTreeMap<Partition, Offset>) -> Result<TopicPartitionList, SourceError> {
    topic.list(offsets.iter().map(|(partition, offset)| (*partition, rdkafka::Offset::Offset(offset.0))))
}
