//! Which of several members of a group runs a fold.

/// A member of a group, as the group describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Which host it is, the same before and after a restart.
    pub client: String,
    /// What people find it by.
    pub shown: String,
    /// Whether it is a host of this kind, which keeps to the same rule.
    pub keeps_rule: bool,
}

/// What a member that wants everything and has less does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody else is there: the rest will be given.
    Wait,
    /// Others are there and will leave.
    Stay,
    /// Others are there and stay: go, and watch until they are gone.
    Leave,
}

/// The first of the hosts stays, by name, so that exactly one does; none if there is a consumer that doesn't know the rule.
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
