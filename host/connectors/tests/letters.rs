//! Promises of every letterbox, on SQLite and on a real MySQL server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "these are tests"
)]

#[macro_use]
mod mysql_server;
mod rows;

use std::collections::BTreeMap;

use sluice_connectors::kafka::KafkaConnection;
use sluice_connectors::letters::{Filter, LetterPlace, Letterbox, MAX_FOUND, PREVIEW_BYTES, file};
use sluice_connectors::roles::LettersRole;
use sluice_connectors::sink::SinkError;
use sluice_connectors::sqlite::SqliteConnection;
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::rejected::Stage;
use sluice_core::{Offset, Partition};

const SECOND: i64 = 1_000_000;

fn id(topic: &str, partition: i32, offset: i64) -> LetterId {
    LetterId { topic: topic.to_owned(), partition: Partition(partition), offset: Offset(offset) }
}

fn letter(topic: &str, partition: i32, offset: i64) -> DeadLetter {
    DeadLetter {
        id: id(topic, partition, offset),
        key: Some(b"\0key\xff".to_vec()),
        value: Some(b"{\"a\":\xff".to_vec()),
        timestamp: Some(1_629_107_281_000_050),
        stage: Stage::Step(2),
        reason: "no such 房间".to_owned(),
        operator: Some("ab12".to_owned()),
        time: 1_700_000_000 * SECOND + offset * SECOND,
        retry: false,
    }
}

fn bare(offset: i64) -> DeadLetter {
    DeadLetter { key: None, value: None, timestamp: None, operator: None, ..letter("t", 0, offset) }
}

async fn all(letters: &mut dyn Letterbox, filter: &Filter) -> Vec<LetterPlace> {
    letters.find(filter, None).await.unwrap().iter().map(|letter| letter.place()).collect()
}

async fn offsets(letters: &mut dyn Letterbox, filter: &Filter) -> Vec<i64> {
    all(letters, filter).await.into_iter().map(|(_, id)| id.offset.0).collect()
}

fn of(pipeline: &str) -> Filter {
    Filter { pipeline: Some(pipeline.to_owned()), ..Filter::default() }
}

/// The laws, on a box without letters.
async fn keeps_its_promises(letters: &mut dyn Letterbox) {
    a_letter_is_read_as_it_was_written(letters).await;
    filters_mean_what_they_say(letters).await;
    a_retry_is_asked_for_once(letters).await;
    only_what_is_named_is_removed(letters).await;
    pages_join(letters).await;
}

async fn a_letter_is_read_as_it_was_written(letters: &mut dyn Letterbox) {
    let topic = "t".repeat(249);
    let long = DeadLetter {
        value: Some(vec![0xfe; 3 << 20]),
        reason: "é".repeat(512),
        id: id(&topic, i32::MAX, i64::MAX),
        ..letter("", 0, 0)
    };
    let group = DeadLetter { id: LetterId::of_group("1, 2"), ..bare(0) };
    let written = [letter("t", 0, 1), bare(2), long, group];
    // Twice, as after a crash.
    for _ in 0..2 {
        letters.write(&"p".repeat(100), &written).await.unwrap();
    }
    assert_eq!(all(letters, &Filter::default()).await.len(), written.len());
    for letter in &written {
        let place = ("p".repeat(100), letter.id.clone());
        assert_eq!(letters.read(&place).await.unwrap().as_ref(), Some(letter));
    }
    for found in letters.find(&Filter::default(), None).await.unwrap() {
        assert!(found.letter.value.is_none_or(|value| value.len() <= PREVIEW_BYTES));
    }
    let newer = DeadLetter { reason: "otherwise".to_owned(), stage: Stage::Decode, ..letter("t", 0, 1) };
    letters.write(&"p".repeat(100), std::slice::from_ref(&newer)).await.unwrap();
    assert_eq!(letters.read(&("p".repeat(100), newer.id.clone())).await.unwrap(), Some(newer));
    assert_eq!(letters.read(&("p".to_owned(), id("t", 0, 1))).await.unwrap(), None);
    assert_eq!(letters.discard(&Filter::default()).await.unwrap(), written.len() as u64);
}

async fn filters_mean_what_they_say(letters: &mut dyn Letterbox) {
    let half = DeadLetter { time: letter("t", 0, 2).time + SECOND / 2, ..letter("t", 0, 2) };
    let other = DeadLetter { reason: "100% _wrong_".to_owned(), ..letter("u", 1, 3) };
    letters.write("one", &[letter("t", 0, 1), half, other]).await.unwrap();
    letters.write("two", &[letter("t", 0, 4)]).await.unwrap();
    let time = |offset| Some(letter("t", 0, offset).time);
    let reason = |text: &str| Filter { reason: Some(text.to_owned()), ..Filter::default() };
    for (filter, fit) in [
        (Filter::default(), vec![1, 2, 3, 4]),
        (of("two"), vec![4]),
        (of("tw_"), vec![]),
        (reason("房间"), vec![1, 2, 4]),
        (reason("% _"), vec![3]),
        (reason("%房%"), vec![]),
        (Filter { since: time(1), ..Filter::default() }, vec![1, 2, 3, 4]),
        (Filter { since: time(2), ..Filter::default() }, vec![2, 3, 4]),
        (Filter { until: time(2), ..Filter::default() }, vec![1]),
        (Filter { since: time(2), until: time(3), ..Filter::default() }, vec![2]),
        (Filter { topic: Some("u".to_owned()), ..Filter::default() }, vec![3]),
        (Filter { partition: Some(Partition(0)), offset: Some(Offset(4)), ..Filter::default() }, vec![4]),
    ] {
        assert_eq!(offsets(letters, &filter).await, fit, "{filter:?}");
        if fit.is_empty() {
            assert_eq!(letters.discard(&filter).await.unwrap(), 0);
        }
    }
    assert_eq!(letters.discard(&reason("房间")).await.unwrap(), 3);
    assert_eq!(letters.discard(&Filter::default()).await.unwrap(), 1);
}

async fn a_retry_is_asked_for_once(letters: &mut dyn Letterbox) {
    let group = DeadLetter { id: LetterId::of_group("1"), ..bare(0) };
    letters.write("p", &[bare(1), bare(2), group]).await.unwrap();
    assert_eq!(letters.mark(&of("p")).await.unwrap(), 2);
    assert_eq!(letters.mark(&of("p")).await.unwrap(), 0);
    let marked = Filter { retry: Some(true), ..of("p") };
    assert_eq!(offsets(letters, &marked).await, [1, 2]);
    // Left out again: a new letter, for which nobody asked for anything yet.
    letters.write("p", &[bare(2)]).await.unwrap();
    assert_eq!(offsets(letters, &marked).await, [1]);
    assert_eq!(letters.discard(&of("p")).await.unwrap(), 3);
}

async fn only_what_is_named_is_removed(letters: &mut dyn Letterbox) {
    let written: Vec<DeadLetter> = (0..1_000).map(|offset| letter("t", (offset % 3) as i32, offset)).collect();
    letters.write("p", &written).await.unwrap();
    letters.write("q", &written[..3]).await.unwrap();
    let ids: Vec<LetterId> =
        written.iter().map(|letter| letter.id.clone()).filter(|id| id.offset.0 % 10 != 7).collect();
    letters.remove("p", &ids).await.unwrap();
    letters.remove("p", &ids).await.unwrap();
    assert_eq!(offsets(letters, &of("p")).await.len(), 100);
    let from = BTreeMap::from([(Partition(0), Offset(507)), (Partition(1), Offset(0))]);
    letters.remove_from("p", "u", &from).await.unwrap();
    letters.remove_from("p", "t", &from).await.unwrap();
    let left: Vec<i64> =
        (0..1_000).filter(|offset| offset % 10 == 7 && (offset % 3 == 2 || offset % 3 == 0 && *offset < 507)).collect();
    let mut found = offsets(letters, &of("p")).await;
    found.sort_unstable();
    assert_eq!(found, left);
    assert_eq!(offsets(letters, &of("q")).await, [0, 1, 2]);
    letters.discard(&Filter::default()).await.unwrap();
}

async fn pages_join(letters: &mut dyn Letterbox) {
    let written: Vec<DeadLetter> = (0..MAX_FOUND as i64 + 7).map(|offset| letter("t", 0, offset)).collect();
    letters.write("p", &written).await.unwrap();
    letters.write("q", &written[..2]).await.unwrap();
    let (mut places, mut after) = (Vec::new(), None);
    loop {
        let page = letters.find(&Filter::default(), after.as_ref()).await.unwrap();
        assert!(page.len() <= MAX_FOUND);
        let Some(last) = page.last() else { break };
        after = Some(last.place());
        places.extend(page.iter().map(|letter| letter.place()));
    }
    let of = |pipeline: &str, letters: &[DeadLetter]| -> Vec<LetterPlace> {
        letters.iter().map(|letter| (pipeline.to_owned(), letter.id.clone())).collect()
    };
    assert_eq!(places, [of("p", &written), of("q", &written[..2])].concat());
    letters.discard(&Filter::default()).await.unwrap();
}

#[tokio::test]
async fn a_table_of_sqlite_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let connection = SqliteConnection::new(directory.path().join("letters.db"));
    keeps_its_promises(&mut *connection.open_letters("letters", true).await.unwrap()).await;
}

on_each_server!(a_table_of_mysql_keeps_its_promises);
async fn a_table_of_mysql_keeps_its_promises() {
    let table = mysql_server::fresh().await;
    keeps_its_promises(&mut *mysql_server::connection().open_letters(&table, true).await.unwrap()).await;
}

#[tokio::test]
async fn a_file_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letters.jsonl");
    keeps_its_promises(&mut *file::letters(&path)).await;
}

/// A broker, and a topic of this test's own.
fn topic(name: &str) -> (KafkaConnection, String) {
    let brokers =
        std::env::var("SLUICE_TEST_KAFKA").expect("run `make services` and set SLUICE_TEST_KAFKA to host:port");
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    (KafkaConnection { brokers, properties: BTreeMap::new() }, format!("letters-{name}-{moment}"))
}

async fn opened(kafka: &KafkaConnection, topic: &str) -> Box<dyn Letterbox> {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    tokio::task::spawn_blocking(move || kafka.open_letters(&topic, true)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_topic_keeps_its_promises() {
    let (kafka, topic) = topic("promises");
    keeps_its_promises(&mut *opened(&kafka, &topic).await).await;
}

#[tokio::test]
async fn a_topic_that_is_missing_has_no_letter_and_is_not_made_by_looking() {
    let (kafka, topic) = topic("missing");
    let mut letters = kafka.letters(&topic);
    assert_eq!(letters.find(&Filter::default(), None).await.unwrap(), []);
    assert_eq!(letters.mark(&Filter::default()).await.unwrap(), 0);
    assert_eq!(letters.discard(&Filter::default()).await.unwrap(), 0);
    let refused = tokio::task::spawn_blocking(move || kafka.open_letters(&topic, false).map(drop)).await.unwrap();
    assert!(matches!(refused, Err(SinkError::Unusable(why)) if why.contains("has no topic")));
}

/// People mark what they saw; the host has removed it, or written it anew, meanwhile.
#[tokio::test]
async fn a_mark_that_comes_late_brings_no_letter_of_a_topic_back_and_marks_no_newer_one() {
    let (kafka, topic) = topic("late");
    let (mut host, mut people) = (opened(&kafka, &topic).await, kafka.letters(&topic));
    host.write("p", &[bare(1), bare(2), bare(3)]).await.unwrap();
    assert_eq!(offsets(&mut *people, &of("p")).await, [1, 2, 3]);
    // Another mark of the same versions, as the topic has it when it was decided on before and written after.
    assert_eq!(people.mark(&of("p")).await.unwrap(), 3);
    host.remove("p", &[id("t", 0, 1)]).await.unwrap();
    host.write("p", &[bare(2)]).await.unwrap();
    let marked = Filter { retry: Some(true), ..of("p") };
    for letters in [&mut host, &mut people, &mut kafka.letters(&topic)] {
        assert_eq!(offsets(&mut **letters, &of("p")).await, [2, 3]);
        assert_eq!(offsets(&mut **letters, &marked).await, [3]);
    }
    assert_eq!(people.discard(&of("p")).await.unwrap(), 2);
    assert_eq!(offsets(&mut *host, &of("p")).await, Vec::<i64>::new());
}

#[tokio::test]
async fn what_a_crash_left_of_a_line_is_passed_over_and_cut_off_and_nothing_else_is() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letters.jsonl");
    let mut letters = file::letters(&path);
    letters.write("p", &[bare(1), bare(2)]).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let append = |bytes: &[u8]| {
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(bytes).unwrap();
    };
    append(&whole[..20]);
    assert_eq!(offsets(&mut *letters, &of("p")).await, [1, 2]);
    letters.write("p", &[bare(3)]).await.unwrap();
    assert_eq!(offsets(&mut *letters, &of("p")).await, [1, 2, 3]);
    // Somebody's editor left the last line without an end.
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, text.strip_suffix(b"\n").unwrap()).unwrap();
    letters.write("p", &[bare(4)]).await.unwrap();
    assert_eq!(offsets(&mut *letters, &of("p")).await, [1, 2, 3, 4]);
    append(b"not mine\n");
    let Err(SinkError::Unusable(why)) = letters.find(&of("p"), None).await else { panic!("it was read") };
    assert!(why.contains("the line at byte") && why.contains("letters.jsonl"), "{why}");
}

#[tokio::test]
async fn a_host_and_people_at_the_same_file_lose_no_letter() {
    const EACH: i64 = 60;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letters.jsonl");
    let tasks: Vec<_> = (0..4i64)
        .map(|task| {
            let path = path.clone();
            tokio::spawn(async move {
                let mut letters = file::letters(&path);
                for i in 0..EACH {
                    let offset = task * EACH + i;
                    letters.write("p", &[bare(offset)]).await.unwrap();
                    let one = Filter { offset: Some(Offset(offset)), ..of("p") };
                    let done = if i % 2 == 0 { letters.mark(&one).await } else { letters.discard(&one).await };
                    assert_eq!(done.unwrap(), 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let marked = Filter { retry: Some(true), ..of("p") };
    let even: Vec<i64> = (0..4 * EACH).filter(|offset| offset % 2 == 0).collect();
    assert_eq!(offsets(&mut *file::letters(&path), &marked).await, even);
}

on_each_server!(a_table_that_is_missing_has_no_letter_and_is_not_made_by_looking);
async fn a_table_that_is_missing_has_no_letter_and_is_not_made_by_looking() {
    let directory = tempfile::tempdir().unwrap();
    let connection = SqliteConnection::new(directory.path().join("letters.db"));
    let mut boxes =
        vec![connection.letters("letters").unwrap(), mysql_server::connection().letters("no_such_letters").unwrap()];
    for letters in &mut boxes {
        assert_eq!(letters.find(&Filter::default(), None).await.unwrap(), []);
        assert_eq!(letters.read(&("p".to_owned(), id("t", 0, 0))).await.unwrap(), None);
        assert_eq!(letters.mark(&Filter::default()).await.unwrap(), 0);
        assert_eq!(letters.discard(&Filter::default()).await.unwrap(), 0);
    }
    assert!(!connection.path.exists());
}

on_each_server!(pipelines_that_make_the_table_at_once_share_it);
async fn pipelines_that_make_the_table_at_once_share_it() {
    let table = mysql_server::fresh().await;
    let open = || {
        let table = table.clone();
        tokio::spawn(async move { mysql_server::connection().open_letters(&table, true).await.map(drop) })
    };
    let opened: Vec<_> = (0..8).map(|_| open()).collect();
    for opened in opened {
        opened.await.unwrap().unwrap();
    }
}
