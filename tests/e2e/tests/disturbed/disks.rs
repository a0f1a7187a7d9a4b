//! The disk of the checkpoints gets full, fails, or doesn't answer.

use sluice_e2e::{Corpus, Host, METRICS, Pipeline, Rows, Site, Volume, World, expected};

use crate::{PATIENCE, alone, wait_for_rows};

/// Enough for the compiled operators and the checkpoints of five pipelines.
const DISK: u64 = 256 << 20;

/// A service at work, whose state is on a disk of its own. Dropped from the first to the last.
struct Service {
    host: Host,
    disk: Volume,
    site: Site,
    corpus: Corpus,
    expected: Vec<Rows>,
}

impl Service {
    /// It has written a part of the corpus.
    fn start(seed: u64) -> Service {
        let corpus = Corpus::generate(seed, 40_000, 80_000, 3);
        let expected = expected(&corpus.topics(), &[]);
        let site = Site::new(World::Servers, 3);
        let disk = Volume::mount(&site.path("state"), DISK);
        site.load(&corpus, 0.0, 0.3);
        let mut host = Host::start(&site);
        wait_for_rows(&mut host);
        Service { host, disk, site, corpus, expected }
    }

    /// Waits until the pipeline holds because of its checkpoint's file, and says so.
    fn await_holding(&mut self, name: &str, says: &str) -> Pipeline {
        self.host.wait(name, "it holds, and says why", |pipeline| {
            let reason = pipeline.reason.as_deref().unwrap_or_default();
            pipeline.state == "holding" && reason.contains("checkpoints") && reason.contains(says)
        })
    }

    /// The rest of the records, and the tables that they must end in.
    fn finish(mut self, from: f64) {
        self.site.load(&self.corpus, from, 1.0);
        self.site.tables().await_equal(&self.expected, PATIENCE);
        for metric in &METRICS {
            self.host.wait(metric.name, "it runs again", |pipeline| pipeline.state == "running");
        }
        assert_eq!(self.host.terminate().code, Some(0));
    }
}

/// The pipeline whose checkpoints are largest: it is the first to find no room.
const LARGE: &str = "gift_by_user";

#[test]
fn a_full_disk_holds_the_pipelines_and_every_table_is_right_once_there_is_room() {
    let _alone = alone();
    let mut service = Service::start(31);
    service.disk.fill();
    service.site.load(&service.corpus, 0.3, 0.6);
    service.await_holding(LARGE, "make room");
    service.disk.make_room();
    service.finish(0.6);
}

#[test]
fn a_host_that_is_killed_on_a_full_disk_starts_on_it_holds_and_goes_on_once_there_is_room() {
    let _alone = alone();
    let mut service = Service::start(32);
    service.disk.fill();
    service.site.load(&service.corpus, 0.3, 0.6);
    service.await_holding(LARGE, "make room");
    service.host = restarted(service.host, &service.site);
    service.await_holding(LARGE, "make room");
    service.disk.make_room();
    service.finish(0.6);
}

#[test]
fn a_disk_that_becomes_read_only_holds_the_pipelines_and_every_table_is_right_once_it_is_mended() {
    let _alone = alone();
    let mut service = Service::start(33);
    service.disk.fail();
    service.site.load(&service.corpus, 0.3, 0.6);
    for metric in &METRICS {
        service.await_holding(metric.name, "make it writable");
    }
    service.host.kill();
    // It can't say that it has the directory, so that it may not begin.
    let refused = Host::start(&service.site).end();
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    let state = service.site.path("state").display().to_string();
    assert!(refused.output.contains(&state) && refused.output.contains("Read-only file system"), "{}", refused.output);
    service.disk.mend();
    service.host = Host::start(&service.site);
    service.finish(0.6);
}

#[test]
fn a_disk_that_does_not_answer_for_a_while_costs_no_row() {
    let _alone = alone();
    let mut service = Service::start(34);
    let hung = service.disk.hang();
    service.site.load(&service.corpus, 0.3, 0.6);
    // Reading goes on meanwhile, up to its bounds.
    let read = service.host.wait(LARGE, "it has read on", |pipeline| pipeline.count("records") > 30_000);
    assert_eq!(read.state, "running", "{read:?}");
    drop(hung);
    service.finish(0.6);
}

/// As after a crash.
fn restarted(host: Host, site: &Site) -> Host {
    host.kill();
    Host::start(site)
}
