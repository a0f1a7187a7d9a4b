//! Several members of a consumer group on a real broker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "these are tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sluice_connectors::kafka::{KafkaSource, KafkaWriter, Membership};
use sluice_connectors::source::{LeaseError, Start};
use sluice_connectors::{Source, SourceError, Writer};
use sluice_core::share::{Standing, Want};
use sluice_core::{Offset, Partition};
use support::{LONG, Reader, connection, subscription};

fn brokers() -> String {
    std::env::var("SLUICE_TEST_KAFKA").expect("SLUICE_TEST_KAFKA is the address of a real broker: `make services`")
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

/// A topic of this test's own, with so many records in each partition.
fn topic(name: &str, partitions: i32, records: usize) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let name = format!("sluice-group-{name}-{}-{}", std::process::id(), since.as_nanos());
    let options = AdminOptions::new().operation_timeout(Some(LONG));
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    block_on(admin().create_topics([&new], &options)).unwrap();
    let mut writer = KafkaWriter::open(&connection(&brokers(), &[]), LONG).unwrap();
    while writer.ensure_topic(&name, 1).is_err() {}
    for i in 0..records {
        (0..partitions).for_each(|partition| writer.write(&name, partition as u64, format!("{i}").as_bytes()).unwrap());
    }
    writer.flush().unwrap();
    name
}

fn join(topic: &str, want: Want) -> Membership {
    static HOSTS: AtomicUsize = AtomicUsize::new(0);
    join_as(topic, want, &format!("host{}", HOSTS.fetch_add(1, Ordering::Relaxed)))
}

fn join_as(topic: &str, want: Want, host: &str) -> Membership {
    let properties = [("session.timeout.ms", "6000"), ("topic.metadata.refresh.interval.ms", "200")];
    Membership::join(&connection(&brokers(), &properties), topic, &format!("{topic}-group"), want, host, true).unwrap()
}

fn open(topic: &str, start: Start, member: &Membership) -> KafkaSource {
    let properties = [("session.timeout.ms", "6000")];
    KafkaSource::open(&connection(&brokers(), &properties), &subscription(topic, start), Some(member), LONG).unwrap()
}

/// Waits until the member stands so.
fn await_standing(member: &Membership, what: &str, fits: impl Fn(&Standing) -> bool) -> Standing {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut standing = member.standing();
    let found = runtime.block_on(async {
        tokio::time::timeout(LONG, standing.wait_for(|standing| fits(standing)))
            .await
            .map(|found| found.unwrap().clone())
    });
    found.unwrap_or_else(|_| panic!("not {what}: {:?}", *member.standing().borrow()))
}

fn partitions_of(standing: &Standing) -> BTreeSet<i32> {
    match standing {
        Standing::Has(share) => share.partitions.iter().map(|partition| partition.0).collect(),
        _ => BTreeSet::new(),
    }
}

fn has(count: usize) -> impl Fn(&Standing) -> bool {
    move |standing| partitions_of(standing).len() == count
}

fn all(offset: i64, partitions: i32) -> BTreeMap<Partition, Offset> {
    (0..partitions).map(|partition| (Partition(partition), Offset(offset))).collect()
}

#[test]
fn what_a_host_committed_before_it_let_go_is_where_the_next_one_begins() {
    let topic = topic("hand-over", 2, 10);
    let first = join(&topic, Want::Any);
    let mut source = open(&topic, Start::Earliest, &first);
    assert_eq!(source.positions(), all(0, 2));
    assert!(source.share().unwrap().alone);
    let committer = source.committer();
    let mut reader = Reader::default();
    let ends = source.ends().unwrap();
    reader.read_to(&mut source, &ends);
    let second = join(&topic, Want::Any);
    await_standing(&first, "asked to give back", |standing| *standing == Standing::GivingBack);
    // Until it lets go, nobody else has what is asked back, and it may write and commit.
    assert!(committer.may_write().is_ok());
    assert_eq!(partitions_of(&second.standing().borrow()), BTreeSet::new());
    committer.commit(&all(7, 2)).unwrap();
    drop(source);
    assert_eq!(partitions_of(&second.standing().borrow()), BTreeSet::new());
    drop(committer);
    let mine = partitions_of(&await_standing(&first, "left with one", has(1)));
    let others = partitions_of(&await_standing(&second, "given one", has(1)));
    assert!(mine.is_disjoint(&others), "{mine:?} and {others:?}");
    let partition = Partition(*others.first().unwrap());
    let source = open(&topic, Start::Latest, &second);
    assert_eq!(source.positions(), BTreeMap::from([(partition, Offset(7))]));
    // And so does a host whose checkpoint is further on: others may have begun to write again what is between.
    let source = open(&topic, Start::At(BTreeMap::from([(partition, Offset(9))])), &second);
    assert_eq!(source.positions(), BTreeMap::from([(partition, Offset(7))]));
}

#[test]
fn what_is_let_go_may_not_be_written_any_more_and_a_host_that_leaves_is_followed_at_once() {
    let topic = topic("leave", 2, 1);
    let first = join(&topic, Want::Any);
    let source = open(&topic, Start::Earliest, &first);
    let committer = source.committer();
    committer.may_write().unwrap();
    let second = join(&topic, Want::Any);
    let left = Instant::now();
    first.leave();
    assert!(matches!(committer.may_write(), Err(LeaseError::Lost(_))));
    await_standing(&second, "given everything", has(2));
    assert!(left.elapsed() < Duration::from_secs(5), "sooner than a session ends: {:?}", left.elapsed());
}

#[test]
fn a_commit_moves_only_what_the_host_has() {
    let topic = topic("commit", 2, 10);
    let first = join(&topic, Want::Any);
    let second = join(&topic, Want::Any);
    let mine = partitions_of(&await_standing(&first, "given one", has(1)));
    let others = partitions_of(&await_standing(&second, "given one", has(1)));
    open(&topic, Start::Earliest, &first).committer().commit(&all(5, 2)).unwrap();
    let source = |member| open(&topic, Start::Latest, member).positions();
    assert_eq!(source(&first), BTreeMap::from([(Partition(*mine.first().unwrap()), Offset(5))]));
    assert_eq!(source(&second), BTreeMap::from([(Partition(*others.first().unwrap()), Offset(10))]));
}

#[test]
fn a_fold_that_comes_second_holds_names_the_first_and_does_not_disturb_it() {
    let topic = topic("fold", 3, 10);
    let first = join(&topic, Want::Whole);
    let share = await_standing(&first, "given everything", has(3));
    let second = join(&topic, Want::Whole);
    let held = await_standing(&second, "held", |standing| matches!(standing, Standing::Held(_)));
    let Standing::Held(reason) = held else { panic!("{held:?}") };
    assert!(reason.contains(&format!(":{} (from ", std::process::id())) && reason.contains(&topic), "{reason}");
    let opened =
        KafkaSource::open(&connection(&brokers(), &[]), &subscription(&topic, Start::Earliest), Some(&second), LONG);
    assert!(matches!(opened.err(), Some(SourceError::Held(said)) if said == reason));
    assert_eq!(*first.standing().borrow(), share, "the first was not disturbed");
    first.leave();
    await_standing(&second, "given everything", has(3));
    // It counts what the first had counted, or it stops.
    let opened =
        |start| KafkaSource::open(&connection(&brokers(), &[]), &subscription(&topic, start), Some(&second), LONG);
    let Some(SourceError::Unusable(reason)) = opened(Start::Latest).err() else { panic!("it would count less") };
    assert!(reason.contains("earliest"), "{reason}");
    assert_eq!(opened(Start::Earliest).unwrap().positions(), all(0, 3));
}

#[test]
fn a_fold_beside_a_consumer_that_is_no_host_holds_and_names_it() {
    let topic = topic("stranger", 2, 1);
    let stranger: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", format!("{topic}-group"))
        .set("client.id", "a-stranger")
        .create()
        .unwrap();
    stranger.subscribe(&[&topic]).unwrap();
    while stranger.assignment().unwrap().count() < 2 {
        stranger.poll(Duration::from_millis(50));
    }
    let member = join(&topic, Want::Whole);
    let held = await_standing(&member, "held", |standing| matches!(standing, Standing::Held(_)));
    assert!(matches!(&held, Standing::Held(reason) if reason.contains("a-stranger")), "{held:?}");
    drop(stranger);
    await_standing(&member, "given everything", has(2));
}

#[test]
fn folds_that_join_at_once_end_with_one_that_has_everything() {
    let topic = topic("at-once", 3, 1);
    let members = [(); 3].map(|()| join(&topic, Want::Whole));
    let decided = |standing: &Standing| matches!(standing, Standing::Has(_) | Standing::Held(_));
    let asked = Instant::now();
    loop {
        let standings: Vec<_> = members.iter().map(|member| await_standing(member, "decided", decided)).collect();
        let run = standings.iter().filter(|standing| has(3)(standing)).count();
        assert!(run <= 1, "{standings:?}");
        if run == 1 {
            return;
        }
        assert!(asked.elapsed() < LONG, "{standings:?}");
    }
}

#[test]
fn partitions_that_are_added_are_given_to_somebody() {
    let topic = topic("added", 1, 1);
    let member = join(&topic, Want::Whole);
    await_standing(&member, "given the only one", has(1));
    let options = AdminOptions::new().operation_timeout(Some(LONG));
    block_on(admin().create_partitions([&NewPartitions::new(&topic, 3)], &options)).unwrap();
    await_standing(&member, "given all", has(3));
}

#[test]
fn a_member_of_a_cluster_that_is_away_waits_and_leaves_at_once() {
    let member = Membership::join(&connection("127.0.0.1:1", &[]), "t", "g", Want::Whole, "host", true).unwrap();
    assert_eq!(*member.standing().borrow(), Standing::Joining);
    let left = Instant::now();
    member.leave();
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}
