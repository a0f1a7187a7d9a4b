//! Records as files, which topics are filled from and the oracle reads.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Topic, sluice};

/// The topic of the entries.
pub const ENTRIES: &str = "live_streaming_log";
/// The topic of the gifts.
pub const GIFTS: &str = "live_gift_total";

/// A directory of `TOPIC/PARTITION.jsonl`, in the form of an embedded log.
pub struct Corpus {
    directory: TempDir,
    partitions: usize,
}

impl Corpus {
    /// What the generator makes with this seed: entries, gifts, and a share of them odd.
    pub fn generate(seed: u64, entries: usize, gifts: usize, partitions: usize) -> Corpus {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("sluice.toml");
        // The generator only looks at the connection; what a configuration needs besides is there, and empty.
        fs::create_dir_all(directory.path().join("none")).unwrap();
        let connection = "operators = \"none\"\npipelines = \"none\"\nstate = \"none\"\n[connections.events]\nlog = { directory = \"topics\" }\n";
        fs::write(&config, connection).unwrap();
        for (topic, count) in [(ENTRIES, entries), (GIFTS, gifts)] {
            let options = format!(
                "generate --connection events --rate 0 --count {count} --seed {seed} --rooms 12 --topic {topic} --partitions \
                 {partitions} --noise 0.02 --config"
            );
            let mut arguments: Vec<&str> = options.split_whitespace().collect();
            arguments.push(config.to_str().unwrap());
            let finished = sluice(&arguments);
            assert_eq!(finished.code, Some(0), "{}", finished.output);
        }
        Corpus { directory, partitions }
    }

    /// The directory of the topics' directories.
    pub fn topics(&self) -> PathBuf {
        self.directory.path().join("topics")
    }

    /// How many records the topic has.
    pub fn len(&self, topic: &str) -> usize {
        self.lines(topic).iter().map(Vec::len).sum()
    }

    /// Appends this part of each partition, as fractions of its length, to the topic on the broker.
    pub fn load(&self, topic: &str, into: &Topic, from: f64, to: f64) {
        for (partition, lines) in (0..).zip(self.lines(topic)) {
            for line in part(&lines, from, to) {
                into.send(partition, Some(line));
            }
        }
        into.flush();
    }

    /// Appends this part of each partition to the topic in an embedded log's directory.
    pub fn append(&self, topic: &str, log: &Path, from: f64, to: f64) {
        let directory = log.join(topic);
        fs::create_dir_all(&directory).unwrap();
        for (partition, lines) in self.lines(topic).iter().enumerate() {
            let path = directory.join(format!("{partition}.jsonl"));
            let mut content = fs::read(&path).unwrap_or_default();
            for line in part(lines, from, to) {
                content.extend_from_slice(line);
                content.push(b'\n');
            }
            fs::write(path, content).unwrap();
        }
    }

    fn lines(&self, topic: &str) -> Vec<Vec<Vec<u8>>> {
        let read = |partition: usize| {
            let path = self.topics().join(topic).join(format!("{partition}.jsonl"));
            let content = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let lines: Vec<_> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            assert_eq!(lines.last(), Some(&Vec::new()), "the last line of {} is whole", path.display());
            lines[..lines.len() - 1].to_vec()
        };
        (0..self.partitions).map(read).collect()
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a fraction of a length is a length"
)]
fn part(lines: &[Vec<u8>], from: f64, to: f64) -> &[Vec<u8>] {
    let at = |fraction: f64| (lines.len() as f64 * fraction) as usize;
    &lines[at(from)..at(to)]
}
