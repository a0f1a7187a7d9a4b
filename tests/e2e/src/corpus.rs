//! Records as files, which topics are filled from and the oracle reads.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use crate::{Topic, sluice};

/// The topic of the entries.
pub const ENTRIES: &str = "live_streaming_log";
/// The topic of the gifts.
pub const GIFTS: &str = "live_gift_total";

/// One odd record after so many of the generator's.
const ODD_EVERY: usize = 499;

/// Records that are unlike the generator's, noise included, and that no pipeline may stop at: casts that fail, nulls in
/// keys, numbers as texts, fields twice, in another order, or new.
const ODD_ENTRIES: [&str; 12] = [
    r#"{"user_id":2001,"ip":"10.0.0.1","room_id":20210813,"arrive_time":"yesterday","grade":1}"#,
    r#"{"user_id":2002,"ip":"10.0.0.2","room_id":20210814,"arrive_time":"2021-02-29 09:48:01","grade":1}"#,
    r#"{"user_id":2003,"ip":"10.0.0.3","room_id":20210815,"arrive_time":"2021-08-16 09:48:01","leave_time":"2021-08-16 24:00:00"}"#,
    r#"{"user_id":2004,"ip":null,"room_id":20210816,"arrive_time":"2021-08-16 09:48:01"}"#,
    r#"{"user_id":2005,"ip":"10.0.0.5","arrive_time":"2021-08-16 09:48:01"}"#,
    r#"{"user_id":2006,"ip":"10.0.0.6","room_id":20210817}"#,
    r#"{"user_id":"2007","ip":"10.0.0.7","room_id":" 20210818 ","arrive_time":"2021-08-16 09:48:01.123456789","grade":"3"}"#,
    r#"{"room_id":20210819,"province":"\ud83c\udf81 \"a\\b\"\tc","user_id":2008,"ip":"10.0.0.8","arrive_time":"2021-08-16 09:48:01"}"#,
    r#"{"user_id":1,"user_id":2009,"ip":"10.0.0.9","room_id":99,"room_id":20210820,"arrive_time":"2021-08-16 09:48:01","grade":null}"#,
    r#"{"user_id":2010,"ip":10,"room_id":20210821,"arrive_time":"2021-08-16 09:48:01","province":true,"client":{"os":["a",{"b":null}]}}"#,
    r#"{"user_id":-2011,"ip":"","room_id":-1,"arrive_time":"2021-08-16T09:48:01","grade":0,"region_code":1122}"#,
    r#"{"user_id":2012,"ip":"10.0.0.12","room_id":20210822,"arrive_time":"2021-08-16 09:48:01","region_code":-5,"leave_time":null}"#,
];
/// As [`ODD_ENTRIES`].
const ODD_GIFTS: [&str; 7] = [
    r#"{"user_id":2001,"gift_type":null,"gift_total_amount":5,"create_time":"2021-08-16 09:46:51"}"#,
    r#"{"user_id":2002,"gift_total_amount":"7","create_time":"2021-08-16 09:46:59.999999"}"#,
    r#"{"user_id":2003,"gift_type":"11","gift_total_amount":-3,"create_time":"soon"}"#,
    r#"{"gift_type":12,"create_time":"1969-12-31 23:59:59"}"#,
    r#"{"user_id":2005,"gift_type":13,"gift_total_amount":1000000000000000,"create_time":null,"note":[1,[2]]}"#,
    r#"{"user_id":2006,"gift_type":14,"gift_total_amount":9,"gift_total_amount":-1000000000000000,"create_time":"2021-08-16"}"#,
    r#"{}"#,
];

/// What decides on a record's partition.
#[derive(Deserialize)]
struct Keyed {
    #[serde(default)]
    user_id: Option<i64>,
}

/// A directory of `TOPIC/PARTITION.jsonl`, in the form of an embedded log.
pub struct Corpus {
    directory: TempDir,
    partitions: usize,
}

impl Corpus {
    /// What the generator makes with this seed, a part of it noise, and odd records among it. A user's records are in one
    /// partition, and those of no user too, so that "the latest" is defined for every key.
    pub fn generate(seed: u64, entries: usize, gifts: usize, partitions: usize) -> Corpus {
        let corpus = Corpus { directory: tempfile::tempdir().unwrap(), partitions };
        let root = corpus.directory.path();
        for name in ["operators", "pipelines"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let config = root.join("sluice.toml");
        let text = "operators = \"operators\"\npipelines = \"pipelines\"\nstate = \"state\"\n[connections]\nevents = { log = { directory = \"made\" } }\n";
        fs::write(&config, text).unwrap();
        for (topic, count, odd) in [(ENTRIES, entries, &ODD_ENTRIES[..]), (GIFTS, gifts, &ODD_GIFTS[..])] {
            make(&config, topic, count, seed);
            let made = fs::read_to_string(root.join("made").join(topic).join("0.jsonl")).unwrap();
            assert_eq!(made.lines().count(), count, "{topic}");
            corpus.spread(topic, &made, odd);
        }
        corpus
    }

    /// The directory of the topics' directories.
    pub fn topics(&self) -> PathBuf {
        self.directory.path().join("topics")
    }

    /// Appends this part of each partition, as fractions of its length, to the topic on the broker.
    pub fn load(&self, topic: &str, into: &Topic, from: f64, to: f64) {
        for partition in 0..self.partitions {
            let content = self.partition(topic, partition);
            let number = i32::try_from(partition).unwrap();
            for line in part(&content, from, to).lines() {
                into.send(number, Some(line.as_bytes()));
            }
        }
        into.flush();
    }

    /// Appends this part of each partition to the topic in an embedded log's directory.
    pub fn append(&self, topic: &str, log: &Path, from: f64, to: f64) {
        let directory = log.join(topic);
        fs::create_dir_all(&directory).unwrap();
        for partition in 0..self.partitions {
            let content = self.partition(topic, partition);
            crate::site::append(&directory.join(format!("{partition}.jsonl")), part(&content, from, to).as_bytes());
        }
    }

    /// The records of a partition up to this fraction of its length, as [`Corpus::load`] cuts it.
    pub fn records(&self, topic: &str, partition: usize, to: f64) -> Vec<String> {
        part(&self.partition(topic, partition), 0.0, to).lines().map(str::to_owned).collect()
    }

    /// The first records of each partition, as [`Corpus::load`] cuts them, in the form of [`Corpus::topics`].
    pub fn part(&self, to: f64) -> TempDir {
        let topics = tempfile::tempdir().unwrap();
        for topic in [ENTRIES, GIFTS] {
            fs::create_dir(topics.path().join(topic)).unwrap();
            for partition in 0..self.partitions {
                let file = topics.path().join(topic).join(format!("{partition}.jsonl"));
                fs::write(file, part(&self.partition(topic, partition), 0.0, to)).unwrap();
            }
        }
        topics
    }

    fn partition(&self, topic: &str, partition: usize) -> String {
        fs::read_to_string(self.topics().join(topic).join(format!("{partition}.jsonl"))).unwrap()
    }

    fn spread(&self, topic: &str, made: &str, odd: &[&str]) {
        let mut partitions = vec![String::new(); self.partitions];
        let mut odd = odd.iter().cycle();
        for (i, line) in made.lines().enumerate() {
            let extra = if i % ODD_EVERY == 0 { odd.next() } else { None };
            for line in extra.into_iter().chain([&line]) {
                let user = serde_json::from_str::<Keyed>(line).map_or(0, |keyed| keyed.user_id.unwrap_or(0));
                let partition = usize::try_from(user.unsigned_abs()).unwrap() % self.partitions;
                partitions[partition].push_str(line);
                partitions[partition].push('\n');
            }
        }
        let directory = self.topics().join(topic);
        fs::create_dir_all(&directory).unwrap();
        for (partition, content) in partitions.iter().enumerate() {
            fs::write(directory.join(format!("{partition}.jsonl")), content).unwrap();
        }
    }
}

fn make(config: &Path, topic: &str, count: usize, seed: u64) {
    let options = format!(
        "generate --connection events --topic {topic} --partitions 1 --rate 10000000 --count {count} --seed {seed} --rooms 12 \
         --noise 0.02 --config"
    );
    let mut arguments: Vec<&str> = options.split_whitespace().collect();
    arguments.push(config.to_str().unwrap());
    let finished = sluice(&arguments);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

/// The lines of a part of the file, whole lines only. Adjoining parts make the whole.
fn part(content: &str, from: f64, to: f64) -> &str {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a fraction of a length is a length"
    )]
    let at = |fraction: f64| match (content.len() as f64 * fraction) as usize {
        0 => 0,
        byte => content.as_bytes()[..byte].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
    };
    &content[at(from)..at(to)]
}
