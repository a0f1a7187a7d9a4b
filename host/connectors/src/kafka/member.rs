//! The thread and the client that are a member of a group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sluice_clock::Stopwatch;
use sluice_core::share::{Peer, Standing, Verdict, Want, verdict};

use super::peers::{listing, peers};
use super::reports::is_refusal;
use super::standing::{Callbacks, MemberClient, Shared};
use super::topic::{code_of, partitions, refused};

/// The time that a poll waits for the group's events; the end of the membership is heard after it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The interval at which a host that waits for others looks whether they are gone: a group tells nothing to those outside. Shorter: brokers
/// list their groups more often. Longer: a fold whose host ended goes on that much later.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The longest that a question to the cluster may take: callbacks wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time that a cluster which didn't answer, or is still being connected to, is left alone.
const WHILE_AWAY: Duration = Duration::from_millis(100);

/// The longest that leaving may take. Longer: the host's end waits for a cluster that is away. Shorter: others wait for the session's
/// end instead.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// The interval at which it is asked whether the group knows that this member left.
const LEFT_EVERY: Duration = Duration::from_millis(10);

/// The step that a member's client takes next.
enum Next {
    /// Join again as a new member, once other hosts no longer have what this host needs.
    Watch,
    /// The membership is over.
    End,
}

/// Keeps this host a member until the membership is dropped. If it dies, nobody is left to report about the group: a run with a
/// share is told that the share is lost, and later callers are told why. A pipeline that is told joins anew.
pub(super) fn attend(shared: &Arc<Shared>, config: &ClientConfig, ended: &Receiver<()>) {
    let attend = || while let Next::Watch = attend_once(shared, config, ended) {};
    if catch_unwind(AssertUnwindSafe(attend)).is_err() {
        let reason = "the thread that is a member of the group died; this is a defect of the host, which joins anew";
        shared.update(|now| {
            now.part.lost();
            now.expelled = true;
            now.notice = Some(Standing::Refused(reason.to_owned()));
        });
    }
}

fn attend_once(shared: &Arc<Shared>, config: &ClientConfig, ended: &Receiver<()>) -> Next {
    let callbacks = Callbacks::new(Arc::clone(shared));
    let client: Arc<MemberClient> = match config.create_with_context(callbacks) {
        Ok(client) => Arc::new(client),
        Err(error) => return shared.refuse(super::config::refusal(&error)),
    };
    if shared.want == Want::Whole && !is_free(shared, &client, ended) {
        return Next::End;
    }
    if let Err(error) = client.subscribe(&[&shared.topic]) {
        return shared.refuse(format!("the topic `{}` can't be subscribed to: {error}", shared.topic));
    }
    shared.set_client(Arc::downgrade(&client));
    let next = serve(shared, &client, ended);
    leave(shared, &client);
    next
}

/// Serves the group as a member until it is to leave, or another host has taken over.
fn serve(shared: &Shared, client: &MemberClient, ended: &Receiver<()>) -> Next {
    let mut looked = Stopwatch::start();
    while is_alive(ended, Duration::ZERO) {
        if let Some(Err(error)) = client.poll(LOOK_EVERY)
            && shared.hear(client, &error)
        {
            return Next::End;
        }
        // Who took over from a fold isn't disturbed by its coming back.
        if shared.want == Want::Whole && shared.look(|now| now.expelled) {
            return Next::Watch;
        }
        if shared.look(|now| now.part.is_uncounted()) {
            shared.count(client);
            looked = Stopwatch::start();
        }
        if !shared.look(|now| now.part.lacks()) {
            looked = Stopwatch::start();
        } else if looked.elapsed() >= WATCH_EVERY {
            looked = Stopwatch::start();
            if shared.judge(client) == Verdict::Leave {
                return Next::Watch;
            }
        }
    }
    Next::End
}

/// Leaves the group. A client that is only closed would be waited for, as an instance that comes back.
fn leave(shared: &Shared, client: &MemberClient) {
    client.unsubscribe();
    let asked = Stopwatch::start();
    let is_member = || {
        peers(client, &shared.group, &shared.topic).is_ok_and(|peers| peers.iter().any(|peer| peer.client == shared.me))
    };
    // Callbacks are served; those who share what this host had are told by the group.
    drop(client.poll(LEFT_EVERY));
    while is_member() && asked.elapsed() < LEAVE_PATIENCE {
        drop(client.poll(LEFT_EVERY));
    }
}

/// Waits until no other is in the group; false once the membership is over.
fn is_free(shared: &Shared, client: &MemberClient, ended: &Receiver<()>) -> bool {
    loop {
        let wait = match peers(client, &shared.group, &shared.topic) {
            // The same host before a restart is no other.
            Ok(peers) if peers.iter().all(|peer| peer.client == shared.me) => return true,
            Ok(peers) => {
                shared.hold(&peers);
                WATCH_EVERY
            }
            Err(error) => {
                tracing::debug!(target: "kafka", group = shared.group, "not listed: {error}");
                WHILE_AWAY
            }
        };
        // Log lines and errors.
        drop(client.poll(Duration::ZERO));
        if !is_alive(ended, wait) {
            return false;
        }
    }
}

/// Waits this long for the end of the membership.
fn is_alive(ended: &Receiver<()>, wait: Duration) -> bool {
    ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

impl Shared {
    fn refuse(&self, reason: String) -> Next {
        self.update(|now| now.notice = Some(Standing::Refused(reason)));
        Next::End
    }

    /// Notes that other hosts have what this host needs.
    fn hold(&self, peers: &[Peer]) {
        let others: Vec<_> = peers.iter().filter(|peer| peer.client != self.me).collect();
        let (names, group, topic) = (listing(&others), &self.group, &self.topic);
        let reason = match self.want {
            Want::Whole => format!(
                "{names} in the group {group} have partitions of {topic}, of which this pipeline needs all: this host takes \
                 over when they are gone"
            ),
            Want::Any => format!(
                "{names} in the group {group} have all partitions of {topic}: this host reads when there is one for it"
            ),
        };
        self.update(|now| {
            now.part.saw_others();
            now.notice = Some(Standing::Held(reason));
        });
    }

    /// Decides what to do while this host lacks the partitions that it needs.
    fn judge(&self, client: &MemberClient) -> Verdict {
        let Ok(peers) = peers(client, &self.group, &self.topic) else { return Verdict::Wait };
        let verdict = verdict(&self.me, &peers);
        match verdict {
            Verdict::Wait => self.update(|now| now.notice = None),
            Verdict::Stay | Verdict::Leave => self.hold(&peers),
        }
        if self.want == Want::Whole { verdict } else { Verdict::Stay }
    }

    /// Counts the partitions; what is given may be all of them.
    fn count(&self, client: &MemberClient) {
        if let Ok(Some(total)) = partitions(client.client(), &self.topic, PATIENCE)
            && let Ok(total) = usize::try_from(total)
        {
            self.update(|now| {
                now.part.counted(total);
                if !now.part.lacks() {
                    now.notice = None;
                }
            });
        }
    }

    /// Takes up what the client says; true if it can't go on.
    fn hear(&self, client: &MemberClient, error: &KafkaError) -> bool {
        let code = code_of(error);
        // Of a topic that isn't there, the source says what to do.
        tracing::debug!(target: "kafka", group = self.group, "{error}");
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        if fatal && is_fenced(client) {
            self.lose();
            self.refuse(format!(
                "another process in the group {} is this same host: run no copy of a host's `state` directory beside it",
                self.group
            ));
        } else if fatal || is_refusal(code) {
            let why = client.context().reports.refused().unwrap_or_else(|| error.to_string());
            self.refuse(refused(&self.brokers, &why));
        }
        fatal
    }
}

/// Says whether the group has another member of the same instance.
fn is_fenced(client: &MemberClient) -> bool {
    client.client().fatal_error().is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
}
