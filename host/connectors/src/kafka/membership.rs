//! A host as a member of a consumer group: which partitions it has, and until when it may write what it read of them.
//!
//! ```text
//!  group ◀──join, heartbeats, commits──▶ member's client ──rebalances──▶ Part (core) ──Standing──▶ supervisor
//!                                        (reads nothing)                  │  ▲
//!                                                                  Claim ◀┘  └ dropped: all is written
//! ```
//!
//! A client of its own is the member, served by a thread of its own, so that a lane that waits for a table or has much to do
//! is no reason for the group to expel the host. It fetches no records: its partitions are paused, and read by the
//! [source's](super::KafkaSource) client from the offsets that the pipeline knows.
//!
//! - **Asked back**: the thread waits until every [`Claim`] is dropped, which is when a run has written, checkpointed and
//!   committed what it read; at most `GIVE_BACK_PATIENCE`. After that the run may write nothing more.
//! - **Lost** (the session is over: the host was stopped, or cut off): nobody waits, as the partitions are others' already.
//! - **A fold** looks who is in the group before it joins, so that a host that waits for its turn doesn't disturb the one that
//!   runs; and leaves again if others joined at the same moment and come first, or if it was expelled.
//! - **A host that crashed and is back** is the same instance to the group (`group.instance.id`), and has its partitions at once.
//!   One that ends leaves, so that others have them at once.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sluice_core::share::{Part, Standing, Want};
use tokio::sync::watch;

use super::claim::Claim;
use super::peers::Name;
use super::standing::{MemberState, Shared};
use super::{KafkaConnection, config, member};
use crate::source::SourceError;

/// The longest that the opening of a source waits for its share. Shorter: a broker that waits 3 s for further members of a new group
/// (`group.initial.rebalance.delay.ms`) counts as away. Longer: a group that gives nothing is said that much later.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// A host's part in a group, from joining to leaving. Dropping it leaves.
pub struct Membership {
    shared: Arc<Shared>,
    /// Thread that serves the membership, with the sender that ends it; none once it has left.
    attending: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Membership {
    /// Begins to join; nothing is waited for. `host` says which host this is, the same after a restart and no other's at any
    /// time; `alone` that no other one was seen before.
    ///
    /// # Errors
    /// `Unusable` if a property is not librdkafka's, `Unavailable` if there is no thread to be had.
    pub fn join(
        connection: &KafkaConnection,
        topic: &str,
        group: &str,
        want: Want,
        host: &str,
        alone: bool,
    ) -> Result<Membership, SourceError> {
        let me = Name::new(host, want);
        let mut part = Part::new(want);
        if !alone {
            part.saw_others();
        }
        let config =
            config::member(connection, group, &me.client_id(), &me.instance(topic)).map_err(SourceError::Unusable)?;
        let shared = Arc::new(Shared {
            topic: topic.to_owned(),
            group: group.to_owned(),
            brokers: connection.brokers.clone(),
            me: me.host,
            want,
            session: config::session(&config),
            now: Mutex::new(MemberState::new(part)),
            changed: Condvar::new(),
            published: watch::Sender::new(Standing::Joining),
        });
        let (alive, ended) = channel();
        let attending = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || member::attend(&attending, &config, &ended))
            .map_err(|error| SourceError::Unavailable(format!("no thread to join the group {group} with: {error}")))?;
        Ok(Membership { shared, attending: Mutex::new(Some((alive, thread))) })
    }

    /// The standing of this host, now and later.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.shared.published.subscribe()
    }

    /// Waits for a share, and takes it up. Blocks at most [`JOIN_PATIENCE`].
    ///
    /// # Errors
    /// `Held` if others have what this host needs, `Unusable` if the group doesn't take it, `Unavailable` if nothing came.
    pub(super) fn claim(&self) -> Result<Claim, SourceError> {
        let shared = &self.shared;
        let undecided =
            |now: &mut MemberState| !now.leaving && matches!(now.standing(), Standing::Joining | Standing::GivingBack);
        let waited = shared.changed.wait_timeout_while(shared.now(), JOIN_PATIENCE, undecided);
        let (mut now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match now.standing() {
            Standing::Has(share) => {
                now.claims += 1;
                Ok(Claim::new(Arc::clone(shared), share))
            }
            Standing::Held(reason) => Err(SourceError::Held(reason)),
            Standing::Refused(reason) => Err(SourceError::Unusable(reason)),
            Standing::Joining | Standing::GivingBack => Err(SourceError::Unavailable(format!(
                "the group `{}` at {} has given this host no partitions of `{}` within {JOIN_PATIENCE:?}; it goes on waiting",
                shared.group, shared.brokers, shared.topic
            ))),
        }
    }

    /// Leaves the group, so that others needn't wait for the end of the session. Blocks until the group was told, or can't be.
    pub fn leave(&self) {
        self.shared.update(|now| now.leaving = true);
        let attending = self.attending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((alive, thread)) = attending {
            drop(alive);
            // A panic in there was logged, and there is nothing left to do about it.
            let _ = thread.join();
        }
    }

    /// Says whether no other host was seen in the group.
    pub fn is_alone(&self) -> bool {
        self.shared.look(|now| now.part.is_alone())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}
