//! A service at work, and faults at random moments from a seed: the tables end equal to the oracle's.
//!
//! ```text
//! seed ─▶ plan: a few faults for each step, one within the other ─▶ the service, while records keep coming ─▶ tables = oracle's?
//! ```
//!
//! The same seed makes the same records and the same faults, in the same order and with the same pauses. Processes and servers
//! have their own pace, so that a seed that failed once is likely to fail again, not bound to.

mod artifacts;
mod faults;
mod service;

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::{Corpus, METRICS, Site, World, expected};
use faults::Fault;
use service::Service;

/// Records for each step: more than a host reads while nothing is wrong, so that faults find it at work.
const ENTRIES: usize = 15_000;
const GIFTS: usize = 30_000;

/// Records come in so many parts a step.
const PARTS: usize = 8;

/// The most milliseconds between two parts.
const LULL: u64 = 400;

/// How long the tables may take to be right once everything is back: servers that were killed mend themselves first.
const PATIENCE: Duration = Duration::from_secs(300);

/// Deployments in each step of a swap storm.
const DEPLOYMENTS: usize = 10;

/// The most milliseconds between two of them: about as long as one takes that has time.
const BETWEEN: u64 = 300;

/// Records decide when a trial is over, not time: what fails at one gift in a thousand is sure to fail within one, whatever else is
/// away meanwhile.
const PROBATION: &str = "rows = 20000\ntime = '1h'";

/// Runs a storm of so many steps; says what it does. Panics if a table isn't right in the end, or the host ended by itself.
pub fn storm(seed: u64, steps: usize) {
    weather(seed, steps, |service, random| {
        let faults = Fault::some(random);
        service.suffer(&faults);
    });
}

/// As [`storm`], of operators that are deployed one after the other, a third of them bad; now and then the host is killed.
/// A step is ten deployments. Panics also if none was rolled back.
pub fn swap_storm(seed: u64, steps: usize) {
    let rolled_back = weather(seed, steps, |service, random| {
        for _ in 0..DEPLOYMENTS {
            moment(random, BETWEEN);
            service.deploy();
        }
        if random.bool() {
            service.suffer(&[Fault::Kill]);
        }
    });
    assert!(rolled_back > 0, "what fails while it runs was deployed, and nothing was rolled back");
}

/// Answers how many deployments were rolled back.
fn weather(seed: u64, steps: usize, mut step_of: impl FnMut(&mut Service<'_>, &mut Rng)) -> usize {
    let mut random = Rng::with_seed(seed);
    let corpus = Corpus::generate(seed, ENTRIES * steps, GIFTS * steps, 3);
    let site = Site::new(World::Servers, 3);
    for metric in &METRICS {
        site.edit_pipeline(metric.name, |pipeline| {
            pipeline.insert("probation".into(), crate::toml(PROBATION));
        });
    }
    thread::scope(|scope| {
        let oracle = scope.spawn(|| expected(&corpus.topics(), &[]));
        let (begin, begun) = channel();
        let lulls = random.fork();
        let (to, from) = (&site, &corpus);
        let loading = scope.spawn(move || load(to, from, steps, &begun, lulls));
        let mut service = Service::start(&site, random.fork());
        // What a pipeline runs first has no trial: it is to be good.
        service.await_begun();
        for step in 0..steps {
            // The loader ends only when this does.
            let _ = begin.send(step);
            step_of(&mut service, &mut random);
            service.assert_runs();
        }
        drop(begin);
        loading.join().expect("records are loaded");
        service.say("peace");
        let newest = service.end_with_good_artifacts();
        let expected = oracle.join().expect("the oracle answers");
        site.tables().await_equal(&expected, PATIENCE);
        for (metric, digest) in METRICS.iter().zip(&newest) {
            service.await_running(metric.name, digest);
        }
        let rolled_back = service.rolled_back();
        service.say(&format!("the tables are right; {rolled_back} deployments were rolled back"));
        service.end();
        rolled_back
    })
}

/// Writes a step's records when the step begins, a part at a time.
fn load(site: &Site, corpus: &Corpus, steps: usize, begun: &Receiver<usize>, mut random: Rng) {
    #[allow(clippy::cast_precision_loss, reason = "a storm has few steps")]
    let at = |part: usize| part as f64 / (steps * PARTS) as f64;
    for step in begun {
        for part in step * PARTS..(step + 1) * PARTS {
            site.load(corpus, at(part), at(part + 1));
            moment(&mut random, LULL);
        }
    }
}

/// A pause of at most so many milliseconds. Nothing is waited for: that a fault comes at any moment is the point.
fn moment(random: &mut Rng, most: u64) {
    thread::sleep(Duration::from_millis(random.u64(0..most)));
}
