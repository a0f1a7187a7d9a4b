//! Operators that are deployed for a pipeline, and the choice of those that it is to run.

use std::collections::BTreeMap;

use sluice_core::deploy::Operators;

use super::{Deployments, short};
use crate::operators::{Artifacts, Deployed};

impl Deployments {
    /// The operators that the pipeline's file names, in the order of its steps.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns what is deployed now; [`Deployments::changed`] tells of what comes later.
    pub fn look(&mut self) -> Deployed {
        self.deployed.borrow_and_update().clone()
    }

    /// Returns what is deployed now, without taking note: [`Deployments::changed`] still tells of it.
    pub fn glance(&self) -> Deployed {
        self.deployed.borrow().clone()
    }

    /// Returns once something else is deployed, for whatever pipeline; false if nobody would tell. Safe to drop and call again.
    pub async fn changed(&mut self) -> bool {
        self.deployed.changed().await.is_ok()
    }

    /// Returns once it is known of every operator whether it is deployed; false if nobody would tell.
    pub async fn known(&mut self) -> bool {
        let Deployments { names, deployed, .. } = self;
        let names = || names.iter().map(String::as_str);
        deployed.wait_for(|deployed| deployed.unseen(names()).is_none()).await.is_ok()
    }

    /// Returns once other files of its operators are deployed than now; false if nobody would tell.
    pub async fn others(&mut self) -> bool {
        let before = self.digests();
        while self.changed().await {
            if self.digests() != before {
                return true;
            }
        }
        false
    }

    fn digests(&self) -> BTreeMap<String, String> {
        let deployed = self.deployed.borrow();
        let digest = |name: &str| Some((name.to_owned(), deployed.artifacts.get(name)?.digest().to_string()));
        self.names().filter_map(digest).collect()
    }

    /// Says whether it is known of every operator whether it is deployed.
    pub fn are_known(&self) -> bool {
        self.unread(&self.deployed.borrow()).is_none()
    }

    /// Returns the first operator of which it isn't known whether it is deployed.
    pub fn unread(&self, deployed: &Deployed) -> Option<String> {
        deployed.unseen(self.names()).map(str::to_owned)
    }

    /// Returns the reason why the newest file of an operator can't be run at all.
    pub fn unusable(&self, deployed: &Deployed) -> Option<String> {
        self.names().find_map(|name| deployed.refused.get(name)).cloned()
    }

    /// Returns the number of times that files of the pipeline's operators were put there.
    pub fn puts(&self) -> u64 {
        self.deployed.borrow().puts(self.names())
    }

    /// Returns the operators that the pipeline is to run: those that it is pinned to, else the newest.
    pub async fn wanted(&self, deployed: &Deployed) -> Result<Artifacts, String> {
        let Some(pinned) = self.pinned() else { return self.needed(deployed) };
        let deployed_is = |name: &str, digest: &str| {
            deployed.artifacts.get(name).is_some_and(|artifact| artifact.digest().to_string() == digest)
        };
        let stays: Operators = self
            .names()
            .filter_map(|name| Some((name.to_owned(), pinned.get(name)?.clone())))
            .filter(|(name, digest)| !deployed_is(name, digest))
            .collect();
        let mut instead = deployed.clone();
        instead.artifacts.extend(self.open(stays).await?);
        self.needed(&instead)
    }

    /// The artifacts that the pipeline's file names.
    fn needed(&self, deployed: &Deployed) -> Result<Artifacts, String> {
        self.names()
            .map(|name| match (deployed.artifacts.get(name), deployed.refused.get(name)) {
                (Some(artifact), _) => Ok((name.to_owned(), artifact.clone())),
                (None, Some(reason)) => Err(format!("operator `{name}` is refused: {reason}")),
                (None, None) => Err(format!("operator `{name}` is being read and compiled")),
            })
            .collect()
    }

    /// Returns the reason why the newest operators don't run, if it is that the pipeline is pinned.
    pub fn passed_over(&self, deployed: &Deployed) -> Option<String> {
        let other = |(name, digest): (&String, &String)| {
            let newest = deployed.artifacts.get(name)?.digest().to_string();
            (newest != *digest).then(|| format!("{name} {}", short(&newest)))
        };
        let newer: Vec<String> = self.pinned()?.iter().filter_map(other).collect();
        let name = self.status.name();
        (!newer.is_empty())
            .then(|| format!("the pipeline is pinned: {} waits until `sluice unpin {name}`", newer.join(", ")))
    }
}
