//! Observation of the pipelines, once a second, for all boards and viewers together; with a history of their rates.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sluice_clock::now_micros;
use tokio::sync::watch;

use crate::admin;
use crate::config::Pipeline;
use crate::pipeline::freshness::Ends;
use crate::pipeline::{Handle, Snapshot};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for each point of the history of rates.
const LOOKS_OF_A_POINT: u64 = 5;

/// Points of a pipeline's history: half an hour.
const POINTS: usize = 360;

/// A pipeline as it was at the last look.
#[derive(Debug, Clone)]
pub struct Observed {
    pub snapshot: Snapshot,
    /// Its file's content; none for one whose file is gone.
    pub pipeline: Option<Arc<Pipeline>>,
    /// Time at which the source had what the tables contain, in milliseconds since 1970-01-01T00:00:00 UTC.
    pub data_at: Option<i64>,
    /// The offsets before which the tables have everything.
    pub read_to: Ends,
    /// Mean time of a batch over the last points' time, in milliseconds.
    pub batch_ms: Option<f64>,
    /// The history of its rates, from the oldest on.
    pub points: Arc<VecDeque<Point>>,
}

/// The rate of a pipeline at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    pub at: i64,
    pub records_per_s: f64,
    pub lag: Option<u64>,
    pub generation: Option<u64>,
}

/// Pipelines at the last look.
pub type Pipelines = Arc<Vec<Observed>>;

/// Milliseconds since 1970-01-01T00:00:00 UTC.
pub fn now_ms() -> i64 {
    now_micros() / 1_000
}

/// Observer of the pipelines of a service.
pub struct Observer {
    service: admin::Service,
    files: watch::Receiver<Vec<Pipeline>>,
    by_name: BTreeMap<String, Arc<Pipeline>>,
    seen: BTreeMap<String, Seen>,
    looks: u64,
}

impl Observer {
    /// Observes the pipelines of the service, whose files these are.
    pub fn new(service: admin::Service, files: watch::Receiver<Vec<Pipeline>>) -> Observer {
        Observer { service, files, by_name: BTreeMap::new(), seen: BTreeMap::new(), looks: 0 }
    }

    /// Publishes what it sees, until nobody listens any more.
    pub async fn observe(mut self, publish: watch::Sender<Pipelines>) {
        let mut beats = tokio::time::interval(LOOK);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !publish.is_closed() {
            beats.tick().await;
            publish.send_replace(Arc::new(self.look()));
            self.looks += 1;
        }
    }

    fn look(&mut self) -> Vec<Observed> {
        let handles: Vec<Handle> = self.service.statuses.borrow().clone();
        self.seen.retain(|name, _| handles.iter().any(|handle| handle.status.name() == name));
        if self.files.has_changed().unwrap_or(false) || self.looks == 0 {
            let files = self.files.borrow_and_update();
            self.by_name = files.iter().map(|file| (file.name.clone(), Arc::new(file.clone()))).collect();
        }
        let is_point = self.looks.is_multiple_of(LOOKS_OF_A_POINT);
        let observed = handles.iter().map(|handle| {
            let snapshot = self.service.snapshot(&handle.status);
            let seen = self.seen.entry(snapshot.name.clone()).or_default();
            if is_point {
                seen.point(&snapshot, now_ms());
            }
            let freshness = handle.status.freshness();
            Observed {
                pipeline: self.by_name.get(&snapshot.name).cloned(),
                data_at: freshness.data_at(),
                read_to: freshness.written().clone(),
                batch_ms: seen.batch_ms,
                points: Arc::clone(&seen.points),
                snapshot,
            }
        });
        observed.collect()
    }
}

/// What was seen of a pipeline.
#[derive(Debug, Default)]
struct Seen {
    points: Arc<VecDeque<Point>>,
    /// Batches, and the seconds in which the lane worked, at the last point.
    worked: Option<(u64, f64)>,
    batch_ms: Option<f64>,
}

impl Seen {
    fn point(&mut self, snapshot: &Snapshot, now: i64) {
        let figures = &snapshot.figures;
        let point = Point {
            at: now,
            records_per_s: snapshot.rate,
            lag: figures.lag,
            generation: snapshot.deployed.operator.as_ref().map(|operator| operator.generation),
        };
        let points = Arc::make_mut(&mut self.points);
        points.push_back(point);
        if points.len() > POINTS {
            points.pop_front();
        }
        let (batches, busy) = (figures.batches, figures.busy_seconds);
        if let Some((before, busy_before)) = self.worked.replace((batches, busy))
            && batches > before
        {
            self.batch_ms = Some((busy - busy_before).max(0.0) * 1_000.0 / (batches - before) as f64);
        }
    }
}
