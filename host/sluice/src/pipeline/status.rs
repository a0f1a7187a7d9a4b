//! Status of a pipeline: counters that its lane and its flusher raise, read by the admin API and the board.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sluice_clock::Stopwatch;
use sluice_core::deploy::{Deployment, History};
pub use sluice_core::run::life::PipelineState;
use sluice_core::{Partition, time};

use super::rate::Rate;
use crate::config::unveiled;

/// Number of deployments, the last ones, that are shown with a pipeline; `sluice history` has all.
const SHOWN_DEPLOYMENTS: usize = 3;

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

/// Memory of the groups of a pipeline's fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Number of groups in memory; the others are in the checkpoint store.
    pub groups: u64,
    /// Memory that they take, in bytes.
    pub bytes: u64,
}

/// Entry of one pipeline in `GET /status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The pipeline's name.
    pub name: String,
    /// Activity of the pipeline.
    pub state: PipelineState,
    /// Reason why the pipeline isn't running.
    pub reason: Option<String>,
    /// Records taken from the source.
    pub records: u64,
    /// Records taken a second, over the last ten seconds.
    pub rate: f64,
    /// Rows written to the sinks.
    pub rows: u64,
    /// Records left out because they are at fault, and groups that a table didn't take.
    pub rejected: u64,
    /// Rows that came after the end of one of their windows, whatever became of them.
    pub late: u64,
    /// Number of rejections for each reason; past a bound, all further reasons share one entry.
    pub reasons: BTreeMap<String, u64>,
    /// Number of rejections that were written as dead letters.
    pub dead_letters: u64,
    /// Values that were dropped, or changed, on their way into columns: how many for each field and reason. Their records went on.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// Records that are in the topic and not yet processed; none while that isn't known.
    pub lag: Option<u64>,
    /// Time that records waited for the last cut-over to other operators since the start, in microseconds.
    #[serde(default)]
    pub swap_pause_us: Option<u64>,
    /// True if the running operators are on their probation: its end makes the next checkpoint.
    #[serde(default)]
    pub on_trial: bool,
    /// Flushes that every sink has taken.
    pub flushes: u64,
    /// Rows or groups that wait for the next flush.
    pub pending: u64,
    /// The topic's partitions that this host reads now.
    pub partitions: Vec<Partition>,
    /// The last operator step's operator.
    pub operator: Option<RunningOperator>,
    /// Reason why the newest file of an operator doesn't run.
    pub refused: Option<String>,
    /// True if the pipeline stays with its operators, whatever is deployed.
    pub pinned: bool,
    /// Time since which that generation runs, or its trial lasts, in UTC.
    pub since: Option<String>,
    /// The last deployments, the newest first.
    pub deployments: Vec<Deployment>,
    /// The fold's groups in memory; none for a pipeline without a fold, or before it has begun.
    pub groups: Option<Groups>,
    /// True if groups are still to be written again to the tables.
    #[serde(default)]
    pub refreshing: bool,
    /// Last finding about the pipeline's tables, or the last action on them, since the service began.
    #[serde(default)]
    pub tables: Option<String>,
}

/// A pipeline's counters and state. All methods may be called from any thread.
#[derive(Debug)]
pub struct Status {
    name: String,
    records: AtomicU64,
    rows: AtomicU64,
    rejected: AtomicU64,
    late: AtomicU64,
    dead_letters: AtomicU64,
    flushes: AtomicU64,
    pending: AtomicU64,
    lag: AtomicI64,
    swap_pause: AtomicI64,
    now: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    state: PipelineState,
    reason: Option<String>,
    /// Time since which the pipeline waits or holds, for any server or host.
    waits_since: Option<Stopwatch>,
    operator: Option<RunningOperator>,
    refused: Option<String>,
    on_trial: bool,
    /// Time since which the trial lasts.
    trial_since: Option<String>,
    reasons: BTreeMap<String, u64>,
    dropped: BTreeMap<String, u64>,
    pinned: bool,
    since: Option<String>,
    deployments: Vec<Deployment>,
    groups: Option<Groups>,
    refreshing: bool,
    tables: Option<String>,
    rate: Rate,
    partitions: Vec<Partition>,
}

/// Value of `lag` while it isn't known.
const UNKNOWN: i64 = -1;

impl Status {
    /// Makes the status of a pipeline that has not begun.
    pub fn new(name: &str) -> Status {
        Status {
            name: name.to_owned(),
            records: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            late: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            lag: AtomicI64::new(UNKNOWN),
            swap_pause: AtomicI64::new(UNKNOWN),
            now: Mutex::new(Figures {
                state: PipelineState::Waiting,
                reason: None,
                waits_since: None,
                operator: None,
                refused: None,
                on_trial: false,
                trial_since: None,
                reasons: BTreeMap::new(),
                dropped: BTreeMap::new(),
                pinned: false,
                since: None,
                deployments: Vec::new(),
                groups: None,
                refreshing: false,
                tables: None,
                rate: Rate::default(),
                partitions: Vec::new(),
            }),
        }
    }

    pub fn add_records(&self, records: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Adds records or groups that were left out for a reason. There are few different reasons.
    pub fn add_rejected(&self, reason: &str, number: usize) {
        let reason = &*unveiled(reason);
        self.rejected.fetch_add(number as u64, Ordering::Relaxed);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut now.reasons, reason, number);
    }

    /// Adds values that were dropped for a reason. There are few different reasons.
    pub fn add_dropped(&self, reason: &str, number: usize) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut now.dropped, reason, number);
    }

    /// Adds to the number of dead letters that were written.
    pub fn add_dead_letters(&self, number: usize) {
        self.dead_letters.fetch_add(number as u64, Ordering::Relaxed);
    }

    /// Returns true if letters were written since the service began.
    pub fn has_dead_letters(&self) -> bool {
        self.dead_letters.load(Ordering::Relaxed) > 0
    }

    pub fn add_late(&self, rows: usize) {
        self.late.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Counts a flush and the rows that every sink has taken in it.
    pub fn flushed(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set_pending(&self, rows: usize) {
        self.pending.store(rows as u64, Ordering::Relaxed);
    }

    /// Sets the partitions that are read now.
    pub fn set_partitions(&self, partitions: impl IntoIterator<Item = Partition>) {
        let partitions = partitions.into_iter().collect();
        self.now.lock().unwrap_or_else(PoisonError::into_inner).partitions = partitions;
    }

    pub fn set_lag(&self, lag: Option<u64>) {
        self.lag.store(lag.and_then(|lag| i64::try_from(lag).ok()).unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Sets the time that records waited for the last cut-over.
    pub fn set_swap_pause(&self, pause: Duration) {
        self.swap_pause.store(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets whether the running operators are on trial.
    pub fn set_on_trial(&self, on_trial: bool) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.on_trial = on_trial;
        now.trial_since = now.trial_since.take().filter(|_| on_trial);
    }

    /// Begins a trial of the running operators at this time, in microseconds since 1970-01-01T00:00:00 UTC.
    pub fn begin_trial(&self, since: i64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (now.on_trial, now.trial_since) = (true, time::shown(since));
    }

    pub fn set_operator(&self, operator: Option<RunningOperator>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.operator = operator;
        now.refused = None;
    }

    /// Sets the reason why the newest artifact doesn't run, or none if it does. Returns true if there is a reason and it is news.
    pub fn set_refused(&self, reason: Option<String>) -> bool {
        let reason = reason.map(|reason| unveiled(&reason).into_owned());
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let news = reason.is_some() && now.refused != reason;
        now.refused = reason;
        news
    }

    /// Sets the deployments and whether the pipeline is pinned.
    pub fn set_history(&self, history: &History) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.pinned = history.pinned().is_some();
        now.since = history.running().and_then(|running| time::shown(running.time));
        now.deployments = history.deployments().rev().take(SHOWN_DEPLOYMENTS).cloned().collect();
    }

    /// Samples the rate, and the fold's groups in memory with their bytes. Called about once a second.
    pub fn sample(&self, at: Instant, groups: Option<(usize, usize)>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.rate.sample(at, self.records.load(Ordering::Relaxed));
        now.groups = groups.map(|(groups, bytes)| Groups { groups: groups as u64, bytes: bytes as u64 });
    }

    /// Sets whether groups are still to be written again.
    pub fn set_refreshing(&self, refreshing: bool) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).refreshing = refreshing;
    }

    /// Sets the last finding about the tables, with its time.
    pub fn set_tables(&self, said: &str, at: i64) {
        let at = time::shown(at / 1_000_000 * 1_000_000).unwrap_or_default();
        self.now.lock().unwrap_or_else(PoisonError::into_inner).tables = Some(format!("{at} {said}"));
    }

    /// Says what the pipeline does now; true if that is news.
    pub fn set(&self, state: PipelineState, reason: Option<String>) -> bool {
        let reason = reason.map(|reason| unveiled(&reason).into_owned());
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let news = now.state != state || now.reason != reason;
        now.state = state;
        now.reason = reason;
        let waits = state.waits(now.reason.is_some());
        now.waits_since = now.waits_since.or_else(|| Some(Stopwatch::start())).filter(|_| waits);
        news
    }

    /// Returns the time that the pipeline has waited for somebody, and the reason why it waits now; none if it doesn't wait.
    pub fn waits(&self) -> Option<(Duration, String)> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Some((now.waits_since?.elapsed(), now.reason.clone()?))
    }

    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole status at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.records.load(Ordering::Relaxed);
        Snapshot {
            name: self.name.clone(),
            state: now.state,
            reason: now.reason.clone(),
            records,
            rate: now.rate.per_second(sluice_clock::now(), records),
            rows: self.rows.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
            reasons: now.reasons.clone(),
            dropped: now.dropped.clone(),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
            swap_pause_us: u64::try_from(self.swap_pause.load(Ordering::Relaxed)).ok(),
            on_trial: now.on_trial,
            lag: u64::try_from(self.lag.load(Ordering::Relaxed)).ok(),
            flushes: self.flushes.load(Ordering::Relaxed),
            pending: self.pending.load(Ordering::Relaxed),
            partitions: now.partitions.clone(),
            operator: now.operator.clone(),
            refused: now.refused.clone(),
            pinned: now.pinned,
            since: now.trial_since.clone().or_else(|| now.since.clone()),
            deployments: now.deployments.clone(),
            groups: now.groups,
            refreshing: now.refreshing,
            tables: now.tables.clone(),
        }
    }
}

fn count(reasons: &mut BTreeMap<String, u64>, reason: &str, number: usize) {
    match reasons.get_mut(reason) {
        Some(counted) => *counted += number as u64,
        None => drop(reasons.insert(reason.to_owned(), number as u64)),
    }
}
