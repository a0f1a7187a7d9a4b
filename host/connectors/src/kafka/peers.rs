//! Peers are the members of a group.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupMemberInfo;
use sluice_core::share::{Peer, Want};

/// The longest that a question to the cluster may take: a member's callbacks wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most members that a sentence names.
const MAX_NAMED: usize = 3;

/// The beginning of the names of members that run a fold, and leave if others come first.
const FOLD: &str = "sluice-fold@";

/// The beginning of the names of members that take any partitions.
const TRANSFORM: &str = "sluice@";

/// A host's names in a group.
pub(super) struct Name {
    /// The machine and the host, and what it is there for: the same after a restart.
    pub host: String,
}

impl Name {
    pub fn new(host: &str, want: Want) -> Name {
        // Where there is no such file, the host's own name is enough to tell it from others.
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let kind = if want == Want::Whole { FOLD } else { TRANSFORM };
        Name { host: format!("{kind}{}:{host}", machine.trim()) }
    }

    /// The client's id, by which people find the process: `sluice@MACHINE:HOST:PID`.
    pub fn client_id(&self) -> String {
        format!("{}:{}", self.host, process::id())
    }

    /// The member, to the group: one for each topic, since pipelines may share a group. Of letters that Kafka takes.
    pub fn instance(&self, topic: &str) -> String {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        format!("{}-{:016x}", self.host.chars().map(legal).collect::<String>(), hasher.finish())
    }
}

/// The members that read the topic as this group.
pub(super) fn peers<C: ConsumerContext>(client: &BaseConsumer<C>, group: &str, topic: &str) -> KafkaResult<Vec<Peer>> {
    let list = client.fetch_group_list(Some(group), PATIENCE)?;
    let members = list.groups().iter().filter(|found| found.name() == group).flat_map(|group| group.members());
    Ok(members.filter(|member| reads(member.metadata(), topic)).map(peer).collect())
}

fn peer(member: &GroupMemberInfo) -> Peer {
    let client = member.client_id();
    let is_host = client.starts_with(FOLD) || client.starts_with(TRANSFORM);
    let host = client.rsplit_once(':').filter(|_| is_host).map_or(client, |(host, _)| host);
    Peer {
        client: host.to_owned(),
        shown: format!("{client} (from {})", member.client_host().trim_start_matches('/')),
        keeps_rule: client.starts_with(FOLD),
    }
}

/// Says whether a member's subscription names the topic; one that can't be read may. (Kafka's ConsumerProtocolSubscription: a
/// version, and the topics as texts with their lengths, all numbers big-endian.)
fn reads(subscription: Option<&[u8]>, topic: &str) -> bool {
    let Some(mut rest) = subscription.and_then(|bytes| bytes.get(2..)) else { return true };
    let Some(count) = rest.split_off(..4).and_then(|count| count.try_into().ok()).map(u32::from_be_bytes) else {
        return true;
    };
    for _ in 0..count {
        let Some(length) = rest.split_off(..2).and_then(|length| length.try_into().ok()).map(u16::from_be_bytes) else {
            return true;
        };
        match rest.split_off(..usize::from(length)) {
            Some(name) if name == topic.as_bytes() => return true,
            Some(_) => {}
            None => return true,
        }
    }
    false
}

/// Members, for a sentence.
pub(super) fn listing(peers: &[&Peer]) -> String {
    let mut names: Vec<_> = peers.iter().map(|peer| peer.shown.as_str()).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_names_its_topics_and_one_that_is_none_may_name_any() {
        let subscription = [&[0, 3, 0, 0, 0, 2, 0, 1][..], b"a", &[0, 3], b"bcd", &[255, 255, 255, 255]].concat();
        assert!(reads(Some(&subscription), "a"));
        assert!(reads(Some(&subscription), "bcd"));
        assert!(!reads(Some(&subscription), "b"));
        for cut in [0, 1, 5, 7] {
            assert!(reads(Some(&subscription[..cut]), "x"));
        }
        assert!(reads(None, "x"));
    }

    #[test]
    fn a_host_has_one_name_before_and_after_a_restart_and_another_for_each_topic() {
        let name = Name::new("0a1b", Want::Whole);
        assert_eq!(name.client_id().rsplit_once(':').unwrap().0, name.host);
        assert_ne!(name.instance("a"), name.instance("b"));
        assert_eq!(name.instance("a"), Name::new("0a1b", Want::Whole).instance("a"));
        assert!(name.instance("a").chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)));
    }
}
