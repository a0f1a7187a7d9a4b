//! A pipeline's place among the hosts that read its topic as the same group.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sluice_connectors::kafka::Membership;
use sluice_connectors::source::SourceError;
use sluice_core::share::{Share, Standing, Want};
use sluice_runtime::{Artifact, World};

use crate::config;
use crate::connections::Connections;

/// Longest wait for news of this host's share after a run was refused a write. After it, the pipeline begins a new run to find
/// out.
const SETTLE: Duration = Duration::from_secs(2);

/// Holds the membership from run to run.
pub struct GroupMember {
    host: String,
    membership: Option<(Want, Arc<Membership>)>,
    saw_others: bool,
    /// The share that the run, or the last one, is on; none if its partitions aren't shared.
    share: Option<Share>,
}

impl GroupMember {
    /// Makes the place of this host, which has not joined yet.
    pub fn of(host: &str) -> GroupMember {
        GroupMember { host: host.to_owned(), membership: None, saw_others: false, share: None }
    }

    /// Joins the group for what the pipeline needs with these operators, unless it has; none if the source's partitions aren't
    /// shared.
    pub async fn join(
        &mut self,
        pipeline: &config::Pipeline,
        artifacts: &BTreeMap<String, Artifact>,
        connections: &Connections,
    ) -> Result<Option<Arc<Membership>>, SourceError> {
        let want = want(pipeline, artifacts);
        if self.membership.as_ref().is_some_and(|(wanted, _)| *wanted != want) {
            self.leave().await;
        }
        if self.membership.is_none() {
            let joined = connections.join(&pipeline.source, want, &self.host, !self.saw_others)?;
            self.membership = joined.map(|membership| (want, Arc::new(membership)));
        }
        Ok(self.membership.as_ref().map(|(_, membership)| Arc::clone(membership)))
    }

    /// Leaves the group, so that others take over at once.
    pub async fn leave(&mut self) {
        let Some((_, membership)) = self.membership.take() else { return };
        self.saw_others |= !membership.is_alone();
        // It blocks until the group was told. A panic in there was logged.
        let _ = tokio::task::spawn_blocking(move || membership.leave()).await;
    }

    /// A run on this share begins.
    pub fn work_on(&mut self, share: Option<Share>) {
        self.share = share;
    }

    /// Returns once this host no longer has exactly the share that the run is on.
    pub async fn moved(&self) {
        let (Some((_, membership)), Some(share)) = (&self.membership, &self.share) else { return pending().await };
        // The membership is there, and so is who tells of it.
        let _ = membership.standing().wait_for(|standing| !standing.is_of(share.epoch)).await;
    }

    /// The same, but not for long.
    pub async fn settle(&self) {
        // Either way it is asked anew.
        let _ = tokio::time::timeout(SETTLE, self.moved()).await;
    }

    /// Returns once the partitions that this host needs are free, or other hosts than before have them.
    pub async fn changed_from(&self, held: &str) {
        let Some((_, membership)) = &self.membership else { return };
        let is_held = |standing: &Standing| matches!(standing, Standing::Held(reason) if reason == held);
        let _ = membership.standing().wait_for(|standing| !is_held(standing)).await;
    }
}

/// Returns the partitions that the pipeline needs. A fold's totals are of the whole topic; and where rows and intervals are one
/// transaction, one host moves the intervals, and reading goes on from them, whatever the group has committed.
fn want(pipeline: &config::Pipeline, artifacts: &BTreeMap<String, Artifact>) -> Want {
    let folds = artifacts.values().any(|artifact| artifact.world() == World::Aggregator);
    if folds || pipeline.transaction().is_some() { Want::Whole } else { Want::Any }
}
