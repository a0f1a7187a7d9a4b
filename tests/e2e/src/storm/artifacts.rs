//! What may be deployed: builds that differ in nothing but their digest, files that must not run, and what fails once it runs.

use std::fs;

use fastrand::Rng;

use crate::{METRICS, Site, assembled, digest, guest};

/// A file for the directory of operators.
pub(super) struct Artifact {
    /// Its name there.
    pub(super) operator: &'static str,
    /// What is to be said of it.
    pub(super) what: &'static str,
    pub(super) content: Vec<u8>,
    /// Its SHA-256, as the status shows it.
    pub(super) digest: String,
}

/// Makes artifacts of the site's operators, no two alike.
pub(super) struct Artifacts {
    originals: Vec<(&'static str, Vec<u8>)>,
    failing: Vec<u8>,
    made: u64,
    random: Rng,
}

/// A bad file, by what is wrong with it, of a good one.
type Spoil = fn(&mut Rng, Vec<u8>) -> Vec<u8>;

const BAD: [(&str, Spoil); 6] = [
    ("an empty file", |_, _| Vec::new()),
    ("nonsense", |random, _| (0..1000).map(|_| random.u8(..)).collect()),
    ("a part of it", |random, good| good[..random.usize(8..good.len())].to_vec()),
    ("a core module", |_, _| assembled("(module)")),
    ("a component of another world", |_, _| assembled("(component)")),
    ("a component that asks for the environment", |_, _| {
        assembled(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#)
    }),
];

impl Artifacts {
    /// Of those that the site has now.
    pub(super) fn of(site: &Site, random: Rng) -> Artifacts {
        let read = |name: &'static str| (name, fs::read(site.path("operators").join(format!("{name}.wasm"))).unwrap());
        let originals = METRICS.iter().map(|metric| read(metric.name)).collect();
        Artifacts { originals, failing: guest("gift_sum_failing"), made: 0, random }
    }

    /// A good build of any operator, or, one time in three, a bad one: as often one that can't run as one that fails while it runs.
    pub(super) fn some(&mut self) -> Artifact {
        let metric = METRICS[self.random.usize(0..METRICS.len())];
        let good = self.good(metric.name);
        match self.random.u8(0..6) {
            0 => {}
            1 => return self.failing(),
            _ => return good,
        }
        let (what, spoil) = BAD[self.random.usize(0..BAD.len())];
        let content = spoil(&mut self.random, good.content);
        Artifact { what, digest: digest(&content), content, ..good }
    }

    /// Another build of the operator.
    pub(super) fn good(&mut self, operator: &'static str) -> Artifact {
        let (_, original) = self.originals.iter().find(|(name, _)| *name == operator).expect("a known operator");
        self.made += 1;
        let content = [original.as_slice(), &custom_section(self.made)].concat();
        Artifact { operator, what: "another build", digest: digest(&content), content }
    }

    /// One that does good work until it traps, which is before its trial is over.
    fn failing(&mut self) -> Artifact {
        self.made += 1;
        let content = [self.failing.as_slice(), &custom_section(self.made)].concat();
        Artifact { operator: "gift_sum", what: "one that fails while it runs", digest: digest(&content), content }
    }
}

/// A section that means nothing: id 0, its length, its name with a length, and bytes.
fn custom_section(number: u64) -> Vec<u8> {
    const NAME: &[u8; 5] = b"build";
    let payload = [&[NAME.len() as u8], NAME.as_slice(), &number.to_le_bytes()].concat();
    // Lengths below 128 are one byte in LEB128.
    [&[0, payload.len() as u8], payload.as_slice()].concat()
}
