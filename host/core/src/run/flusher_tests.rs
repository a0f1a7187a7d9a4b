//! Laws of a flusher's effects, whatever the servers answer.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use proptest::prelude::*;

use super::super::made::Made;
use super::*;
use crate::batch::RowOrigins;
use crate::checkpoint::StateForm;
use crate::dead_letter::RetriedRecords;
use crate::interval::{Interval, Offset, Partition};
use crate::records::Records;
use crate::rejected::Stage as Origin;
use crate::schema::Field;

/// The name of the place for letters.
const LETTERS: &str = "letters";

/// The way in which a server answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Well,
    /// The server has no answer.
    Away,
    /// The server refuses rows, and a search of them finds none. A server that can't refuse is away.
    Refuses,
    /// The server is gone, or another, for good.
    Gone,
}

/// The sinks of a flusher, and its flushes.
#[derive(Debug, Clone)]
struct Shape {
    /// The number of sinks that take upserts.
    upserts: usize,
    /// The place among the sinks of one with transactions, and whether it takes letters.
    transaction: Option<(usize, bool)>,
    /// The sinks that take upserts are told which groups have ended.
    tombstones: bool,
    keeps_letters: bool,
    flushes: Vec<Plan>,
}

/// The parts of a flush.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rows: usize,
    /// Groups that end with it.
    ended: usize,
    letters: usize,
    retried: usize,
    durable: bool,
    cut_over: bool,
}

/// An effect, as far as tests look at it: values of rows, offsets of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Did {
    CheckStore,
    AskTopic,
    AskLease,
    Upsert(usize, Vec<i64>),
    Tombstones(usize, Vec<i64>),
    Search(usize, Vec<i64>),
    Transact(usize, Vec<i64>, Vec<i64>),
    WriteLetters(Vec<i64>),
    Commit(u64),
    RemoveLetters(Vec<i64>),
    CommitOffsets,
    Wait,
    TakeSinks,
}

impl Did {
    fn of(effect: &FlusherEffect) -> Option<Did> {
        let ids = |letters: &[DeadLetter]| letters.iter().map(|letter| letter.id.offset.0).collect();
        Some(match effect {
            FlusherEffect::Idle => return None,
            FlusherEffect::CheckStore => Did::CheckStore,
            FlusherEffect::AskTopic => Did::AskTopic,
            FlusherEffect::AskLease => Did::AskLease,
            FlusherEffect::Upsert { sink, rows, .. } => Did::Upsert(*sink, values(rows)),
            FlusherEffect::Tombstones { sink, keys } => Did::Tombstones(*sink, numbers(&keys.columns[0])),
            FlusherEffect::Search { sink, rows } => Did::Search(*sink, values(rows)),
            FlusherEffect::Transact { sink, rows, letters, .. } => Did::Transact(*sink, values(rows), ids(letters)),
            FlusherEffect::WriteLetters(letters) => Did::WriteLetters(ids(letters)),
            FlusherEffect::Commit(commit) => Did::Commit(commit.0.commits),
            FlusherEffect::RemoveLetters(removed) => Did::RemoveLetters(removed.iter().map(|id| id.offset.0).collect()),
            FlusherEffect::CommitOffsets(..) => Did::CommitOffsets,
            FlusherEffect::Wait(_) => Did::Wait,
            FlusherEffect::TakeSinks(_) => Did::TakeSinks,
        })
    }

    /// Says whether it writes rows or letters, which another host might be writing.
    fn writes(&self) -> bool {
        matches!(self, Did::Upsert(..) | Did::Tombstones(..) | Did::Transact(..) | Did::WriteLetters(_))
    }

    /// The place in the order of effects; a search has that of the write that it is for.
    fn rank(&self, shape: &Shape) -> usize {
        match self {
            Did::CheckStore => 0,
            Did::AskTopic => 1,
            Did::AskLease | Did::Wait => 2,
            Did::Search(sink, _) if shape.transaction.is_some_and(|(place, _)| place == *sink) => 21,
            Did::Upsert(sink, _) | Did::Search(sink, _) => 10 + 2 * sink,
            Did::Tombstones(sink, _) => 11 + 2 * sink,
            Did::WriteLetters(_) => 20,
            Did::Transact(..) => 21,
            Did::Commit(_) => 30,
            Did::RemoveLetters(_) => 31,
            Did::CommitOffsets => 32,
            Did::TakeSinks => 33,
        }
    }
}

fn values(rows: &Rows) -> Vec<i64> {
    rows.columns.get(1).map_or_else(Vec::new, numbers)
}

fn numbers(column: &ArrayRef) -> Vec<i64> {
    column.as_primitive::<Int64Type>().values().to_vec()
}

fn letter(offset: i64) -> DeadLetter {
    DeadLetter {
        id: LetterId { topic: "t".to_owned(), partition: Partition(0), offset: Offset(offset) },
        key: None,
        value: None,
        timestamp: None,
        stage: Origin::Decode,
        reason: String::new(),
        operator: None,
        time: 0,
        retry: false,
    }
}

/// Returns one row of each record: a key, and the record's offset.
fn made(first: i64, keys: &[i64]) -> Made {
    let offsets: Vec<i64> = (first..).take(keys.len()).collect();
    let letters = offsets.iter().map(|offset| letter(*offset)).collect();
    let records: Arc<dyn Records> = Arc::new(RetriedRecords::by_topic(letters).remove(0));
    let mut origins = RowOrigins::from_record(0);
    (0..keys.len()).for_each(|record| origins.push(record));
    let columns = [keys.to_vec(), offsets].map(|column| Arc::new(Int64Array::from(column)) as ArrayRef);
    Made::of_records(&records, Rows { rows: keys.len(), columns: columns.to_vec() }, &origins, true)
}

fn form(name: &str, transaction: Option<bool>) -> SinkForm {
    let transaction = transaction.map(|takes_letters| TransactionForm { takes_letters });
    SinkForm { name: name.to_owned(), key: vec![0], generation: false, retries: 1, tombstones: false, transaction }
}

fn sinks(shape: &Shape) -> Vec<SinkForm> {
    let upserts = |sink| SinkForm { tombstones: shape.tombstones, ..form(&format!("sink {sink}"), None) };
    let mut sinks: Vec<SinkForm> = (0..shape.upserts).map(upserts).collect();
    if let Some((place, takes_letters)) = shape.transaction {
        sinks.insert(place, form("transaction", Some(takes_letters)));
    }
    sinks
}

fn flusher(sinks: Vec<SinkForm>, keeps_letters: bool) -> Flusher {
    let letters = keeps_letters.then(|| LETTERS.to_owned());
    Flusher::new(FlusherStart { sinks, written: Written::default(), letters, stops: false, told: Ends::new(), seed: 1 })
}

/// The groups that end with the flush of the records from this one on.
fn ended(first: i64, plan: Plan) -> Vec<i64> {
    (first + 90..).take(plan.ended).collect()
}

fn group(key: i64) -> Vec<u8> {
    let (column, mut bytes): (ArrayRef, _) = (Arc::new(Int64Array::from(vec![key])), Vec::new());
    assert!(row::encode_key(&[column], 0, &mut bytes));
    bytes
}

/// The flush of this number, each of 100 records.
fn handover(number: usize, plan: Plan) -> Handover {
    let (first, next) = (number as i64 * 100, number as i64 * 100 + 100);
    let mut head = Checkpoint { commits: number as u64 + 1, generation: 1, ..Checkpoint::default() };
    head.intervals.extend(Partition(0), Interval::new(Offset(0), Offset(next)).unwrap()).unwrap();
    head.retried = (0..plan.retried as i64).map(|place| letter(first + 80 + place).id).collect();
    let keys: Vec<i64> = (0..plan.rows as i64).map(|row| row % 3).collect();
    let batches = if keys.is_empty() { vec![] } else { vec![made(first, &keys)] };
    let letters = (0..plan.letters as i64).map(|place| letter(first + 50 + place)).collect();
    let keys = vec![Field::new("key", Kind::Int64)];
    head.form = Some(StateForm { keys, version: 1, columns: Vec::new(), window: None });
    let mut changes = Changes::default();
    changes.push(&group(first), Some(b"state"));
    changes.push(&group(first + 1), None);
    ended(first, plan).iter().for_each(|key| changes.end(&group(*key)));
    let flush = Flush { batches, letters, head, changes, durable: plan.durable, ..Flush::default() };
    Handover { flush: Box::new(flush), cut_over: plan.cut_over.then_some(1) }
}

fn answer(effect: &FlusherEffect, luck: Luck, sinks: &[SinkForm]) -> FlusherEvent {
    let no = || "no".to_owned();
    let written = |refused: SinkError| match luck {
        Luck::Well => Ok(()),
        Luck::Away => Err(SinkError::Unavailable(no())),
        Luck::Refuses => Err(refused),
        Luck::Gone => Err(SinkError::Replaced(no())),
    };
    match effect {
        FlusherEffect::Idle | FlusherEffect::Wait(_) => FlusherEvent::Waited,
        FlusherEffect::CheckStore => FlusherEvent::Store(match luck {
            Luck::Well => Ok(()),
            Luck::Away => Err(StoreError::Unavailable(no())),
            Luck::Refuses => Err(StoreError::Damaged(no())),
            Luck::Gone => Err(StoreError::Unusable(no())),
        }),
        FlusherEffect::AskTopic | FlusherEffect::AskLease => FlusherEvent::Lease(match luck {
            Luck::Well => Ok(()),
            Luck::Away | Luck::Refuses => Err(LeaseError::Unknown(no())),
            Luck::Gone => Err(LeaseError::Lost(no())),
        }),
        FlusherEffect::Upsert { .. } | FlusherEffect::Tombstones { .. } | FlusherEffect::Transact { .. } => {
            FlusherEvent::Wrote(written(SinkError::Rows(no())))
        }
        FlusherEffect::Search { rows, .. } => FlusherEvent::Found(match luck {
            Luck::Well => Ok((0..rows.rows.min(1)).map(|row| Refused { row, reason: no() }).collect()),
            Luck::Refuses => Ok(vec![]),
            Luck::Away => Err(SinkError::Unavailable(no())),
            Luck::Gone => Err(SinkError::Replaced(no())),
        }),
        FlusherEffect::WriteLetters(_) | FlusherEffect::RemoveLetters(_) => {
            FlusherEvent::Wrote(written(SinkError::Unavailable(no())))
        }
        FlusherEffect::Commit(_) => FlusherEvent::Store(match luck {
            Luck::Well => Ok(()),
            Luck::Away | Luck::Refuses => Err(StoreError::Unavailable(no())),
            Luck::Gone => Err(StoreError::Damaged(no())),
        }),
        FlusherEffect::CommitOffsets(..) => FlusherEvent::Told,
        FlusherEffect::TakeSinks(_) => FlusherEvent::Sinks(sinks.to_vec()),
    }
}

/// The effects of a flusher, flush by flush, and all that it said.
struct Trace {
    flushes: Vec<Vec<(Did, Luck)>>,
    reports: Vec<Report>,
    end: Option<FlushError>,
}

/// Lets all flushes through. Luck is asked for each effect but waits.
fn drive(shape: &Shape, luck: impl FnMut(&Did) -> Luck) -> Trace {
    drive_to_the_end(shape, usize::MAX, luck)
}

/// The same, told of the end before the effect of this number is answered; waits don't count.
fn drive_to_the_end(shape: &Shape, ending: usize, mut luck: impl FnMut(&Did) -> Luck) -> Trace {
    let mut trace = Trace { flushes: Vec::new(), reports: Vec::new(), end: None };
    let sinks = sinks(shape);
    let (mut flusher, mut effects) = (flusher(sinks.clone(), shape.keeps_letters), 0);
    for (number, plan) in shape.flushes.iter().enumerate() {
        trace.flushes.push(Vec::new());
        flusher.on(FlusherEvent::Flush(handover(number, *plan)), Now::default()).unwrap();
        let mut step = || {
            let effect = flusher.next_effect()?;
            let Some(did) = Did::of(&effect) else {
                trace.reports.extend(flusher.reports());
                return Ok(false);
            };
            assert!(flusher.is_at_work());
            let mut lucky = Luck::Well;
            if did != Did::Wait {
                if effects == ending {
                    flusher.on(FlusherEvent::Ending, Now::default())?;
                }
                effects += 1;
                lucky = luck(&did);
            }
            trace.flushes[number].push((did, lucky));
            assert!(trace.flushes[number].len() < 1_000, "it goes round and round: {:?}", trace.flushes);
            let step = flusher.on(answer(&effect, lucky, &sinks), Now::default());
            trace.reports.extend(flusher.reports());
            step.map(|()| true)
        };
        loop {
            match step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    trace.end = Some(error);
                    return trace;
                }
            }
        }
        assert!(!flusher.is_at_work(), "it is idle once a flush is done");
    }
    trace
}

/// Gives these answers, and then lets all go well.
fn then_well(lucks: Vec<Luck>) -> impl FnMut(&Did) -> Luck {
    let mut lucks = lucks.into_iter();
    move |_| lucks.next().unwrap_or(Luck::Well)
}

fn shape() -> impl Strategy<Value = Shape> {
    let plan = ((0usize..6, 0usize..3), 0usize..3, 0usize..3, any::<bool>(), any::<bool>());
    let plans = prop::collection::vec(plan, 1..4);
    let transaction = prop::option::of((any::<prop::sample::Index>(), any::<bool>()));
    (0usize..3, transaction, any::<[bool; 2]>(), plans).prop_map(
        |(upserts, transaction, [tombstones, keeps_letters], plans)| {
            let transaction = transaction.map(|(place, takes)| (place.index(upserts + 1), takes && keeps_letters));
            let flushes = plans.into_iter().map(|((rows, ended), letters, retried, durable, cut_over)| {
                // A pipeline with transactions has no trials.
                let durable = durable || transaction.is_some();
                let letters = if keeps_letters { letters } else { 0 };
                let retried = if keeps_letters && durable { retried } else { 0 };
                // Nothing of a trial is for the store.
                let ended = if durable { ended } else { 0 };
                Plan { rows, ended, letters, retried, durable, cut_over }
            });
            Shape { upserts, transaction, tombstones, keeps_letters, flushes: flushes.collect() }
        },
    )
}

fn lucks() -> impl Strategy<Value = Vec<Luck>> {
    let luck = prop_oneof![
        8 => Just(Luck::Well), 4 => Just(Luck::Away), 2 => Just(Luck::Refuses),
    ];
    let gone = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (prop::collection::vec(luck, 0..60), gone).prop_map(|(mut lucks, gone)| {
        if let Some(gone) = gone.filter(|_| !lucks.is_empty()) {
            let place = gone.index(lucks.len());
            lucks[place] = Luck::Gone;
        }
        lucks
    })
}

/// Rows for two sinks, letters, and removals.
fn everything() -> Shape {
    let plan = Plan { rows: 5, ended: 0, letters: 2, retried: 2, durable: true, cut_over: false };
    Shape { upserts: 2, transaction: None, tombstones: false, keeps_letters: true, flushes: vec![plan] }
}

proptest! {
    #[test]
    fn each_write_follows_directly_a_lease_and_each_commit_one_of_its_flush_even_without_rows(
        shape in shape(), lucks in lucks(),
    ) {
        for flush in drive(&shape, then_well(lucks)).flushes {
            let (mut asked, mut just_asked) = (false, false);
            for (did, luck) in flush.iter().filter(|(did, _)| *did != Did::Wait) {
                prop_assert!(just_asked || !did.writes(), "{did:?} in {flush:?}");
                prop_assert!(asked || !matches!(did, Did::Commit(_)), "{flush:?}");
                just_asked = *did == Did::AskLease && *luck == Luck::Well;
                asked |= just_asked;
            }
        }
    }

    #[test]
    fn effects_come_in_their_order_which_only_a_search_within_the_transaction_takes_back_to_the_letters(
        shape in shape(), lucks in lucks(),
    ) {
        for flush in drive(&shape, then_well(lucks)).flushes {
            let dids: Vec<&Did> = flush.iter().map(|(did, _)| did).filter(|did| **did != Did::Wait).collect();
            let first: Vec<usize> = dids.iter().map(|did| did.rank(&shape)).collect();
            let begin = first.iter().position(|rank| *rank > 2).unwrap_or(first.len());
            prop_assert!(first[..begin].is_sorted(), "{dids:?}");
            prop_assert_eq!(first[0], 0);
            for did in &dids {
                let writes_none = matches!(did, Did::WriteLetters(none) | Did::RemoveLetters(none) if none.is_empty());
                let twice = matches!(did, Did::WriteLetters(_)) && shape.transaction.is_some_and(|(_, takes)| takes);
                prop_assert!(!writes_none && !twice, "{did:?} in {dids:?}");
            }
            let later: Vec<&&Did> = dids[begin..].iter().filter(|did| ***did != Did::AskLease).collect();
            for pair in later.windows(2) {
                let ranks = (pair[0].rank(&shape), pair[1].rank(&shape));
                let back = matches!(pair[0], Did::Search(..)) && ranks == (21, 20);
                prop_assert!(ranks.0 <= ranks.1 || back, "{pair:?} in {dids:?}");
                prop_assert!(ranks.0 < 30 || ranks.0 < ranks.1 || pair[0] == pair[1], "{pair:?} in {dids:?}");
            }
        }
    }

    #[test]
    fn what_fails_for_a_while_comes_again_as_it_was_and_nothing_else_before_it(shape in shape(), lucks in lucks()) {
        let trace = drive(&shape, then_well(lucks));
        let all = trace.flushes.len();
        for (number, flush) in trace.flushes.iter().enumerate() {
            let flush: Vec<&(Did, Luck)> = flush.iter().filter(|(did, _)| *did != Did::Wait).collect();
            for (place, (did, luck)) in flush.iter().enumerate() {
                let asks_before = did.writes() || matches!(did, Did::Search(..));
                let again = match did {
                    Did::AskTopic | Did::AskLease | Did::Commit(_) | Did::RemoveLetters(_) => *luck != Luck::Well,
                    Did::Upsert(..) | Did::Tombstones(..) | Did::Transact(..) | Did::Search(..) => *luck == Luck::Away,
                    Did::WriteLetters(_) => *luck != Luck::Well,
                    _ => false,
                };
                if !again || *luck == Luck::Gone {
                    continue;
                }
                let mut later = flush[place + 1..].iter().map(|(did, _)| did);
                let next = later.find(|did| !asks_before || **did != Did::AskLease);
                // Rows whose search has no answer are tried again as they were.
                let expected = match did {
                    Did::Search(..) => flush[..place].iter().rev().map(|before| &before.0)
                        .find(|before| matches!(before, Did::Upsert(..) | Did::Transact(..))),
                    did => Some(did),
                };
                let ended = trace.end.is_some() && number + 1 == all;
                prop_assert!(next == expected || ended && next.is_none(), "{did:?}, then {next:?}");
            }
        }
    }

    #[test]
    fn a_flush_of_a_trial_ends_after_its_rows_and_any_other_with_one_checkpoint(shape in shape(), lucks in lucks()) {
        let trace = drive(&shape, then_well(lucks));
        let done = trace.flushes.len() - usize::from(trace.end.is_some());
        for (number, (flush, plan)) in trace.flushes.iter().zip(&shape.flushes).enumerate() {
            let is_over = |did: &Did| (20..33).contains(&did.rank(&shape));
            prop_assert!(plan.durable || !flush.iter().any(|(did, _)| is_over(did)), "{flush:?}");
            if number >= done {
                continue;
            }
            let well = |of: fn(&Did) -> bool| flush.iter().filter(|(did, luck)| of(did) && *luck == Luck::Well).count();
            prop_assert_eq!(well(|did| matches!(did, Did::Commit(_))), usize::from(plan.durable));
            prop_assert_eq!(well(|did| matches!(did, Did::RemoveLetters(_))), usize::from(plan.retried > 0));
            let told = flush.iter().filter(|(did, _)| *did == Did::CommitOffsets).count();
            prop_assert_eq!(told, usize::from(plan.durable), "a group that has no answer is told with the next flush");
            prop_assert_eq!(flush.last().map(|(did, _)| did == &Did::TakeSinks), Some(plan.cut_over));
            let transactions = usize::from(shape.transaction.is_some());
            prop_assert_eq!(well(|did| matches!(did, Did::Transact(..))), transactions);
            let searched = flush.iter().any(|(did, _)| matches!(did, Did::Search(..)));
            if !searched {
                let upserts = if plan.rows > 0 { shape.upserts } else { 0 };
                prop_assert_eq!(well(|did| matches!(did, Did::Upsert(..))), upserts);
            }
            let told: Vec<&Did> = flush.iter().filter(|(_, luck)| *luck == Luck::Well).map(|(did, _)| did)
                .filter(|did| matches!(did, Did::Tombstones(..))).collect();
            let all = |sinks: Vec<SinkForm>| sinks.into_iter().enumerate().filter(|(_, sink)| sink.tombstones);
            let keys = ended(number as i64 * 100, *plan);
            let expected: Vec<Did> = all(sinks(&shape)).filter(|_| !keys.is_empty())
                .map(|(sink, _)| Did::Tombstones(sink, keys.clone())).collect();
            prop_assert_eq!(told, expected.iter().collect::<Vec<_>>(), "each sink that asks hears of each group once");
        }
    }

    #[test]
    fn it_says_how_many_rows_and_letters_it_wrote_and_nothing_of_none(
        shape in shape(), aways in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let lucks = aways.into_iter().map(|away| if away { Luck::Away } else { Luck::Well }).collect();
        let trace = drive(&shape, then_well(lucks));
        let (mut rows, mut letters) = (0, 0);
        for report in &trace.reports {
            match report {
                Report::Flushed(0) | Report::Letters(0) => prop_assert!(false, "nothing is said of none"),
                Report::Flushed(number) => rows += number,
                Report::Letters(number) => letters += number,
                _ => {}
            }
        }
        prop_assert!(trace.end.is_none());
        prop_assert_eq!(rows, shape.flushes.iter().map(|plan| plan.rows).sum::<usize>());
        // Where a transaction takes them or not, and only of flushes that are durable.
        let durable = shape.flushes.iter().filter(|plan| plan.durable);
        prop_assert_eq!(letters, durable.map(|plan| plan.letters).sum::<usize>());
    }

    #[test]
    fn once_all_is_well_again_it_goes_on_and_never_without_having_held(shape in shape(), lucks in lucks()) {
        let trace = drive(&shape, then_well(lucks));
        let (mut holds, mut goes_on, mut last) = (0, 0, None);
        for report in &trace.reports {
            match report {
                Report::Holds(_) => (holds, last) = (holds + 1, Some(false)),
                Report::GoesOn(_) => (goes_on, last) = (goes_on + 1, Some(true)),
                _ => {}
            }
            prop_assert!(goes_on <= holds);
        }
        prop_assert!(trace.end.is_some() || last != Some(false));
    }

    #[test]
    fn told_of_the_end_with_all_away_it_ends_soon_in_an_error_unless_the_checkpoint_is_made(
        shape in shape(), lucks in lucks(), ending in 0usize..80, source in any::<bool>(),
    ) {
        let (mut before, mut asked) = (then_well(lucks), 0);
        let trace = drive_to_the_end(&shape, ending, |did| {
            asked += 1;
            match did {
                _ if asked <= ending => before(did),
                Did::AskTopic | Did::AskLease if source => Luck::Well,
                _ => Luck::Away,
            }
        });
        let effects = trace.flushes.iter().flatten().filter(|(did, _)| *did != Did::Wait);
        let after: Vec<&Did> = effects.skip(ending).map(|(did, _)| did).collect();
        prop_assert!(after.len() <= 16 * shape.flushes.len(), "{after:?}");
        if trace.end.is_none() && !source {
            let needs_no_answer = |did: &&&Did| matches!(did, Did::CheckStore | Did::CommitOffsets | Did::TakeSinks);
            prop_assert_eq!(after.iter().find(|did| !needs_no_answer(did)), None, "{:?}", trace.flushes);
        }
        if trace.end.is_none() {
            let lasts = |did: &&&Did| did.writes() || matches!(did, Did::Commit(_));
            prop_assert_eq!(after.iter().find(lasts), None, "{:?}", trace.flushes);
        }
    }

    #[test]
    fn rows_that_a_sink_refuses_are_left_out_with_letters_and_of_each_key_the_last_other_is_written(
        keys in prop::collection::vec(0i64..4, 1..12),
        bad in prop::collection::btree_set(0i64..12, 0..6),
        transaction in prop::option::of(any::<bool>()),
    ) {
        let sinks = vec![form("s", transaction)];
        let mut flusher = flusher(sinks.clone(), true);
        let half = keys.len().div_ceil(2);
        let halves = [(0, &keys[..half]), (half as i64, &keys[half..])];
        let batches = halves.into_iter().filter(|(_, keys)| !keys.is_empty()).map(|(first, keys)| made(first, keys));
        let flush = Flush { batches: batches.collect(), durable: true, ..Flush::default() };
        flusher.on(FlusherEvent::Flush(Handover { flush: Box::new(flush), cut_over: None }), Now::default()).unwrap();
        let (mut written, mut letters, mut commits) = (BTreeSet::new(), Vec::new(), 0);
        while let effect = flusher.next_effect().unwrap() && let Some(did) = Did::of(&effect) {
            let is_bad = |rows: &[i64]| rows.iter().any(|value| bad.contains(value));
            let event = match (did, &effect) {
                (Did::Upsert(_, rows) | Did::Transact(_, rows, _), _) if is_bad(&rows) => {
                    FlusherEvent::Wrote(Err(SinkError::Rows("no".to_owned())))
                }
                (Did::Search(_, rows), _) => FlusherEvent::Found(Ok(rows.iter().enumerate()
                    .filter(|(_, value)| bad.contains(value))
                    .map(|(row, _)| Refused { row, reason: "no".to_owned() }).collect())),
                (did, effect) => {
                    match did {
                        Did::Upsert(_, rows) => written.extend(rows),
                        Did::Transact(_, rows, more) => {
                            written.extend(rows);
                            letters.extend(more);
                        }
                        Did::WriteLetters(more) => letters.extend(more),
                        Did::Commit(_) => commits += 1,
                        _ => {}
                    }
                    answer(effect, Luck::Well, &sinks)
                }
            };
            flusher.on(event, Now::default()).unwrap();
        }
        let good = (0i64..).zip(&keys).filter(|(value, _)| !bad.contains(value));
        let expected: BTreeMap<i64, i64> = good.map(|(value, key)| (*key, value)).collect();
        prop_assert_eq!(&written, &expected.values().copied().collect::<BTreeSet<_>>());
        let each: BTreeSet<i64> = letters.iter().copied().collect();
        prop_assert!(each.len() == letters.len(), "a letter is written once: {letters:?}");
        prop_assert!(each.is_subset(&bad));
        // What is at fault and has no letter was not to be written: a good one of its key came later.
        for (value, key) in (0i64..).zip(&keys).filter(|(value, _)| bad.contains(value) && !letters.contains(value)) {
            prop_assert!(expected.get(key).is_some_and(|later| *later > value), "{value}");
        }
        prop_assert_eq!(commits, 1);
    }
}

#[test]
fn the_effects_of_a_flush_without_trouble_are_these() {
    let mut shape = everything();
    shape.transaction = Some((1, false));
    shape.flushes[0].cut_over = true;
    let trace = drive(&shape, |_| Luck::Well);
    let dids: Vec<Did> = trace.flushes.into_iter().flatten().map(|(did, _)| did).collect();
    let rows = || vec![2, 3, 4];
    let expected = vec![
        Did::CheckStore,
        Did::AskTopic,
        Did::AskLease,
        Did::Upsert(0, rows()),
        Did::AskLease,
        Did::Upsert(2, rows()),
        Did::AskLease,
        Did::WriteLetters(vec![50, 51]),
        Did::AskLease,
        Did::Transact(1, rows(), vec![]),
        Did::Commit(1),
        Did::RemoveLetters(vec![80, 81]),
        Did::CommitOffsets,
        Did::TakeSinks,
    ];
    assert_eq!(dids, expected);
}

#[test]
fn what_is_given_up_at_the_end_says_how_many_rows_or_letters_were_not_written() {
    let given_up = |shape: &Shape, away: fn(&Did) -> bool| {
        let trace = drive_to_the_end(shape, 0, |did| if away(did) { Luck::Away } else { Luck::Well });
        let away = trace.flushes.iter().flatten().filter(|(_, luck)| *luck == Luck::Away).count();
        match trace.end {
            Some(FlushError::GaveUp { sink, rows, .. }) => (sink, rows, away),
            end => panic!("{end:?}"),
        }
    };
    let mut shape = everything();
    let first = |did: &Did| matches!(did, Did::Upsert(0, _));
    assert_eq!(given_up(&shape, first), ("sink 0".to_owned(), 5, 2), "all, not only the last of each key");
    assert_eq!(given_up(&shape, |did| matches!(did, Did::Upsert(1, _))), ("sink 1".to_owned(), 5, 2));
    let letters = |did: &Did| matches!(did, Did::WriteLetters(_));
    assert_eq!(given_up(&shape, letters), (LETTERS.to_owned(), 2, 4));
    let removals = |did: &Did| matches!(did, Did::RemoveLetters(_));
    assert_eq!(given_up(&shape, removals), (LETTERS.to_owned(), 0, 4), "what is not removed is, at the next start");
    for takes_letters in [false, true] {
        shape.transaction = Some((0, takes_letters));
        let transaction = |did: &Did| matches!(did, Did::Transact(..));
        assert_eq!(given_up(&shape, transaction), ("transaction".to_owned(), 5, 2));
    }
}

#[test]
fn told_of_the_end_it_does_not_wait_any_more_and_gives_up_after_a_few_tries_however_many_it_has_otherwise() {
    let start = vec![SinkForm { retries: 1_000, ..form("s", None) }];
    let mut flusher = flusher(start.clone(), true);
    flusher.on(FlusherEvent::Flush(handover(0, everything().flushes[0])), Now::default()).unwrap();
    let mut tries = 0;
    let end = loop {
        let mut effect = flusher.next_effect().unwrap();
        if tries == 10 && matches!(effect, FlusherEffect::Wait(_)) {
            flusher.on(FlusherEvent::Ending, Now::default()).unwrap();
            effect = flusher.next_effect().unwrap();
            assert!(matches!(effect, FlusherEffect::AskLease), "the wait is over");
        }
        let away = matches!(effect, FlusherEffect::Upsert { .. });
        tries += u32::from(away);
        let answer = answer(&effect, if away { Luck::Away } else { Luck::Well }, &start);
        if let Err(end) = flusher.on(answer, Now::default()) {
            break end;
        }
    };
    assert!(matches!(end, FlushError::GaveUp { rows: 5, .. }), "{end:?}");
    assert_eq!(tries, 11);
}

#[test]
fn it_goes_on_where_a_sink_that_was_away_then_refuses_the_only_row() {
    let mut shape = everything();
    shape.flushes[0].rows = 1;
    let mut upserts = 0;
    let trace = drive(&shape, |did| match did {
        Did::Upsert(..) => {
            upserts += 1;
            if upserts < 4 { Luck::Away } else { Luck::Refuses }
        }
        _ => Luck::Well,
    });
    let last = trace.reports.iter().rfind(|report| matches!(report, Report::Holds(_) | Report::GoesOn(_)));
    assert!(trace.end.is_none() && upserts == 4 && matches!(last, Some(Report::GoesOn(_))));
}

#[test]
fn a_sink_that_refuses_rows_of_which_none_is_at_fault_is_unusable_after_three_searches() {
    for transaction in [None, Some((0, true))] {
        let shape = Shape { upserts: usize::from(transaction.is_none()), transaction, ..everything() };
        let trace = drive(&shape, |did| match did {
            Did::Upsert(..) | Did::Transact(..) | Did::Search(..) => Luck::Refuses,
            _ => Luck::Well,
        });
        let searches = trace.flushes.iter().flatten().filter(|(did, _)| matches!(did, Did::Search(..))).count();
        assert_eq!(searches, 3);
        let reason = "it refuses the rows of a flush, and none of them by itself: no".to_owned();
        let sink = if transaction.is_some() { "transaction" } else { "sink 0" }.to_owned();
        assert_eq!(trace.end, Some(FlushError::Unusable { sink, reason }));
    }
}

#[test]
fn retries_are_counted_and_the_last_ones_kept_until_the_next_transaction() {
    let retried = vec![LetterId::of_group("a")];
    let head = Checkpoint { retried: retried.clone(), ..Checkpoint::default() };
    let one = after(&Written::default(), &head);
    assert_eq!((one.retries, &one.retried), (1, &retried));
    let two = after(&one, &Checkpoint::default());
    assert_eq!((two.retries, two.retried), (1, vec![]));
}

/// The effects until one that this answers is to be done; others go well.
fn until(flusher: &mut Flusher, is: impl Fn(&FlusherEffect) -> bool) -> FlusherEffect {
    loop {
        let effect = flusher.next_effect().unwrap();
        assert!(!matches!(effect, FlusherEffect::Idle), "it comes");
        if is(&effect) {
            return effect;
        }
        flusher.on(answer(&effect, Luck::Well, &[form("s", None)]), Now::default()).unwrap();
    }
}

#[test]
fn what_has_no_answer_for_now_is_waited_for_unless_the_run_is_to_end() {
    type Is = fn(&FlusherEffect) -> bool;
    let asks: [(Is, FlushError); 2] = [
        (|effect| matches!(effect, FlusherEffect::Commit(_)), StoreError::Unavailable("no".to_owned()).into()),
        (|effect| matches!(effect, FlusherEffect::AskLease), FlushError::Unasked("no".to_owned())),
    ];
    for (is, error) in asks {
        let mut flusher = flusher(vec![form("s", None)], true);
        flusher.on(FlusherEvent::Flush(handover(0, everything().flushes[0])), Now::default()).unwrap();
        for _ in 0..10 {
            let effect = until(&mut flusher, is);
            flusher.on(answer(&effect, Luck::Away, &[]), Now::default()).unwrap();
            assert!(flusher.reports().iter().any(|report| matches!(report, Report::Holds(_))));
            assert!(matches!(flusher.next_effect(), Ok(FlusherEffect::Wait(wait)) if !wait.is_zero()));
        }
        flusher.on(FlusherEvent::Ending, Now::default()).unwrap();
        let effect = until(&mut flusher, is);
        assert_eq!(flusher.on(answer(&effect, Luck::Away, &[]), Now::default()), Err(error));
    }
}

#[test]
fn the_group_is_told_what_is_new_and_nothing_twice() {
    let mut flusher = flusher(vec![], true);
    let mut told = 0;
    let plan = Plan { rows: 0, ended: 0, letters: 0, retried: 0, durable: true, cut_over: false };
    let nothing = Handover { flush: Box::new(Flush { durable: true, ..Flush::default() }), cut_over: None };
    for flush in [nothing, handover(0, plan), handover(0, plan), handover(1, plan)] {
        flusher.on(FlusherEvent::Flush(flush), Now::default()).unwrap();
        while let effect = flusher.next_effect().unwrap()
            && !matches!(effect, FlusherEffect::Idle)
        {
            told += u32::from(matches!(effect, FlusherEffect::CommitOffsets(..)));
            flusher.on(answer(&effect, Luck::Well, &[]), Now::default()).unwrap();
        }
    }
    assert_eq!(told, 2);
}

#[test]
fn letters_of_rows_that_are_refused_during_a_trial_are_written_with_the_first_flush_after_it() {
    let mut flusher = flusher(vec![form("s", None)], true);
    let plan = Plan { rows: 3, ended: 0, letters: 0, retried: 0, durable: false, cut_over: false };
    let mut written = Vec::new();
    for (number, durable) in [(0, false), (1, false), (2, true)] {
        let flush = handover(number, Plan { durable, ..plan });
        flusher.on(FlusherEvent::Flush(flush), Now::default()).unwrap();
        let mut refuses = number == 0;
        while let effect = flusher.next_effect().unwrap()
            && !matches!(effect, FlusherEffect::Idle)
        {
            let luck = match &effect {
                FlusherEffect::Upsert { .. } if std::mem::take(&mut refuses) => Luck::Refuses,
                _ => Luck::Well,
            };
            if let FlusherEffect::WriteLetters(letters) = &effect {
                written.push((number, letters.iter().map(|letter| letter.id.offset.0).collect::<Vec<_>>()));
            }
            flusher.on(answer(&effect, luck, &[]), Now::default()).unwrap();
        }
    }
    assert_eq!(written, [(2, vec![0])], "a search finds the first row");
}

#[test]
fn a_sink_that_writes_the_generation_has_it_as_the_last_column_of_each_row() {
    for generation in [false, true] {
        let mut flusher = flusher(vec![SinkForm { generation, ..form("s", None) }], true);
        flusher.on(FlusherEvent::Flush(handover(0, everything().flushes[0])), Now::default()).unwrap();
        let effect = until(&mut flusher, |effect| matches!(effect, FlusherEffect::Upsert { .. }));
        let FlusherEffect::Upsert { rows, .. } = effect else { unreachable!() };
        let columns: Vec<Vec<i64>> =
            rows.columns.iter().map(|column| column.as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!((rows.rows, &columns[1]), (3, &vec![2, 3, 4]));
        assert_eq!(columns[2..], if generation { vec![vec![1; 3]] } else { vec![] });
    }
}

#[test]
fn a_search_is_among_the_last_of_each_key_and_once_such_a_one_was_refused_among_all() {
    let mut flusher = flusher(vec![form("s", None)], true);
    let flush = Flush { batches: vec![made(0, &[0, 0, 0, 1])], durable: true, ..Flush::default() };
    flusher.on(FlusherEvent::Flush(Handover { flush: Box::new(flush), cut_over: None }), Now::default()).unwrap();
    let mut searched = Vec::new();
    while let effect = flusher.next_effect().unwrap()
        && !matches!(effect, FlusherEffect::Idle)
    {
        let luck = match &effect {
            FlusherEffect::Upsert { .. } if searched.len() < 3 => Luck::Refuses,
            _ => Luck::Well,
        };
        if let FlusherEffect::Search { rows, .. } = &effect {
            searched.push(values(rows));
        }
        flusher.on(answer(&effect, luck, &[]), Now::default()).unwrap();
    }
    assert_eq!(searched, [vec![2, 3], vec![0, 1, 3], vec![1, 3]], "the first of what is searched is refused");
}
