//! What may happen to a service.

use std::fmt;

use fastrand::Rng;

use crate::{Leave, Server};

/// Something that goes wrong, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A server goes away and comes back.
    Server(Server, Leave),
    /// The host ends without warning, and is started again.
    Kill,
    /// The host is asked to end, and is started again.
    Terminate,
    /// The host stands still.
    Freeze,
    /// The disk of the checkpoints has no room.
    FullDisk,
    /// The disk of the checkpoints doesn't answer.
    HungDisk,
    /// The disk of the checkpoints can only be read; the host is killed before it is mended.
    FailedDisk,
    /// Somebody deploys an operator, maybe a bad one.
    Deploy,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Server(server, how) => write!(f, "{how} {server:?}"),
            Fault::Kill => f.write_str("kill the host"),
            Fault::Terminate => f.write_str("terminate the host"),
            Fault::Freeze => f.write_str("freeze the host"),
            Fault::FullDisk => f.write_str("fill the disk"),
            Fault::HungDisk => f.write_str("hang the disk"),
            Fault::FailedDisk => f.write_str("make the disk read-only"),
            Fault::Deploy => f.write_str("deploy"),
        }
    }
}

/// The most faults at one time.
const MOST: usize = 3;

impl Fault {
    /// One to [`MOST`] faults, each of which lasts at least as long as those after it.
    pub(super) fn some(random: &mut Rng) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        let wanted = random.usize(1..=MOST);
        while faults.len() < wanted {
            let fault = Fault::any(random);
            if !faults.iter().any(|other| other.excludes(&fault)) {
                faults.push(fault);
            }
        }
        // Within these no process can be ended or begin.
        faults.sort_by_key(|fault| matches!(fault, Fault::HungDisk | Fault::FailedDisk));
        faults
    }

    fn any(random: &mut Rng) -> Fault {
        match random.u8(0..14) {
            // Many of them are the host's, since it is the host that is on trial.
            0..=2 => Fault::Kill,
            3 => Fault::Terminate,
            4 => Fault::Freeze,
            5 => Fault::FullDisk,
            6 => Fault::HungDisk,
            7 => Fault::FailedDisk,
            8..=9 => Fault::Deploy,
            _ => {
                let ways = [Leave::Stop, Leave::Kill, Leave::Freeze];
                Fault::Server(Server::ALL[random.usize(0..Server::ALL.len())], ways[random.usize(0..ways.len())])
            }
        }
    }

    /// Whether the two can't be at the same time.
    fn excludes(self, other: &Fault) -> bool {
        match (self, other) {
            (Fault::Server(one, _), Fault::Server(other, _)) if one == *other => true,
            // Thrift can't be started without the HBase that it serves.
            (Fault::Server(Server::Hbase, _), Fault::Server(Server::Thrift, _))
            | (Fault::Server(Server::Thrift, _), Fault::Server(Server::Hbase, _)) => true,
            // A host that is asked to end waits for a server's answer for as long as its patience is.
            (Fault::Server(_, Leave::Freeze), Fault::Terminate)
            | (Fault::Terminate, Fault::Server(_, Leave::Freeze)) => true,
            (one, other) => one.is_disk() && other.is_disk(),
        }
    }

    fn is_disk(self) -> bool {
        matches!(self, Fault::FullDisk | Fault::HungDisk | Fault::FailedDisk)
    }
}
