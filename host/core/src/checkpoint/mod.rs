//! Durable part of a pipeline: the states of its groups and the intervals that made them, committed as one.
//!
//! A checkpoint is the truth about how far a pipeline is. What was consumed and what came of it change in one atomic
//! commit, so that there is no moment at which a record is in the states and not in the intervals, or the other way round.

pub mod memory;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dead_letter::LetterId;
use crate::deploy::Provenance;
use crate::identity::Identity;
use crate::interval::Intervals;
use crate::schema::Field;
use crate::window::{EventTimes, Window};

/// Form of a fold's states: two operators must share it for one to use the other's states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateForm {
    /// The columns of the key.
    pub keys: Vec<Field>,
    /// The operator's version of its states.
    pub version: u32,
    /// The columns of a state.
    pub columns: Vec<Field>,
    /// Kind and size of the windows, for a fold with windows.
    #[serde(default)]
    pub window: Option<Window>,
}

/// Head of a checkpoint: everything but the groups' states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The topic that the intervals are of.
    pub topic: String,
    /// Offsets that were consumed.
    pub intervals: Intervals,
    /// The form of the states; none for a pipeline without a fold.
    pub form: Option<StateForm>,
    /// Older forms that states may still have: they are migrated as they are needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<StateForm>,
    /// The identity of each thing that the checkpoint is about, beyond its name: a key such as `source` or `sink livedb.gifts`,
    /// and what the server said that it is. A checkpoint of an earlier version has none, and takes what it finds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identities: BTreeMap<String, String>,
    /// Operators that ran when the checkpoint was committed: name and SHA-256 of the artifact, in hexadecimal.
    pub operators: BTreeMap<String, String>,
    /// Generation of the pipeline's operators; the first is 1.
    pub generation: u64,
    /// Tables that the pipeline's rows went to: `connection.table` of each sink.
    pub sinks: Vec<String>,
    /// The connection whose database has the intervals beside the rows, for a pipeline that writes both in one transaction.
    #[serde(default)]
    pub transaction: Option<String>,
    /// True if groups were still to be written again, for a changed operator or sink.
    #[serde(default)]
    pub refreshing: bool,
    /// Times of the watermark, for a fold with windows.
    #[serde(default)]
    pub event_times: EventTimes,
    /// Dead letters whose records this commit took in. They are removed once the commit is durable, at the next start if not
    /// before. So a record that is processed again counts once, whenever the host is killed.
    #[serde(default)]
    pub retried: Vec<LetterId>,
    /// Commits so far.
    pub commits: u64,
}

/// The key of a source's identity in [`Checkpoint::identities`].
pub const SOURCE: &str = "source";

/// The topic of a mark: no topic has this name.
const BEGINS_ANEW: &str = "(begins anew)";

impl Checkpoint {
    /// Returns what made the rows of this checkpoint.
    pub fn provenance(&self) -> Provenance {
        Provenance { generation: self.generation, operators: self.operators.clone() }
    }

    /// Makes the mark of a checkpoint that somebody has deleted on purpose: the pipeline begins at the `start` of its source,
    /// whatever its group or its table hold.
    pub fn begins_anew() -> Checkpoint {
        Checkpoint { topic: BEGINS_ANEW.to_owned(), ..Checkpoint::default() }
    }

    /// Returns true if this is such a mark, and not a checkpoint.
    pub fn is_mark(&self) -> bool {
        self.topic == BEGINS_ANEW
    }
}

impl Identity {
    /// Returns the identity of a checkpoint's source; empty if the checkpoint has none.
    pub fn of_source(head: &Checkpoint) -> Identity {
        head.identities.get(SOURCE).map(|text| Identity::read(text)).unwrap_or_default()
    }

    /// Stores this identity as that of a checkpoint's source. Parts that the checkpoint knew before and this identity doesn't
    /// know stay.
    pub fn keep_in(&self, head: &mut Checkpoint) {
        let kept = Identity::of_source(head).with(self.clone());
        if !kept.is_empty() {
            head.identities.insert(SOURCE.to_owned(), kept.to_string());
        }
    }
}

/// Forgets everything of the pipeline, on purpose: see [`Checkpoint::begins_anew`]. A crash in between leaves no mark, and a
/// start then asks whether this was meant.
pub fn begin_anew(store: &dyn CheckpointStore, pipeline: &str) -> Result<(), StoreError> {
    let mut mark = Checkpoint::begins_anew();
    // Letters of what was read are told by it from those of what will be. A damaged one doesn't say.
    if let Ok(Some(before)) = store.head(pipeline) {
        Identity::of_source(&before).keep_in(&mut mark);
    }
    store.reset(pipeline)?;
    store.commit(pipeline, &mark, &Changes::default())
}

/// Groups that changed, as bytes: the key, and the state unless the group is dropped.
///
/// All lie in one buffer, one after another, so that a flush of many groups is a few allocations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    bytes: Vec<u8>,
    /// End of the key of each change, and what becomes of the group.
    ends: Vec<(usize, Fate)>,
}

/// Fate of a group that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has a state, which ends here.
    Kept(usize),
    /// It is dropped: another group has taken over what it held, say.
    Dropped,
    /// It is dropped because its time is over.
    Ended,
}

impl Changes {
    /// Adds a group whose state is now this, or that is dropped.
    pub fn push(&mut self, key: &[u8], state: Option<&[u8]>) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        let fate = state.map_or(Fate::Dropped, |state| {
            self.bytes.extend_from_slice(state);
            Fate::Kept(self.bytes.len())
        });
        self.ends.push((key_end, fate));
    }

    /// Adds a group that is dropped because its time is over.
    pub fn end(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push((self.bytes.len(), Fate::Ended));
    }

    /// Adds the changes of another, which come after these.
    pub fn append(&mut self, other: &Changes) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let moved = |fate: Fate| match fate {
            Fate::Kept(end) => Fate::Kept(end + offset),
            gone => gone,
        };
        self.ends.extend(other.ends.iter().map(|(key_end, fate)| (key_end + offset, moved(*fate))));
    }

    /// The changes, in the order in which they were added: key and state. A group that is dropped has no state.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.fates().map(|(key, state, _)| (key, state))
    }

    /// The keys of the groups whose time is over.
    pub fn ended(&self) -> impl Iterator<Item = &[u8]> {
        self.fates().filter(|(_, _, fate)| *fate == Fate::Ended).map(|(key, _, _)| key)
    }

    fn fates(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>, Fate)> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, fate)| {
            let key = &self.bytes[start..*key_end];
            let state = match fate {
                Fate::Kept(end) => Some(&self.bytes[*key_end..*end]),
                Fate::Dropped | Fate::Ended => None,
            };
            start = key_end + state.map_or(0, <[u8]>::len);
            (key, state, *fate)
        })
    }

    /// Returns the number of changes.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if there are no changes.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all keys and states.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Store of the checkpoints of the pipelines of one service.
///
/// **Delivery**: when `commit` answers `Ok`, the head and all changes are durable, together: after a crash at any moment
/// either all of the commit is there or nothing of it. **Order**: commits of one pipeline come one after another; a read
/// that begins after a commit has answered sees it. **Blocking**: every call may wait for a disk; none waits for another
/// pipeline's.
pub trait CheckpointStore: Send + Sync {
    /// The head of the pipeline's last commit; none if it never committed.
    fn head(&self, pipeline: &str) -> Result<Option<Checkpoint>, StoreError>;

    /// The committed states of these groups; none for a group that isn't there. As many answers as keys.
    fn states(&self, pipeline: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// The first groups after this key (all, for none), in the order of their keys' bytes: at most `limit` of them.
    fn scan(&self, pipeline: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError>;

    /// Makes the head and the changes durable, as one.
    fn commit(&self, pipeline: &str, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError>;

    /// Forgets everything of the pipeline.
    fn reset(&self, pipeline: &str) -> Result<(), StoreError>;

    /// Checks, without reading them, that the committed data are still there; an error if they were taken away.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The pipelines that have a checkpoint, by name.
    fn pipelines(&self) -> Result<Vec<String>, StoreError>;
}

/// A group's key and state, as stored.
pub type Group = (Vec<u8>, Vec<u8>);

/// Reason why the store has no answer. Messages name the directory, and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or can't be written for now: the same call may be made again; nothing changed.
    #[error("{0}")]
    Unavailable(String),
    /// The stored data can't be read: they are damaged, or of another version. The text names the damaged part.
    #[error("{0}")]
    Damaged(String),
    /// Another host has the directory, or it can't be used at all: somebody must change something.
    #[error("{0}")]
    Unusable(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identities() -> impl Strategy<Value = Identity> {
        prop::collection::btree_map("[a-c=]{1,2}", "[xy= ]{1,2}", 0..4).prop_map(Identity::of)
    }

    /// A group's key and state, and whether a group without a state has ended.
    type Change = (Vec<u8>, Option<Vec<u8>>, bool);

    fn pack(changes: &[Change]) -> Changes {
        let mut packed = Changes::default();
        for (key, state, ends) in changes {
            if *ends && state.is_none() { packed.end(key) } else { packed.push(key, state.as_deref()) }
        }
        packed
    }

    proptest! {
        #[test]
        fn changes_come_back_as_they_were_added_and_so_do_those_that_end(
            changes in prop::collection::vec(any::<Change>(), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let (first, second) = changes.split_at(cut.index(changes.len() + 1));
            let mut packed = pack(first);
            packed.append(&pack(second));
            prop_assert_eq!(&packed, &pack(&changes));
            let ended = changes.iter().filter(|(_, state, ends)| *ends && state.is_none());
            prop_assert!(packed.ended().eq(ended.map(|(key, _, _)| key.as_slice())));
            let changes: Vec<_> = changes.into_iter().map(|(key, state, _)| (key, state)).collect();
            let back: Vec<_> = packed.iter().map(|(key, state)| (key.to_vec(), state.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!((packed.len(), packed.is_empty()), (changes.len(), changes.is_empty()));
            let bytes = changes.iter().map(|(key, state)| key.len() + state.as_ref().map_or(0, Vec::len));
            prop_assert_eq!(packed.bytes(), bytes.sum::<usize>());
            prop_assert_eq!(back, changes);
        }

        #[test]
        fn what_a_checkpoint_knows_grows_and_the_newest_counts(before in identities(), after in identities()) {
            let mut head = Checkpoint::default();
            before.keep_in(&mut head);
            after.keep_in(&mut head);
            let kept = Identity::of_source(&head);
            prop_assert_eq!(kept.differs(&after), None);
            prop_assert!(before.parts().chain(after.parts()).all(|(name, _)| kept.part(name).is_some()));
        }
    }

    #[test]
    fn what_begins_anew_is_a_mark_without_groups_that_knows_the_source_and_is_no_checkpoint() {
        let store = memory::MemoryStore::default();
        assert!(!Checkpoint::default().is_mark());
        let mut head = Checkpoint { topic: "t".to_owned(), commits: 3, ..Checkpoint::default() };
        let identity = Identity::read("topic=1");
        identity.keep_in(&mut head);
        let mut changes = Changes::default();
        changes.push(b"key", Some(b"state"));
        store.commit("p", &head, &changes).unwrap();
        store.commit("q", &head, &changes).unwrap();
        begin_anew(&store, "p").unwrap();
        let mark = store.head("p").unwrap().unwrap();
        assert!(mark.is_mark() && mark.commits == 0 && !head.is_mark());
        assert_eq!(Identity::of_source(&mark), identity);
        let groups = |pipeline| store.scan(pipeline, None, 10).unwrap().len();
        assert_eq!((groups("p"), groups("q")), (0, 1), "others stay");
        assert_eq!(store.pipelines().unwrap(), ["p", "q"]);
        store.reset("p").unwrap();
        assert_eq!((store.pipelines().unwrap(), store.head("p").unwrap()), (vec!["q".to_owned()], None));
    }
}
