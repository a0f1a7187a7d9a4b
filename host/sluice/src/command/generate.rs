//! `sluice generate`: made-up entries and gifts, as the original's script makes them.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sluice_clock::{Stopwatch, now_micros};
use sluice_connectors::generator::{Generator, GeneratorOptions, Stream, WallClock};
use sluice_connectors::writer::Writer;
use tokio::sync::watch;

use super::{ConfigFile, block_on};
use crate::connections::Connections;
use crate::ending::Ending;

/// Time between two writes of a paced generator. Shorter: more system calls. Longer: records come in visible gusts.
const BEAT: Duration = Duration::from_millis(50);

/// The most records written between two looks at the clock and at the signals.
const BURST: u64 = 10_000;

/// Write made-up entries (`live_streaming_log`) and gifts (`live_gift_total`) to a connection, ten by ten in turn.
#[derive(Debug, clap::Args)]
pub struct Generate {
    #[command(flatten)]
    file: ConfigFile,
    /// The connection to write to, by its name in the configuration.
    #[arg(long)]
    connection: String,
    /// Records a second; 0: as fast as it goes.
    #[arg(long, default_value_t = DEFAULT_RATE)]
    rate: u64,
    /// Number of records; without it, records are generated until SIGTERM, SIGINT or SIGHUP.
    #[arg(long)]
    count: Option<u64>,
    /// The same seed gives the same records but for their times.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of users, from 2000 up.
    #[arg(long, default_value_t = GeneratorOptions::default().users)]
    users: NonZeroU32,
    /// Number of rooms, from 20210813 up.
    #[arg(long, default_value_t = GeneratorOptions::default().rooms)]
    rooms: NonZeroU32,
    /// Write only the records of this topic; `--count` counts these.
    #[arg(long, value_parser = topic)]
    topic: Option<Stream>,
    /// Number of partitions of a topic that isn't there yet.
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// The share of records (0 to 1) with nulls, missing or new fields, unknown rooms, duplicates.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    noise: f64,
    /// The share of records (0 to 1) that are malformed.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    malformed: f64,
}

/// The original's pace is slower still; this one is worth looking at.
pub(super) const DEFAULT_RATE: u64 = 200;

impl Generate {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let config = self.file.load()?;
        let mut writer = Connections::new(&config.connections).open_writer(&self.connection)?;
        for stream in self.streams() {
            writer.ensure_topic(stream.topic(), self.partitions)?;
        }
        let generator = Generator::new(GeneratorOptions {
            seed: self.seed,
            users: self.users,
            rooms: self.rooms,
            noise: self.noise,
            malformed: self.malformed,
            // Surprises come late: in the second half, or after some seconds of a stream without end.
            surprise_after: self.count.map_or(1_000, |count| count / 2),
        });
        let mut paced = Paced { generator, only: self.topic, rate: self.rate, left: self.count, made: 0 };
        let (ending, ended) = watch::channel(false);
        let mut signals = Ending::hear()?;
        signals.set_bound(config.stop_within);
        block_on(async move {
            let writing = tokio::task::spawn_blocking(move || paced.run(writer.as_mut(), &ended).map(|()| paced.made));
            tokio::pin!(writing);
            let made = tokio::select! {
                made = &mut writing => made,
                _ = signals.asked() => {
                    ending.send_replace(true);
                    writing.await
                }
            };
            tracing::info!(records = made??, connection = self.connection, "generated");
            Ok(ExitCode::SUCCESS)
        })
    }

    fn streams(&self) -> impl Iterator<Item = Stream> {
        let only = self.topic;
        [Stream::Entry, Stream::Gift].into_iter().filter(move |stream| only.is_none_or(|only| only == *stream))
    }
}

/// A generator that keeps to a rate.
pub(super) struct Paced {
    pub generator: Generator,
    pub only: Option<Stream>,
    /// Records a second; 0: no limit.
    pub rate: u64,
    /// Records still to be written; none: without end.
    pub left: Option<u64>,
    pub made: u64,
}

impl Paced {
    /// Writes until there is nothing left to write, or `ending` becomes true. Blocks.
    pub fn run(&mut self, writer: &mut dyn Writer, ending: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let start = Stopwatch::start();
        while self.left != Some(0) && !*ending.borrow() {
            let due = match self.rate {
                0 => BURST,
                rate => {
                    let owed = start.elapsed().as_secs_f64() * rate as f64;
                    // A whole number of records; the rest is owed at the next beat.
                    (owed as u64 + 1).saturating_sub(self.made).min(BURST)
                }
            };
            self.write(writer, due.min(self.left.unwrap_or(u64::MAX)))?;
            if self.rate > 0 {
                writer.flush()?;
                sluice_clock::sleep(BEAT);
            }
        }
        Ok(writer.flush()?)
    }

    fn write(&mut self, writer: &mut dyn Writer, records: u64) -> anyhow::Result<()> {
        let now = WallClock { seconds: local_seconds() };
        let mut record = Vec::with_capacity(512);
        let mut written = 0;
        while written < records {
            record.clear();
            let stream = self.generator.next(now, &mut record);
            if self.only.is_some_and(|only| only != stream) {
                continue;
            }
            writer.write(stream.topic(), spread(&record, self.made), &record)?;
            written += 1;
            self.made += 1;
        }
        self.left = self.left.map(|left| left - written);
        Ok(())
    }
}

/// Returns the number that decides about a record's partition. Records of one visitor go to one partition, so that the latest of
/// a visit is the same for every reader; others go round.
fn spread(record: &[u8], made: u64) -> u64 {
    const IP: &[u8] = b"\"ip\": \"";
    let Some(start) = record.windows(IP.len()).position(|window| window == IP) else { return made };
    let ip = record[start + IP.len()..].iter().take_while(|byte| **byte != b'"');
    ip.fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// Returns the seconds of the local wall clock.
fn local_seconds() -> i64 {
    let now = Timestamp::from_microsecond(now_micros()).unwrap_or_default();
    now.as_second() + i64::from(TimeZone::system().to_offset(now).seconds())
}

fn topic(name: &str) -> Result<Stream, String> {
    let streams = [Stream::Entry, Stream::Gift];
    let known = || streams.map(Stream::topic).join(" and ");
    streams.into_iter().find(|stream| stream.topic() == name).ok_or_else(|| format!("the topics are {}", known()))
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "want a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("want a number from 0 to 1".to_owned()) }
}
