use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn partitions(numbers: impl IntoIterator<Item = i32>) -> BTreeSet<Partition> {
    numbers.into_iter().map(Partition).collect()
}

#[derive(Debug, Clone)]
enum Event {
    Given(BTreeSet<Partition>),
    Counted,
    AskedBack,
    GaveBack(BTreeSet<Partition>),
    Lost,
}

const TOTAL: i32 = 4;

fn event() -> impl Strategy<Value = Event> {
    let some = || prop::collection::btree_set((0..TOTAL).prop_map(Partition), 0..=TOTAL as usize);
    prop_oneof![
        3 => some().prop_map(Event::Given),
        3 => Just(Event::Counted),
        1 => Just(Event::AskedBack),
        2 => some().prop_map(Event::GaveBack),
        1 => Just(Event::Lost),
    ]
}

fn apply(part: &mut Part, event: Event) {
    match event {
        Event::Given(partitions) => part.given(partitions),
        Event::Counted => part.counted(TOTAL as usize),
        Event::AskedBack => part.asked_back(),
        Event::GaveBack(partitions) => part.gave_back(partitions),
        Event::Lost => part.lost(),
    }
}

proptest! {
    /// The law that keeps two hosts from writing rows of one partition: a share may be written on only as long as this host
    /// has had each of its partitions without a break.
    #[test]
    fn a_share_may_write_only_while_none_of_its_partitions_went_away(
        want in prop_oneof![Just(Want::Any), Just(Want::Whole)],
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut part = Part::new(want);
        let mut shares: Vec<(Share, bool)> = Vec::new();
        for event in events {
            let gone = match &event {
                Event::GaveBack(gone) => gone.clone(),
                Event::Lost => partitions(0..TOTAL),
                _ => BTreeSet::new(),
            };
            apply(&mut part, event);
            for (share, whole) in &mut shares {
                *whole &= share.partitions.is_disjoint(&gone);
                prop_assert!(*whole || !part.may_write(share.epoch), "{share:?} after {part:?}");
            }
            if let Standing::Has(share) = part.standing() {
                prop_assert!(part.may_write(share.epoch));
                prop_assert!(want == Want::Any || share.partitions == partitions(0..TOTAL));
                prop_assert!(!share.partitions.is_empty());
                if let Some((same, _)) = shares.iter().find(|(old, _)| old.epoch == share.epoch) {
                    prop_assert_eq!(&same.partitions, &share.partitions, "an epoch is one set of partitions");
                } else {
                    shares.push((share, true));
                }
            }
        }
    }

    #[test]
    fn of_hosts_that_keep_the_rule_exactly_one_stays_and_none_beside_a_stranger(
        names in prop::collection::btree_set("[a-z]{1,3}", 2..6),
        stranger in any::<bool>(),
    ) {
        let peer = |client: &String| Peer { client: client.clone(), shown: String::new(), keeps_rule: true };
        let mut peers: Vec<Peer> = names.iter().map(peer).collect();
        if stranger {
            peers.push(Peer { client: "~".to_owned(), shown: String::new(), keeps_rule: false });
        }
        let verdicts: Vec<_> = names.iter().map(|me| verdict(me, &peers)).collect();
        let stay = verdicts.iter().filter(|verdict| **verdict == Verdict::Stay).count();
        prop_assert_eq!(stay, usize::from(!stranger));
        prop_assert!(verdicts.iter().all(|verdict| *verdict != Verdict::Wait));
    }

    #[test]
    fn a_lease_holds_for_its_term_from_the_latest_question_that_was_answered(
        confirmations in prop::collection::vec(0_u64..1000, 0..10), now in 0_u64..2000,
    ) {
        let millis = Duration::from_millis;
        let mut lease = Lease::new(millis(200));
        confirmations.iter().for_each(|asked| lease.confirm(millis(*asked)));
        let expected = confirmations.iter().max().is_some_and(|asked| now < asked + 100);
        prop_assert_eq!(lease.holds(millis(now)), expected);
    }

    /// Hosts that read, write, checkpoint, commit, die and hand partitions over, each step at any time: every record's row is
    /// written, and a key's row is never followed by an older one for good.
    #[test]
    fn partitions_that_wander_among_hosts_lose_nothing(steps in prop::collection::vec((0_usize..3, 0_u8..6, 1_i64..5), 0..200)) {
        const RECORDS: i64 = 20;
        let mut log = Wandering::default();
        for (host, step, records) in steps {
            log.step(host, step, records, RECORDS);
            prop_assert!(log.committed.unwrap_or(Offset(0)).0 <= log.written_without_hole());
        }
        // In the end one host has it, and reads to the end.
        log.take(0);
        log.step(0, 0, RECORDS, RECORDS);
        log.step(0, 1, 0, RECORDS);
        prop_assert_eq!(log.written_without_hole(), RECORDS);
        let last: BTreeMap<i64, i64> = (0..RECORDS).map(|record| (key(record), record)).collect();
        prop_assert_eq!(log.rows, last, "the row of each key is its last record's");
    }
}

/// Partition that moves between several hosts.
#[derive(Default)]
struct Wandering {
    owner: Option<usize>,
    /// Offset up to which the owner has read; `flushed` is the offset up to which it has written.
    read: i64,
    flushed: i64,
    checkpoints: BTreeMap<usize, Offset>,
    committed: Option<Offset>,
    written: BTreeSet<i64>,
    /// The record whose row each key has.
    rows: BTreeMap<i64, i64>,
}

/// Returns the key of a record: early records have keys that later ones don't.
fn key(record: i64) -> i64 {
    record / 2
}

impl Wandering {
    /// Gives the partition to this host; records that the host before had not flushed are dropped.
    fn take(&mut self, host: usize) {
        self.owner = Some(host);
        let at = resume_at(self.checkpoints.get(&host).copied(), self.committed);
        self.read = at.map_or(0, |at| at.0);
        self.flushed = self.read;
    }

    fn step(&mut self, host: usize, step: u8, records: i64, end: i64) {
        if step == 5 {
            self.take(host);
        }
        if self.owner != Some(host) {
            return;
        }
        match step {
            0 => self.read = end.min(self.read + records),
            1 => {
                (self.flushed..self.read).for_each(|record| {
                    self.written.insert(record);
                    self.rows.insert(key(record), record);
                });
                self.flushed = self.read;
            }
            2 => drop(self.checkpoints.insert(host, Offset(self.flushed))),
            3 => self.committed = Some(Offset(self.flushed)),
            _ => {}
        }
    }

    fn written_without_hole(&self) -> i64 {
        (0..).find(|record| !self.written.contains(record)).unwrap_or(0)
    }
}

#[test]
fn a_fold_runs_on_every_partition_or_on_none() {
    let mut part = Part::new(Want::Whole);
    part.given(partitions([0, 1]));
    part.counted(3);
    assert_eq!(part.standing(), Standing::Joining);
    assert!(part.lacks());
    part.given(partitions([2]));
    assert_eq!(part.standing(), Standing::Joining, "the topic may have grown meanwhile");
    part.counted(3);
    let share = Share { epoch: 2, partitions: partitions(0..3), alone: true };
    assert_eq!(part.standing(), Standing::Has(share));
}

#[test]
fn what_is_asked_back_may_be_written_until_it_is_let_go_and_what_is_lost_may_not() {
    let mut part = Part::new(Want::Any);
    part.given(partitions([0, 1]));
    part.counted(2);
    part.asked_back();
    assert_eq!(part.standing(), Standing::GivingBack);
    assert!(part.may_write(1));
    part.gave_back(partitions([1]));
    part.counted(2);
    assert!(!part.may_write(1));
    let share = Share { epoch: 2, partitions: partitions([0]), alone: false };
    assert_eq!(part.standing(), Standing::Has(share));
    part.lost();
    assert!(!part.may_write(2));
    assert_eq!(part.standing(), Standing::Joining);
}

#[test]
fn a_host_that_is_given_a_part_at_first_is_not_alone() {
    let mut part = Part::new(Want::Any);
    part.given(partitions([]));
    part.counted(2);
    part.given(partitions([0, 1]));
    part.counted(2);
    assert!(matches!(part.standing(), Standing::Has(share) if !share.alone));
}

#[test]
fn whoever_saw_others_is_alone_no_more() {
    let mut part = Part::new(Want::Whole);
    part.given(partitions([0]));
    assert!(part.is_alone());
    part.saw_others();
    part.counted(1);
    assert!(!part.is_alone());
    assert!(matches!(part.standing(), Standing::Has(share) if !share.alone));
}

#[test]
fn partitions_are_to_be_counted_after_each_change_until_they_are() {
    let mut part = Part::new(Want::Any);
    assert!(!part.is_uncounted(), "nothing is given yet");
    let changes: [fn(&mut Part); 3] = [
        |part| part.given(partitions([0, 1])),
        |part| part.gave_back(partitions([1])),
        |part| part.given(partitions([])),
    ];
    for change in changes {
        change(&mut part);
        assert!(part.is_uncounted());
        part.counted(2);
        assert!(!part.is_uncounted());
    }
}

#[test]
fn only_whoever_has_the_share_of_an_epoch_may_run_on_it() {
    let has = Standing::Has(Share { epoch: 2, partitions: partitions([0]), alone: true });
    assert_eq!([1, 2, 3].map(|epoch| has.is_of(epoch)), [false, true, false]);
    assert!(![Standing::Joining, Standing::GivingBack].iter().any(|standing| standing.is_of(2)));
}

#[test]
fn a_partition_is_resumed_at_the_groups_commit_and_where_there_is_none_at_the_checkpoint() {
    let at = |offset: Option<i64>| offset.map(Offset);
    for (checkpoint, committed, expected) in [
        (None, None, None),
        (Some(3), None, Some(3)),
        (None, Some(4), Some(4)),
        (Some(3), Some(4), Some(4)),
        (Some(5), Some(4), Some(4)),
    ] {
        assert_eq!(resume_at(at(checkpoint), at(committed)), at(expected));
    }
}

#[test]
fn of_several_hosts_the_first_by_name_stays() {
    let peer = |client: &str| Peer { client: client.to_owned(), shown: String::new(), keeps_rule: true };
    let peers = ["b", "a", "c"].map(peer);
    let verdicts = ["a", "b", "c"].map(|me| verdict(me, &peers));
    assert_eq!(verdicts, [Verdict::Stay, Verdict::Leave, Verdict::Leave]);
}
