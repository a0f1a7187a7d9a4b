//! The standing of a host in a group: what the group's callbacks change, and whoever has or wants a share looks at.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use sluice_clock::Stopwatch;
use sluice_core::Partition;
use sluice_core::share::{Part, Standing, Want};
use tokio::sync::watch;

use super::reports::Reports;

/// The longest that partitions which are asked back are kept until what was read of them is written. Shorter: a table that is away for
/// a moment makes the next host read again what this one has read. Longer: the others wait for a host whose table is away.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(30);

/// A client that is a member.
pub(super) type MemberClient = BaseConsumer<Callbacks>;

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
    pub now: Mutex<Now>,
    pub changed: Condvar,
    pub published: watch::Sender<Standing>,
}

pub(super) struct Now {
    pub part: Part,
    /// Standing that explains why no partitions are given.
    pub notice: Option<Standing>,
    /// Runs that have not written everything yet.
    pub claims: usize,
    pub leaving: bool,
    /// The group expelled the client that is the member now.
    pub expelled: bool,
    /// The client that is the member, if one is.
    client: Weak<MemberClient>,
}

impl Now {
    pub fn new(part: Part) -> Now {
        Now { part, notice: None, claims: 0, leaving: false, expelled: false, client: Weak::new() }
    }

    pub fn standing(&self) -> Standing {
        match (self.part.standing(), &self.notice) {
            (Standing::Joining, Some(notice)) => notice.clone(),
            (standing, _) => standing,
        }
    }
}

impl Shared {
    pub fn now(&self) -> MutexGuard<'_, Now> {
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
        let asked = Stopwatch::start();
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

/// Callbacks take what the group asks of this member.
pub(super) struct Callbacks {
    shared: Arc<Shared>,
    pub reports: Reports,
}

impl Callbacks {
    pub fn new(shared: Arc<Shared>) -> Callbacks {
        Callbacks { shared, reports: Reports::default() }
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.reports.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }
}

impl ConsumerContext for Callbacks {
    /// Blocks the member's thread, not its heartbeats, until what is asked back is written. Partitions are paused, since this
    /// client only has them.
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: BTreeSet<_> = list.elements().iter().map(|element| Partition(element.partition())).collect();
        let answer = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let answer = assign(client, list);
            tracing::info!(target: "kafka", group = self.shared.group, "given {}", listed(&partitions));
            self.shared.update(|now| now.part.given(partitions));
            answer
        } else {
            if client.assignment_lost() {
                // A fold that is back disturbs nobody who took over: it looks first, as at its start.
                if self.shared.want == Want::Whole {
                    client.unsubscribe();
                }
                tracing::warn!(target: "kafka", group = self.shared.group, "lost {}", listed(&partitions));
                self.shared.lose();
            } else {
                tracing::info!(target: "kafka", group = self.shared.group, "asked to give back {}", listed(&partitions));
                self.shared.give_back(partitions);
            }
            client.incremental_unassign(list)
        };
        if let Err(error) = answer {
            tracing::error!(target: "kafka", group = self.shared.group, "{error}");
        }
    }
}

/// The partitions of a list, for the log.
fn listed(partitions: &BTreeSet<Partition>) -> String {
    let numbers: Vec<_> = partitions.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "no partition".to_owned() } else { format!("partitions {}", numbers.join(", ")) }
}

fn assign(client: &MemberClient, list: &mut TopicPartitionList) -> KafkaResult<()> {
    list.set_all_offsets(Offset::End)?;
    client.incremental_assign(list)?;
    if list.count() == 0 { Ok(()) } else { client.pause(list) }
}
