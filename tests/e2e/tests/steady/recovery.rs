//! Other operators are deployed while a host finds its way back from a crash.

use std::cell::Cell;
use std::fs;
use std::thread;

use sluice_e2e::{
    Apart, Corpus, GIFTS, Host, PATIENCE, Site, World, await_sums, digest, eventually, expected_of, guest, metric,
    rebuilt,
};

const PARTITIONS: usize = 3;

/// Ends without warning.
const KILLS: u8 = 4;

/// Parts of the corpus: one for each kill, and some for the end.
const PARTS: u8 = KILLS + 3;

/// The two versions of gift_sum: the one of the repository, and one that counts in groups of its own.
#[derive(Clone, Copy)]
enum Version {
    Plain,
    Apart,
}

/// A gift_sum, what it reads, and what is deployed for it.
struct Service {
    site: Site,
    corpus: Corpus,
    plain: Vec<u8>,
    apart: Vec<u8>,
    made: Cell<u8>,
}

impl Service {
    fn new() -> Service {
        let site = Site::empty(World::Servers, i32::try_from(PARTITIONS).unwrap());
        site.add_pipeline("gift_sum", "gift_sum", |_| {});
        let plain = fs::read(site.path("operators/gift_sum.wasm")).unwrap();
        let corpus = Corpus::generate(41, 1, 90_000, PARTITIONS);
        Service { site, corpus, plain, apart: guest("gift_sum_apart"), made: Cell::default() }
    }

    /// Deploys this version and has it read a part of the corpus, all by itself.
    fn read_by(&self, host: &mut Host, version: Version, part: u8) {
        host.wait("gift_sum", "it has read what there is", |pipeline| pipeline.lag() == Some(0));
        let newest = self.deploy(version);
        let all = host.wait_for_artifact("gift_sum", &newest).count("records") + self.records(part);
        self.corpus.load(GIFTS, self.site.topic(GIFTS), fraction(part), fraction(part + 1));
        host.wait("gift_sum", "it has read this part", |pipeline| pipeline.count("records") == all);
    }

    /// Waits until the table is right for so many parts.
    fn await_right(&self, parts: u8) -> Apart {
        let records = self.corpus.part(fraction(parts));
        let gifts = metric("gift_sum");
        await_sums(&self.site.tables(), gifts, &expected_of(&[*gifts], records.path(), &[])[0])
    }

    /// How many records a part has.
    fn records(&self, part: u8) -> u64 {
        let up_to = |part| -> usize {
            (0..PARTITIONS).map(|partition| self.corpus.records(GIFTS, partition, fraction(part)).len()).sum()
        };
        (up_to(part + 1) - up_to(part)) as u64
    }

    /// Puts another build of this version there; answers its digest.
    fn deploy(&self, version: Version) -> String {
        self.made.set(self.made.get() + 1);
        let version = match version {
            Version::Plain => &self.plain,
            Version::Apart => &self.apart,
        };
        let build = rebuilt(version, self.made.get());
        self.site.write(&self.site.path("operators/gift_sum.wasm"), &build);
        digest(&build)
    }
}

fn fraction(part: u8) -> f64 {
    f64::from(part) / f64::from(PARTS)
}

/// One is deployed while the host is down, and another one as soon as it is back: it goes on with the checkpoint's, whose file is
/// gone, and ends with the newest. Every gift is counted once, by one of the two versions.
#[test]
fn operators_deployed_while_a_host_is_down_and_while_it_recovers_take_over_and_every_record_counts_once() {
    let service = Service::new();
    let mut host = Host::start(&service.site);
    let mut read = host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running").count("records");
    for kill in 0..KILLS {
        let (while_down, once_back) = match kill % 2 {
            0 => (Version::Plain, Version::Apart),
            _ => (Version::Apart, Version::Plain),
        };
        host = thread::scope(|scope| {
            let (corpus, topic) = (&service.corpus, service.site.topic(GIFTS));
            let loading = scope.spawn(move || corpus.load(GIFTS, topic, fraction(kill), fraction(kill + 1)));
            host.wait("gift_sum", "it is at work", |pipeline| pipeline.count("records") > read + 1_000);
            host.kill();
            service.deploy(while_down);
            let mut host = Host::start(&service.site);
            eventually("the host is back", PATIENCE, || host.admin());
            let newest = service.deploy(once_back);
            loading.join().unwrap();
            read = host.wait_for_artifact("gift_sum", &newest).count("records");
            host
        });
    }
    // Each version meets all its groups once more: what one showed before a crash that undid it would stay in the table, since only
    // this test's versions have groups of their own.
    service.read_by(&mut host, Version::Plain, KILLS);
    service.read_by(&mut host, Version::Apart, KILLS + 1);
    let before = service.await_right(KILLS + 2);
    service.read_by(&mut host, Version::Plain, KILLS + 2);
    let after = service.await_right(KILLS + 3);
    assert_eq!(after.apart, before.apart, "the newest alone counts");
    assert_ne!(after.plain, before.plain);
    assert_eq!(host.terminate().code, Some(0));
}
