//! Status of a pipeline, which the admin API and the board read: its state (what it does and why, what it runs) and its figures
//! ([`crate::meters`]).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sluice_clock::Stopwatch;
use sluice_core::deploy::{Deployment, History};
pub use sluice_core::run::life::PipelineState;
use sluice_core::{Partition, time};

use super::freshness::Freshness;
use super::rate::Rate;
use crate::config::unveiled;
use crate::meters::{Figures, Meter, Meters};

/// Number of deployments, the last ones, that are shown with a pipeline; `sluice history` has all.
const SHOWN_DEPLOYMENTS: usize = 3;

/// Entry of one pipeline in `GET /status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The pipeline's name.
    pub name: String,
    /// Activity, with its reason.
    #[serde(flatten)]
    pub activity: Activity,
    /// Operators that it runs.
    #[serde(flatten)]
    pub deployed: Deployed,
    /// Records taken a second, over the last ten seconds.
    pub rate: f64,
    /// The fold's groups in memory; none for a pipeline without a fold, or before it has begun.
    pub groups: Option<Groups>,
    /// Figures that it counts and measures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Activity of a pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Activity {
    /// Kind of the activity.
    pub state: PipelineState,
    /// Reason why the pipeline isn't running.
    pub reason: Option<String>,
    /// The topic's partitions that this host reads now.
    pub partitions: Vec<Partition>,
    /// True if groups are still to be written again to the tables.
    #[serde(default)]
    pub refreshing: bool,
    /// Last finding about the pipeline's tables, or the last action on them, since the service began.
    #[serde(default)]
    pub tables: Option<String>,
}

/// Operators of a pipeline, as they were deployed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deployed {
    /// The last operator step's operator.
    pub operator: Option<RunningOperator>,
    /// Reason why the newest file of an operator doesn't run.
    pub refused: Option<String>,
    /// True if the running operators are on their probation: its end makes the next checkpoint.
    #[serde(default)]
    pub on_trial: bool,
    /// True if the pipeline stays with its operators, whatever is deployed.
    pub pinned: bool,
    /// Time since which that generation runs, or its trial lasts, in UTC.
    pub since: Option<String>,
    /// The last deployments, the newest first.
    pub deployments: Vec<Deployment>,
}

/// The operator that a pipeline runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningOperator {
    /// The file's name without `.wasm`.
    pub name: String,
    /// The artifact's SHA-256.
    pub digest: String,
    /// Number of the generation: 1 for the first operators that the pipeline ran, one more for each later take-over.
    pub generation: u64,
}

/// Memory of the groups of a pipeline's fold: two figures, as one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Number of groups in memory; the others are in the checkpoint store.
    pub groups: u64,
    /// Memory that they take, in bytes.
    pub bytes: u64,
}

/// A pipeline's state and meters. All methods may be called from any thread.
#[derive(Debug)]
pub struct Status {
    /// The meters, which are raised without the state's lock.
    pub meters: Meters,
    name: String,
    now: Mutex<Now>,
    freshness: Mutex<Freshness>,
}

/// State of a pipeline at this moment.
#[derive(Debug)]
struct Now {
    activity: Activity,
    /// Time since which the pipeline waits or holds, for any server or host.
    waits_since: Option<Stopwatch>,
    deployed: Deployed,
    /// Time since which the trial lasts.
    trial_since: Option<String>,
    rate: Rate,
}

impl Status {
    /// Makes the status of a pipeline that has not begun.
    pub fn new(name: &str) -> Status {
        let activity = Activity {
            state: PipelineState::Waiting,
            reason: None,
            partitions: Vec::new(),
            refreshing: false,
            tables: None,
        };
        let deployed = Deployed::default();
        let now = Now { activity, waits_since: None, deployed, trial_since: None, rate: Rate::default() };
        Status { meters: Meters::default(), name: name.to_owned(), now: Mutex::new(now), freshness: Mutex::default() }
    }

    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fresh the tables are.
    pub fn freshness(&self) -> MutexGuard<'_, Freshness> {
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records or groups that were left out for a reason. There are few different reasons.
    pub fn add_rejected(&self, reason: &str, number: usize) {
        self.meters.rejected.add(number);
        self.meters.reasons.add(&unveiled(reason), number);
    }

    /// Samples the rate, and the fold's groups in memory with their bytes. Called about once a second.
    pub fn sample(&self, at: Instant, groups: Option<(usize, usize)>) {
        self.now().rate.sample(at, self.meters.records.read());
        let (groups, bytes) = groups.unzip();
        self.meters.groups_in_memory.set(groups.map(|groups| groups as u64));
        self.meters.groups_in_memory_bytes.set(bytes.map(|bytes| bytes as u64));
    }

    /// Sets the partitions that are read now.
    pub fn set_partitions(&self, partitions: impl IntoIterator<Item = Partition>) {
        self.now().activity.partitions = partitions.into_iter().collect();
    }

    /// Sets whether the running operators are on trial.
    pub fn set_on_trial(&self, on_trial: bool) {
        let mut now = self.now();
        now.deployed.on_trial = on_trial;
        now.trial_since = now.trial_since.take().filter(|_| on_trial);
    }

    /// Begins a trial of the running operators at this time, in microseconds since 1970-01-01T00:00:00 UTC.
    pub fn begin_trial(&self, since: i64) {
        let mut now = self.now();
        (now.deployed.on_trial, now.trial_since) = (true, time::shown(since));
    }

    pub fn set_operator(&self, operator: Option<RunningOperator>) {
        let mut now = self.now();
        now.deployed.operator = operator;
        now.deployed.refused = None;
    }

    /// Sets the reason why the newest artifact doesn't run, or none if it does. Returns true if there is a reason and it is news.
    pub fn set_refused(&self, reason: Option<String>) -> bool {
        let reason = reason.map(|reason| unveiled(&reason).into_owned());
        let mut now = self.now();
        let news = reason.is_some() && now.deployed.refused != reason;
        now.deployed.refused = reason;
        news
    }

    /// Returns the reason why the newest artifact doesn't run; none if it does.
    pub fn refused(&self) -> Option<String> {
        self.now().deployed.refused.clone()
    }

    /// Sets the deployments and whether the pipeline is pinned.
    pub fn set_history(&self, history: &History) {
        let mut now = self.now();
        now.deployed.pinned = history.pinned().is_some();
        now.deployed.since = history.running().and_then(|running| time::shown(running.time));
        now.deployed.deployments = history.deployments().rev().take(SHOWN_DEPLOYMENTS).cloned().collect();
    }

    /// Sets whether groups are still to be written again.
    pub fn set_refreshing(&self, refreshing: bool) {
        self.now().activity.refreshing = refreshing;
    }

    /// Sets the last finding about the tables, with its time.
    pub fn set_tables(&self, said: &str, at: i64) {
        let at = time::shown(at / 1_000_000 * 1_000_000).unwrap_or_default();
        self.now().activity.tables = Some(format!("{at} {said}"));
    }

    /// Says what the pipeline does now; true if that is news.
    pub fn set(&self, state: PipelineState, reason: Option<String>) -> bool {
        let reason = reason.map(|reason| unveiled(&reason).into_owned());
        let mut now = self.now();
        let news = now.activity.state != state || now.activity.reason != reason;
        let waits = state.waits(reason.is_some());
        (now.activity.state, now.activity.reason) = (state, reason);
        now.waits_since = now.waits_since.or_else(|| Some(Stopwatch::start())).filter(|_| waits);
        news
    }

    /// Returns the kind of the pipeline's activity.
    pub fn state(&self) -> PipelineState {
        self.now().activity.state
    }

    /// Returns the time that the pipeline has waited for somebody, and the reason why it waits now; none if it doesn't wait.
    pub fn waits(&self) -> Option<(Duration, String)> {
        let now = self.now();
        Some((now.waits_since?.elapsed(), now.activity.reason.clone()?))
    }

    /// Returns the whole status at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.now();
        let figures = self.meters.read();
        let deployed = now.deployed.clone();
        let since = now.trial_since.clone().or_else(|| deployed.since.clone());
        let groups = figures.groups_in_memory.zip(figures.groups_in_memory_bytes);
        Snapshot {
            name: self.name.clone(),
            activity: now.activity.clone(),
            deployed: Deployed { since, ..deployed },
            rate: now.rate.per_second(sluice_clock::now(), figures.records),
            groups: groups.map(|(groups, bytes)| Groups { groups, bytes }),
            figures,
        }
    }
}
