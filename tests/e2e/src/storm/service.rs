//! The service that the faults happen to.

use std::time::Instant;

use fastrand::Rng;

use super::artifacts::{Artifact, Artifacts};
use super::faults::Fault;
use super::moment;
use crate::{Host, METRICS, Outage, Site, Volume};

/// The disk of the checkpoints and compiled operators.
const DISK: u64 = 512 << 20;

/// The most milliseconds between a fault and the next thing that happens.
const PAUSE: u64 = 1_500;

pub(super) struct Service<'a> {
    /// None only while it is being started again.
    host: Option<Host>,
    /// After the host, which has files on it.
    disk: Volume,
    site: &'a Site,
    artifacts: Artifacts,
    random: Rng,
    begun: Instant,
}

impl<'a> Service<'a> {
    pub(super) fn start(site: &'a Site, mut random: Rng) -> Service<'a> {
        let disk = Volume::mount(&site.path("state"), DISK);
        let artifacts = Artifacts::of(site, random.fork());
        Service { host: Some(Host::start(site)), disk, site, artifacts, random, begun: Instant::now() }
    }

    /// The first of the faults, and the others while it lasts.
    pub(super) fn suffer(&mut self, faults: &[Fault]) {
        let Some((fault, others)) = faults.split_first() else { return };
        self.pause();
        self.say(&fault.to_string());
        match *fault {
            Fault::Server(server, how) => {
                let outage = Outage::begin(server, how);
                self.suffer(others);
                self.pause();
                outage.end();
            }
            Fault::Kill => {
                self.start_again(Host::kill);
                self.suffer(others);
            }
            Fault::Terminate => {
                self.start_again(terminate);
                self.suffer(others);
            }
            Fault::Freeze => {
                self.host().freeze();
                self.pause();
                self.host().thaw();
                self.suffer(others);
            }
            Fault::FullDisk => {
                self.disk.fill();
                self.suffer(others);
                self.pause();
                self.disk.make_room();
            }
            Fault::HungDisk => {
                let hung = self.disk.hang();
                moment(&mut self.random, PAUSE);
                drop(hung);
            }
            Fault::FailedDisk => {
                self.disk.fail();
                self.pause();
                if let Some(host) = self.host.take() {
                    host.kill();
                }
                self.disk.mend();
                self.host = Some(Host::start(self.site));
            }
            Fault::Deploy => {
                self.deploy();
                self.suffer(others);
            }
        }
        self.say(&format!("over: {fault}"));
    }

    /// Puts an artifact of some operator into the directory.
    pub(super) fn deploy(&mut self) {
        let Artifact { operator, what, content, .. } = self.artifacts.some();
        self.say(&format!("{operator}: {what}"));
        self.put(operator, &content);
    }

    /// Deploys a good build of each operator, and waits until that is what runs. Answers their digests.
    pub(super) fn end_with_good_artifacts(&mut self) -> Vec<String> {
        let mut newest = Vec::new();
        for metric in &METRICS {
            let Artifact { operator, content, digest, .. } = self.artifacts.good(metric.name);
            self.put(operator, &content);
            self.await_running(metric.name, &digest);
            newest.push(digest);
        }
        newest
    }

    fn put(&self, operator: &str, content: &[u8]) {
        self.site.write(&self.site.path("operators").join(format!("{operator}.wasm")), content);
    }

    pub(super) fn assert_runs(&mut self) {
        self.host().assert_runs();
    }

    /// Waits until every pipeline runs.
    pub(super) fn await_begun(&mut self) {
        for metric in &METRICS {
            self.host().wait(metric.name, "it runs", |pipeline| pipeline.state == "running");
        }
    }

    /// Waits until the pipeline runs the artifact of this SHA-256.
    pub(super) fn await_running(&mut self, pipeline: &str, digest: &str) {
        self.host().wait_for_artifact(pipeline, digest);
    }

    /// How many deployments were rolled back so far, whichever process said so.
    pub(super) fn rolled_back(&mut self) -> usize {
        self.host().log().matches(r#""message":"rolled back"#).count()
    }

    pub(super) fn end(mut self) {
        let finished = self.host.take().map(Host::terminate);
        assert!(finished.is_some_and(|finished| finished.code == Some(0)));
    }

    pub(super) fn say(&self, what: &str) {
        eprintln!("{:7.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    fn start_again(&mut self, end: impl FnOnce(Host)) {
        if let Some(host) = self.host.take() {
            end(host);
        }
        self.pause();
        self.host = Some(Host::start(self.site));
    }

    fn host(&mut self) -> &mut Host {
        self.host.as_mut().expect("a host")
    }

    fn pause(&mut self) {
        moment(&mut self.random, PAUSE);
    }
}

/// A host that can't write its last rows says so with 1; they are read again.
fn terminate(host: Host) {
    let finished = host.terminate();
    assert!(matches!(finished.code, Some(0 | 1)), "{:?}: {}", finished.code, finished.output);
}
