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
//!   committed what it read; at most [`GIVE_BACK_PATIENCE`]. After that the run may write nothing more.
//! - **Lost** (the session is over: the host was stopped, or cut off): nobody waits, as the partitions are others' already.
//! - **A fold** looks who is in the group before it joins, so that a host that waits for its turn doesn't disturb the one that
//!   runs; and leaves again if others joined at the same moment and come first, or if it was expelled.
//! - **A host that crashed and is back** is the same instance to the group (`group.instance.id`), and has its partitions at once.
//!   One that ends leaves, so that others have them at once.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sluice_core::Partition;
use sluice_core::share::{Part, Standing, Want};
use tokio::sync::watch;

use super::claim::Claim;
use super::member::{self, MemberClient};
use super::peers::Name;
use super::{KafkaConnection, config};
use crate::source::SourceError;

/// The longest that partitions which are asked back are kept until what was read of them is written. Shorter: a table that is away for
/// a moment makes the next host read again what this one has read. Longer: the others wait for a host whose table is away.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(30);

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
            now: Mutex::new(Now {
                part,
                notice: None,
                claims: 0,
                leaving: false,
                expelled: false,
                client: Weak::new(),
            }),
            changed: Condvar::new(),
            published: watch::Sender::new(Standing::Joining),
        });
        let (alive, ended) = channel();
        let attending = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || attending.attend_or_say_why(|| member::attend(&attending, &config, &ended)))
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
            |now: &mut Now| !now.leaving && matches!(now.standing(), Standing::Joining | Standing::GivingBack);
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

/// The state that the member's thread, its callbacks and claims share.
pub(super) struct Shared {
    pub topic: String,
    pub group: String,
    /// The brokers as configured, for messages.
    pub brokers: String,
    /// The name of this host in the group.
    pub me: String,
    pub want: Want,
    pub session: Duration,
    now: Mutex<Now>,
    changed: Condvar,
    published: watch::Sender<Standing>,
}

pub(super) struct Now {
    pub part: Part,
    /// Standing that explains why no partitions are given.
    pub notice: Option<Standing>,
    /// Runs that have not written everything yet.
    claims: usize,
    leaving: bool,
    /// The group expelled the client that is the member now.
    pub expelled: bool,
    /// The client that is the member, if one is.
    client: Weak<MemberClient>,
}

impl Now {
    fn standing(&self) -> Standing {
        match (self.part.standing(), &self.notice) {
            (Standing::Joining, Some(notice)) => notice.clone(),
            (standing, _) => standing,
        }
    }
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn look<T>(&self, look: impl FnOnce(&Now) -> T) -> T {
        look(&self.now())
    }

    /// Changes something, and says what follows.
    pub fn update(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now();
        change(&mut now);
        let standing = now.standing();
        // Under the lock, so that the last change is what is said last.
        self.published.send_if_modified(|said| {
            let news = *said != standing;
            *said = standing;
            news
        });
        drop(now);
        self.changed.notify_all();
    }

    /// Partitions were asked back: returns when they may be let go.
    pub fn give_back(&self, partitions: BTreeSet<Partition>) {
        if partitions.is_empty() {
            return;
        }
        let asked = Instant::now();
        self.update(|now| now.part.asked_back());
        let busy = |now: &mut Now| now.claims > 0 && !now.leaving;
        let waited = self.changed.wait_timeout_while(self.now(), GIVE_BACK_PATIENCE, busy);
        let over = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        if over {
            tracing::warn!(target: "kafka", group = self.group, "partitions are let go, though not all that was read of them \
                is written after {:?}: their next host reads it again", asked.elapsed());
        }
        self.update(|now| now.part.gave_back(partitions));
    }

    /// Runs a member's thread. If it dies, nobody is left to report about the group: a run with a share is told that the share is
    /// lost, and later callers are told why. A pipeline that is told joins anew.
    fn attend_or_say_why(&self, attend: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(attend)).is_err() {
            let reason =
                "the thread that is a member of the group died; this is a defect of the host, which joins anew";
            self.update(|now| {
                now.part.lost();
                now.expelled = true;
                now.notice = Some(Standing::Refused(reason.to_owned()));
            });
        }
    }

    /// Makes this client the member from now on.
    pub fn set_client(&self, client: Weak<MemberClient>) {
        let mut now = self.now();
        now.client = client;
        now.expelled = false;
    }

    /// Notes that the group has already given all partitions to others.
    pub fn lose(&self) {
        self.update(|now| {
            now.part.lost();
            now.expelled = true;
        });
    }

    pub fn client(&self) -> Option<Arc<MemberClient>> {
        self.now().client.upgrade()
    }

    pub fn released(&self) {
        self.update(|now| now.claims -= 1);
    }
}
