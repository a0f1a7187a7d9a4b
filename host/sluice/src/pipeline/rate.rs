//! Rate of a pipeline: the records that it takes in per second, over the last few seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time that the rate covers. Shorter: it jumps with each batch that comes late. Longer: it shows a stop that much later.
const WINDOW: Duration = Duration::from_secs(10);

/// The most samples that are kept: those of the window, as they come once a second.
const MAX_SAMPLES: usize = 16;

/// Counts at some moments of the last seconds.
#[derive(Debug, Default)]
pub struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Remembers how many there were at this moment.
    pub fn sample(&mut self, now: Instant, total: u64) {
        self.samples.push_back((now, total));
        // One that is older than the window stays, so that the window is covered.
        while self.samples.len() > MAX_SAMPLES || self.samples.get(1).is_some_and(|next| older(next, now)) {
            self.samples.pop_front();
        }
    }

    /// Returns the number of records per second, given the total by now; 0 before the first sample.
    pub fn per_second(&self, now: Instant, total: u64) -> f64 {
        let since = self.samples.iter().rfind(|sample| older(sample, now)).or_else(|| self.samples.front());
        let Some((then, before)) = since else { return 0.0 };
        let seconds = now.saturating_duration_since(*then).as_secs_f64();
        // A moment after the first sample says nothing of a second.
        if seconds < 0.1 { 0.0 } else { total.saturating_sub(*before) as f64 / seconds }
    }
}

fn older(sample: &(Instant, u64), now: Instant) -> bool {
    now.saturating_duration_since(sample.0) >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_what_it_is_and_a_stop_is_seen_once_the_window_is_over() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(start, 0), 0.0);
        let at = |second: u64| start + Duration::from_secs(second);
        for second in 0..60 {
            rate.sample(at(second), second * 100);
        }
        assert_eq!(rate.per_second(at(59), 5_900), 100.0);
        assert_eq!(rate.per_second(at(64), 5_900), 50.0);
        assert_eq!(rate.per_second(at(70), 5_900), 0.0);
    }

    #[test]
    fn samples_are_bounded_however_often_they_come() {
        let start = Instant::now();
        let mut rate = Rate::default();
        (0..1000).for_each(|i| rate.sample(start + Duration::from_millis(i), i));
        assert!(rate.samples.len() <= MAX_SAMPLES);
    }
}
