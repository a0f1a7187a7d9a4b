//! Kinds of figures: how each is raised, and what it reads as. But for [`ByReason`] none has a lock, and none allocates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Meter of one figure.
pub trait Meter {
    /// The form of the figure's value, in JSON too.
    type Reading;
    /// The kind as Prometheus calls it.
    const KIND: &'static str;

    /// Reads the figure at this moment.
    fn read(&self) -> Self::Reading;
}

/// Value of a figure of any kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Value of a counter or a gauge.
    Number(u64),
    /// Value of a gauge that may be unknown.
    Optional(Option<u64>),
    /// Value of a counter of time.
    Seconds(f64),
    /// Value of a counter with a label, the reason.
    ByReason(&'a BTreeMap<String, u64>),
    /// Value of a histogram.
    Times(&'a Times),
}

/// Number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }
}

impl Meter for Counter {
    type Reading = u64;
    const KIND: &'static str = "counter";

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Number of now, which begins at 0.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, number: usize) {
        self.0.store(number as u64, Ordering::Relaxed);
    }
}

impl Meter for Gauge {
    type Reading = u64;
    const KIND: &'static str = "gauge";

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<&u64> for Value<'_> {
    fn from(number: &u64) -> Self {
        Value::Number(*number)
    }
}

/// Number of now that may be unknown, as it is at first.
#[derive(Debug)]
pub struct OptionalGauge(AtomicU64);

/// Number that stands for an unknown one.
const UNKNOWN: u64 = u64::MAX;

impl Default for OptionalGauge {
    fn default() -> OptionalGauge {
        OptionalGauge(AtomicU64::new(UNKNOWN))
    }
}

impl OptionalGauge {
    pub fn set(&self, number: Option<u64>) {
        self.0.store(number.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

impl Meter for OptionalGauge {
    type Reading = Option<u64>;
    const KIND: &'static str = "gauge";

    fn read(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != UNKNOWN)
    }
}

impl From<&Option<u64>> for Value<'_> {
    fn from(number: &Option<u64>) -> Self {
        Value::Optional(*number)
    }
}

/// Time that adds up. Kept in nanoseconds, which last for 584 years.
#[derive(Debug, Default)]
pub struct Seconds(AtomicU64);

impl Seconds {
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

impl Meter for Seconds {
    type Reading = f64;
    const KIND: &'static str = "counter";

    fn read(&self) -> f64 {
        seconds(&self.0)
    }
}

impl From<&f64> for Value<'_> {
    fn from(seconds: &f64) -> Self {
        Value::Seconds(*seconds)
    }
}

/// Counters for reasons, of which there are few; whoever adds sees to that. They have a lock, and are raised only where something is at
/// fault.
#[derive(Debug, Default)]
pub struct ByReason(Mutex<BTreeMap<String, u64>>);

impl ByReason {
    pub fn add(&self, reason: &str, number: usize) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match reasons.get_mut(reason) {
            Some(counted) => *counted += number as u64,
            None => drop(reasons.insert(reason.to_owned(), number as u64)),
        }
    }
}

impl Meter for ByReason {
    type Reading = BTreeMap<String, u64>;
    const KIND: &'static str = "counter";

    fn read(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<'a> From<&'a BTreeMap<String, u64>> for Value<'a> {
    fn from(reasons: &'a BTreeMap<String, u64>) -> Self {
        Value::ByReason(reasons)
    }
}

/// Bounds of a histogram's buckets, in milliseconds: two for each power of ten. Fewer: a quantile is known to a factor of ten only.
/// More: each pipeline has that many more time series. Nothing that is measured is over before the first or is right after the last.
const BOUNDS: [u64; 11] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];

/// Times, of which it is counted how many were how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Number of times up to each bound and above the one before; the last is of longer ones.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// Values of a [`Histogram`], as Prometheus counts them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Number of all.
    pub count: u64,
    /// Sum of all, in seconds.
    pub sum: f64,
    /// Bounds, from the lowest.
    pub buckets: Vec<Bucket>,
}

/// Number of times that were not longer than a bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The bound, in seconds.
    pub le: f64,
    /// Number of them.
    pub count: u64,
}

impl Histogram {
    pub fn observe(&self, time: Duration) {
        let bucket = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < time);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

impl Meter for Histogram {
    type Reading = Times;
    const KIND: &'static str = "histogram";

    fn read(&self) -> Times {
        let mut count = 0;
        let mut up_to = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let counts = self.buckets.each_ref().map(&mut up_to);
        let bounds = BOUNDS.iter().map(|bound| Duration::from_millis(*bound).as_secs_f64());
        let buckets = bounds.zip(counts).map(|(le, count)| Bucket { le, count }).collect();
        Times { count, sum: seconds(&self.nanos), buckets }
    }
}

impl<'a> From<&'a Times> for Value<'a> {
    fn from(times: &'a Times) -> Self {
        Value::Times(times)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(nanos: &AtomicU64) -> f64 {
    Duration::from_nanos(nanos.load(Ordering::Relaxed)).as_secs_f64()
}
