//! The laws of the embedded log.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use sluice_core::identity::Identity;
use sluice_core::interval::Intervals;
use sluice_core::{Offset, Partition};
use tempfile::TempDir;

use super::*;
use crate::source::{Source, SourceError, Start, Subscription};
use crate::writer::{WriteError, Writer};

const NO_WAIT: Duration = Duration::ZERO;

/// Long enough for any machine; never waited for in full when the test passes.
const LONG: Duration = Duration::from_secs(60);

struct Log {
    _directory: TempDir,
    connection: LogConnection,
}

impl Log {
    fn new() -> Log {
        let directory = TempDir::new().unwrap();
        let connection = LogConnection { directory: directory.path().join("log") };
        fs::create_dir_all(connection.directory.join("t")).unwrap();
        Log { _directory: directory, connection }
    }

    fn path(&self, partition: i32) -> PathBuf {
        self.connection.directory.join(format!("t/{partition}.jsonl"))
    }

    fn append(&self, partition: i32, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(partition)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn try_open(&self, start: Start) -> Result<LogSource, SourceError> {
        let subscription = Subscription { topic: "t".into(), group: "g".into(), start, known: Identity::default() };
        LogSource::open(&self.connection, &subscription)
    }

    fn open(&self, start: Start) -> LogSource {
        self.try_open(start).unwrap()
    }
}

/// Records and intervals that a source gave, with the interval algebra as the judge of its intervals.
#[derive(Default)]
struct Reader {
    lines: BTreeMap<Partition, Vec<(Offset, Vec<u8>)>>,
    intervals: Intervals,
}

impl Reader {
    fn poll(&mut self, source: &mut LogSource, max: usize, wait: Duration) -> Result<usize, SourceError> {
        let Some(records) = source.poll(max, wait)? else { return Ok(0) };
        assert!(records.len() <= max);
        assert_eq!(records.topic(), "t");
        for (partition, interval) in records.intervals() {
            self.intervals.extend(*partition, *interval).unwrap();
        }
        for i in 0..records.len() {
            let (partition, offset) = records.position(i);
            self.lines.entry(partition).or_default().push((offset, records.value(i).unwrap().to_vec()));
        }
        let accounted: i64 = records.intervals().iter().map(|(_, it)| it.end().0 - it.start().0).sum();
        assert_eq!(accounted, records.len() as i64);
        assert_eq!(records.bytes(), (0..records.len()).map(|i| records.value(i).unwrap().len()).sum::<usize>());
        Ok(records.len())
    }

    fn drain(&mut self, source: &mut LogSource, max: usize) {
        while self.poll(source, max, NO_WAIT).unwrap() > 0 {}
    }

    fn lines(&self, partition: i32) -> Vec<Vec<u8>> {
        let lines = self.lines.get(&Partition(partition)).cloned().unwrap_or_default();
        assert!(lines.windows(2).all(|pair| pair[1].0 == pair[0].0.next()));
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

fn read_all(source: &mut LogSource) -> Reader {
    let mut reader = Reader::default();
    reader.drain(source, 1000);
    reader
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

fn unusable(error: SourceError) -> String {
    let SourceError::Unusable(message) = error else { panic!("{error} should be for good") };
    message
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = any::<u8>().prop_filter("a line has no line feed", |byte| *byte != b'\n');
    prop::collection::vec(prop::collection::vec(byte, 0..40), 0..60)
}

proptest! {
    #[test]
    fn any_split_of_appends_gives_the_same_records(
        lines in lines(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        max in 1_usize..50,
    ) {
        let log = Log::new();
        let bytes = joined(&lines);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        log.append(0, b"");
        let mut source = log.open(Start::Earliest);
        let mut reader = Reader::default();
        for pair in cuts.windows(2) {
            log.append(0, &bytes[pair[0]..pair[1]]);
            reader.drain(&mut source, max);
        }
        prop_assert_eq!(reader.lines(0), lines);
        prop_assert!(reader.intervals.reaches(&source.ends().unwrap()));
    }

    #[test]
    fn a_start_at_any_commit_reads_the_rest(lines in lines(), more in lines(), at in any::<prop::sample::Index>()) {
        let log = Log::new();
        let committed = at.index(lines.len() + 1);
        log.append(0, &joined(&lines));
        let next = BTreeMap::from([(Partition(0), Offset(committed as i64))]);
        log.open(Start::Earliest).committer().commit(&next).unwrap();
        log.append(0, &joined(&more));

        let mut source = log.open(Start::Committed);
        prop_assert_eq!(source.positions(), next);
        let expected = [&lines[committed..], &more].concat();
        prop_assert_eq!(read_all(&mut source).lines(0), expected);
    }

    #[test]
    fn ends_count_whole_lines_wherever_reading_is(lines in lines(), max in 1_usize..50, polls in 0_usize..5) {
        let log = Log::new();
        log.append(0, &joined(&lines));
        log.append(0, b"unfinished");
        let mut source = log.open(Start::Earliest);
        for _ in 0..polls {
            source.poll(max, NO_WAIT).unwrap();
        }
        let end = |lines: usize| BTreeMap::from([(Partition(0), Offset(lines as i64))]);
        prop_assert_eq!(source.ends().unwrap(), end(lines.len()));
        log.append(0, b" no more\nnext\n");
        prop_assert_eq!(source.ends().unwrap(), end(lines.len() + 2));
    }

    #[test]
    fn what_is_written_is_read(records in prop::collection::vec((any::<u64>(), "[ -~]{0,30}"), 0..100)) {
        let log = Log::new();
        let mut writer = LogWriter::open(&log.connection).unwrap();
        writer.ensure_topic("t", 3).unwrap();
        for (spread, value) in &records {
            writer.write("t", *spread, value.as_bytes()).unwrap();
        }
        writer.flush().unwrap();
        let read = read_all(&mut log.open(Start::Earliest));
        for partition in 0..3 {
            let of_partition = records.iter().filter(|(spread, _)| spread % 3 == partition as u64);
            let expected: Vec<_> = of_partition.map(|(_, value)| value.as_bytes().to_vec()).collect();
            prop_assert_eq!(read.lines(partition), expected);
        }
    }
}

#[test]
fn files_of_many_blocks_are_read_whole() {
    let log = Log::new();
    let lines: Vec<_> = (0..40_000_usize).map(|i| i.to_string().repeat(1 + i % 17).into_bytes()).collect();
    log.append(0, &joined(&lines));
    log.append(1, &joined(&lines));
    let read = read_all(&mut log.open(Start::Earliest));
    assert_eq!(read.lines(0), lines);
    assert_eq!(read.lines(1), lines);
}

#[test]
fn the_latest_start_reads_what_comes_after_opening() {
    let log = Log::new();
    log.append(0, b"old\nbegun");
    let mut source = log.open(Start::Latest);
    log.append(0, b" before\nnew\n");
    assert_eq!(read_all(&mut source).lines(0), [b"begun before".to_vec(), b"new".to_vec()]);
}

#[test]
fn a_poll_ends_with_the_first_line_that_comes() {
    let log = Log::new();
    log.append(0, b"half");
    let mut source = log.open(Start::Earliest);
    assert!(source.poll(10, NO_WAIT).unwrap().is_none());
    let mut reader = Reader::default();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| reader.poll(&mut source, 10, LONG).unwrap());
        log.append(0, b" a line\n");
        assert_eq!(reading.join().unwrap(), 1);
    });
    assert_eq!(reader.lines(0), [b"half a line".to_vec()]);
}

#[test]
fn new_partitions_are_found_and_read_from_their_beginning() {
    let log = Log::new();
    log.append(0, b"old\n");
    let mut source = log.open(Start::Latest);
    log.append(7, b"new\n");
    let mut reader = Reader::default();
    assert_eq!(reader.poll(&mut source, 10, LONG).unwrap(), 1);
    assert_eq!(reader.lines(7), [b"new".to_vec()]);
    assert_eq!(source.positions(), BTreeMap::from([(Partition(0), Offset(1)), (Partition(7), Offset(0))]));
}

#[test]
fn no_partition_waits_for_the_backlog_of_another() {
    let log = Log::new();
    (0..3).for_each(|partition| log.append(partition, &b"line\n".repeat(1000)));
    let mut source = log.open(Start::Earliest);
    let mut reader = Reader::default();
    (0..3).for_each(|_| assert_eq!(reader.poll(&mut source, 10, NO_WAIT).unwrap(), 10));
    (0..3).for_each(|partition| assert_eq!(reader.lines(partition).len(), 10));
}

#[test]
fn a_file_that_shrank_stops_the_source() {
    let log = Log::new();
    log.append(0, b"one\ntwo\n");
    let mut source = log.open(Start::Earliest);
    read_all(&mut source);
    fs::write(log.path(0), b"one\n").unwrap();
    let message = unusable(source.poll(10, NO_WAIT).err().unwrap());
    assert!(message.contains("0.jsonl became shorter after its lines up to 2"), "{message}");
    assert!(source.ends().is_err());
}

#[test]
fn a_file_that_was_replaced_or_removed_stops_the_source() {
    let log = Log::new();
    log.append(0, b"one\n");
    let mut source = log.open(Start::Earliest);
    read_all(&mut source);
    log.append(1, b"other\nlines\n");
    fs::rename(log.path(1), log.path(0)).unwrap();
    assert!(unusable(source.poll(10, NO_WAIT).err().unwrap()).contains("was replaced"));
    fs::remove_file(log.path(0)).unwrap();
    assert!(unusable(source.poll(10, NO_WAIT).err().unwrap()).contains("is gone"));
}

#[test]
fn the_longest_line_is_read_and_a_longer_one_is_named() {
    let log = Log::new();
    log.append(0, b"short\n");
    log.append(0, &vec![b'x'; MAX_LINE]);
    log.append(0, b"\nshort\n");
    log.append(0, &vec![b'x'; MAX_LINE + 1]);
    let mut source = log.open(Start::Earliest);
    let mut reader = Reader::default();
    let unfinished = loop {
        match reader.poll(&mut source, 10, NO_WAIT) {
            Ok(_) => {}
            Err(error) => break unusable(error),
        }
    };
    assert_eq!(reader.lines(0).iter().map(Vec::len).collect::<Vec<_>>(), [5, MAX_LINE, 5]);
    assert!(unfinished.contains("0.jsonl: line 4 is longer"), "{unfinished}");
    log.append(0, b"\n");
    let mut again = log.open(Start::Earliest);
    let finished = loop {
        match again.poll(10, NO_WAIT) {
            Ok(_) => {}
            Err(error) => break unusable(error),
        }
    };
    assert_eq!(finished, unfinished);
}

/// The lines of a reader that ends where the file ends.
fn backfilled(log: &Log, start: Start) -> (Reader, Offset) {
    let mut source = log.open(start);
    let end = source.last_ends().unwrap()[&Partition(0)];
    let mut reader = Reader::default();
    reader.drain(&mut source, 1000);
    assert_eq!(source.ends().unwrap()[&Partition(0)], end);
    (reader, end)
}

fn at(offset: Offset) -> Start {
    Start::At(BTreeMap::from([(Partition(0), offset)]))
}

#[test]
fn a_last_line_without_a_line_feed_is_read_by_a_reader_that_ends_there() {
    let log = Log::new();
    log.append(0, b"{\"a\":1}\n{\"a\":2}");
    // Who goes on reading waits for the line feed.
    assert_eq!(read_all(&mut log.open(Start::Earliest)).lines(0), [b"{\"a\":1}".to_vec()]);
    let (read, end) = backfilled(&log, Start::Earliest);
    assert_eq!((read.lines(0).len(), end), (2, Offset(2)));
    assert_eq!(read.lines(0)[1], b"{\"a\":2}");
    assert!(read.intervals.reaches(&BTreeMap::from([(Partition(0), end)])));

    // The next reader goes on after it, whether its line feed has come or not.
    assert_eq!(backfilled(&log, at(end)).0.lines(0), Vec::<Vec<u8>>::new());
    let mut waiting = log.open(at(end));
    assert_eq!(waiting.poll(10, NO_WAIT).unwrap().map(|records| records.len()), None);
    assert_eq!(waiting.ends().unwrap()[&Partition(0)], Offset(2));
    log.append(0, b" \n{\"a\":3}\n{\"a\":4}");
    let mut reader = Reader::default();
    reader.drain(&mut waiting, 10);
    assert_eq!(reader.lines(0), [b"{\"a\":3}".to_vec()]);
    assert_eq!(waiting.ends().unwrap()[&Partition(0)], Offset(3));
    let (read, end) = backfilled(&log, at(end));
    assert_eq!((read.lines(0), end), (vec![b"{\"a\":3}".to_vec(), b"{\"a\":4}".to_vec()], Offset(4)));
}

#[test]
fn a_last_line_that_a_writer_has_begun_is_not_read() {
    for half in ["{", "{\"a\":1", "{\"a\":\"}", "[1]", "7", " ", "{\"a\":1}{", "{\"a\":{\"b\":1}"] {
        let log = Log::new();
        log.append(0, format!("{{\"a\":0}}\n{half}").as_bytes());
        let (read, end) = backfilled(&log, Start::Earliest);
        assert_eq!((read.lines(0).len(), end), (1, Offset(1)), "{half}");
    }
}

#[test]
fn a_line_that_is_written_on_after_it_was_read_stops_the_source() {
    let log = Log::new();
    log.append(0, b"{\"a\":1}");
    let mut source = log.open(Start::Earliest);
    source.last_ends().unwrap();
    assert_eq!(read_all(&mut source).lines(0).len(), 1);
    log.append(0, b"{\"a\":2}\n");
    let message = unusable(source.poll(10, NO_WAIT).err().unwrap());
    assert!(message.contains("was written on after its last line"), "{message}");
}

#[test]
fn a_last_line_that_is_finished_before_it_is_read_is_read_once() {
    let log = Log::new();
    log.append(0, b"{\"a\":1}");
    let mut source = log.open(Start::Earliest);
    assert_eq!(source.last_ends().unwrap()[&Partition(0)], Offset(1));
    log.append(0, b"\n{\"a\":2}\n");
    assert_eq!(read_all(&mut source).lines(0).len(), 2);
}

#[test]
fn a_long_last_line_without_a_line_feed_is_read() {
    let log = Log::new();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20)).into_bytes();
    log.append(0, &[b"{}\n", long.as_slice()].concat());
    let (read, end) = backfilled(&log, Start::Earliest);
    assert_eq!((read.lines(0)[1].len(), end), (long.len(), Offset(2)));
}

proptest! {
    #[test]
    fn a_reader_that_ends_and_those_after_it_read_each_line_once(
        records in prop::collection::vec("[a-z]{0,9}", 1..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let lines: Vec<_> = records.iter().map(|text| format!("{{\"a\":\"{text}\"}}").into_bytes()).collect();
        let log = Log::new();
        let bytes = joined(&lines);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut all, mut next) = (Vec::new(), Offset(0));
        log.append(0, b"");
        for pair in cuts.windows(2) {
            log.append(0, &bytes[pair[0]..pair[1]]);
            let (read, end) = backfilled(&log, at(next));
            all.extend(read.lines(0));
            next = end;
        }
        prop_assert_eq!(all, lines);
    }
}

#[test]
fn a_missing_topic_says_what_to_do() {
    let log = Log::new();
    fs::remove_dir(log.connection.directory.join("t")).unwrap();
    let message = unusable(log.try_open(Start::Earliest).err().unwrap());
    assert!(message.contains("`t`") && message.contains("create it, or start the generator"), "{message}");
    let mut writer = LogWriter::open(&log.connection).unwrap();
    assert!(matches!(writer.write("t", 0, b"{}"), Err(WriteError::Unusable(_))));
}

#[test]
fn damaged_commits_stop_only_a_start_from_them_and_the_next_commit_mends_them() {
    let log = Log::new();
    log.append(0, b"one\ntwo\n");
    let path = log.connection.directory.join(".groups/g/t.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for damage in ["", "{\"0\": 1", "[]", "{\"0\": -1}", "{\"zero\": 1}"] {
        fs::write(&path, damage).unwrap();
        assert!(unusable(log.try_open(Start::Committed).err().unwrap()).contains("t.json"));
    }
    let source = log.open(Start::Earliest);
    source.committer().commit(&BTreeMap::from([(Partition(0), Offset(1))])).unwrap();
    assert_eq!(read_all(&mut log.open(Start::Committed)).lines(0), [b"two".to_vec()]);
}

#[test]
fn a_commit_keeps_those_of_other_partitions() {
    let log = Log::new();
    (0..2).for_each(|partition| log.append(partition, b"a\nb\nc\n"));
    let commit = |start, partition, offset| {
        let committer = log.open(start).committer();
        committer.commit(&BTreeMap::from([(Partition(partition), Offset(offset))])).unwrap();
    };
    commit(Start::Earliest, 0, 1);
    commit(Start::Committed, 1, 2);
    let expected = BTreeMap::from([(Partition(0), Offset(1)), (Partition(1), Offset(2))]);
    assert_eq!(log.open(Start::Committed).positions(), expected);
}

#[test]
fn a_commit_beyond_the_files_end_stops_the_start() {
    let log = Log::new();
    log.append(0, b"one\n");
    let source = log.open(Start::Earliest);
    source.committer().commit(&BTreeMap::from([(Partition(0), Offset(5))])).unwrap();
    let message = unusable(log.try_open(Start::Committed).err().unwrap());
    assert!(message.contains("line 5") && message.contains("only 1"), "{message}");
}

#[test]
fn only_partition_files_are_read() {
    let log = Log::new();
    log.append(0, b"one\n");
    for name in ["01.jsonl", "-1.jsonl", "+1.jsonl", "1.json", "notes.jsonl", "1.jsonl~"] {
        fs::write(log.connection.directory.join("t").join(name), b"no record\n").unwrap();
    }
    assert_eq!(log.open(Start::Earliest).positions().len(), 1);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let log = Log::new();
    for name in ["", ".", "..", "../t", "a/b", ".groups", "a\0b", &"a".repeat(250)] {
        let subscription = |topic: &str, group: &str| Subscription {
            topic: topic.into(),
            group: group.into(),
            start: Start::Earliest,
            known: Identity::default(),
        };
        assert!(LogSource::open(&log.connection, &subscription(name, "g")).is_err());
        assert!(LogSource::open(&log.connection, &subscription("t", name)).is_err());
        assert!(LogWriter::open(&log.connection).unwrap().ensure_topic(name, 1).is_err());
    }
}

#[test]
fn a_writer_finishes_the_line_that_it_finds_unfinished() {
    let log = Log::new();
    log.append(0, b"whole\nleft open");
    let mut writer = LogWriter::open(&log.connection).unwrap();
    writer.write("t", 0, b"next").unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read(log.path(0)).unwrap(), b"whole\nleft open\nnext\n");
}

#[test]
fn a_writer_keeps_the_topic_that_is_there_and_refuses_what_is_no_line() {
    let log = Log::new();
    let mut writer = LogWriter::open(&log.connection).unwrap();
    writer.ensure_topic("t", 2).unwrap();
    writer.ensure_topic("t", 5).unwrap();
    assert_eq!(log.open(Start::Earliest).positions().len(), 2);
    assert!(matches!(writer.ensure_topic("t", 0), Err(WriteError::Unusable(_))));
    assert!(matches!(writer.write("t", 0, b"two\nlines"), Err(WriteError::Unusable(_))));
}
