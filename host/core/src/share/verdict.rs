//! Choice of the member of a group that runs a fold.

/// A member of a group, as the group describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Name of the host, the same before and after a restart.
    pub client: String,
    /// Name by which people find the host.
    pub shown: String,
    /// True if the member is a Sluice host, which follows the same rule.
    pub keeps_rule: bool,
}

/// Action of a member that needs all partitions and has fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Wait: nobody else is there, so the remaining partitions will be given.
    Wait,
    /// Stay: the other members will leave.
    Stay,
    /// Leave, because others are there and stay; watch until they are gone.
    Leave,
}

/// Decides what the member `me` does. The first of the hosts, by name, stays, so that exactly one does; none stays if there is a
/// consumer that doesn't know the rule.
pub fn verdict(me: &str, peers: &[Peer]) -> Verdict {
    let mut others = peers.iter().filter(|peer| peer.client != me).peekable();
    if others.peek().is_none() {
        Verdict::Wait
    } else if others.all(|peer| peer.keeps_rule && me < peer.client.as_str()) {
        Verdict::Stay
    } else {
        Verdict::Leave
    }
}
