//! The consumer group, as a coordinator keeps it: which host has which partitions, and what was committed of them.
//!
//! What a host makes of it is the product's own [`Part`]. Partitions are asked back, and handed on once what was read of them is
//! written, or once nobody waits for that any longer; or a session is over, and they are others' at once.

use std::collections::BTreeMap;

use fastrand::Rng;
use sluice_core::share::{Part, Share, Standing, Want};
use sluice_core::{Offset, Partition};

/// The group of a topic.
#[derive(Debug)]
pub struct Group {
    want: Want,
    /// The host that has each partition.
    owners: Vec<usize>,
    parts: Vec<Part>,
    moving: Option<Move>,
    committed: BTreeMap<Partition, Offset>,
}

/// Partitions that are asked back from one host for another.
#[derive(Debug, Clone)]
struct Move {
    from: usize,
    to: usize,
    partitions: Vec<Partition>,
}

impl Group {
    /// A group in which each host begins with what it can work with, or with nothing.
    pub fn new(rng: &mut Rng, hosts: usize, partitions: usize, want: Want) -> Group {
        let owner = |rng: &mut Rng| if want == Want::Whole { 0 } else { rng.usize(0..hosts) };
        let owners = (0..partitions).map(|_| owner(rng)).collect();
        let parts = vec![Part::new(want); hosts];
        let mut group = Group { want, owners, parts, moving: None, committed: BTreeMap::new() };
        (0..hosts).for_each(|host| group.joins(host));
        group
    }

    /// A process of this host joins, as the member that it was.
    pub fn joins(&mut self, host: usize) {
        let has = self.of(host);
        self.parts[host] = Part::new(self.want);
        self.give(host, has);
        if self.moving.as_ref().is_some_and(|moving| moving.from == host) {
            self.parts[host].asked_back();
        }
    }

    fn of(&self, host: usize) -> Vec<Partition> {
        let owners = (0..).map(Partition).zip(&self.owners);
        owners.filter(|(_, owner)| **owner == host).map(|(partition, _)| partition).collect()
    }

    fn give(&mut self, host: usize, partitions: Vec<Partition>) {
        for partition in &partitions {
            self.owners[usize::try_from(partition.0).unwrap()] = host;
        }
        self.parts[host].given(partitions);
        self.parts[host].counted(self.owners.len());
    }

    /// Returns the partitions that the host may read and write, if there are any.
    pub fn share(&self, host: usize) -> Option<Share> {
        match self.parts[host].standing() {
            Standing::Has(share) => Some(share),
            _ => None,
        }
    }

    /// Says whether a run on the share of this epoch may go on.
    pub fn is_of(&self, host: usize, epoch: u64) -> bool {
        self.parts[host].standing().is_of(epoch)
    }

    /// Says whether rows of the share of this epoch may be written.
    pub fn may_write(&self, host: usize, epoch: u64) -> bool {
        self.parts[host].may_write(epoch)
    }

    /// The host that has all partitions, or the first's.
    pub fn owner(&self) -> usize {
        self.owners[0]
    }

    /// The coordinator wants other hosts to have some partitions.
    pub fn rebalance(&mut self, rng: &mut Rng) {
        if self.parts.len() < 2 || self.moving.is_some() {
            return;
        }
        let partition = rng.usize(0..self.owners.len());
        let from = self.owners[partition];
        let to = (from + 1) % self.parts.len();
        let all = self.want == Want::Whole;
        let partitions = if all { self.of(from) } else { vec![Partition(i32::try_from(partition).unwrap())] };
        self.parts[from].asked_back();
        self.moving = Some(Move { from, to, partitions });
    }

    /// Hands on the partitions that were asked back, if their host has no run any more, or isn't waited for.
    pub fn hand_on(&mut self, is_free: impl FnOnce(usize) -> bool) {
        let Some(moving) = self.moving.take_if(|moving| is_free(moving.from)) else { return };
        self.parts[moving.from].gave_back(moving.partitions.clone());
        self.parts[moving.from].counted(self.owners.len());
        self.give(moving.to, moving.partitions);
    }

    /// The session of this host is over: others have its partitions before it hears of that.
    pub fn lose(&mut self, host: usize) {
        if self.parts.len() < 2 || self.moving.is_some() {
            return;
        }
        let lost = self.of(host);
        self.parts[host].lost();
        self.parts[host].counted(self.owners.len());
        self.give((host + 1) % self.parts.len(), lost);
    }

    /// A member commits, of what it has.
    pub fn commit(&mut self, ends: &BTreeMap<Partition, Offset>) {
        self.committed.extend(ends);
    }

    /// Returns the offset that was committed of a partition.
    pub fn committed(&self, partition: Partition) -> Option<Offset> {
        self.committed.get(&partition).copied()
    }
}
