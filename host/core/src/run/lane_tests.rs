//! Laws of a lane, whatever its source, its servers and its operators do.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, StringArray};
use proptest::prelude::*;

use super::*;
use crate::chain::{FoldWindow, Join, Step as ChainStep};
use crate::checkpoint::{Changes, CheckpointStore, Group};
use crate::constraint::{Constraint, Constraints};
use crate::dead_letter::MAX_HELD;
use crate::decode::{AtFault, DecodeOptions, Origin as From, SourceColumn};
use crate::deploy::{Bounds, Operators};
use crate::fold::{Backing, Keeping};
use crate::interval::Interval;
use crate::lookup::{Found, Lookup};
use crate::operator::{OperatorError, Rejection};
use crate::schema::{Field, Kind};
use crate::testing::{Call, Sum};
use crate::window::{Emit, Late, Length, Window, WindowOptions};

/// A number that the table doesn't take, nor a larger one.
const UNFIT: i64 = 1_000_000;

/// A number that the operator doesn't take.
const REFUSED: i64 = 777;

const P: Partition = Partition(0);

/// A trial that tests don't outlast by chance.
const LONG: Bounds = Bounds { time: Duration::from_secs(60), rows: 10_000 };

/// Records of partition 0 that each hold a number, which is their time too. One below zero is no JSON.
struct Numbers {
    first: i64,
    texts: Vec<String>,
    times: Vec<i64>,
    interval: [(Partition, Interval); 1],
}

impl Records for Numbers {
    fn len(&self) -> usize {
        self.texts.len()
    }
    fn topic(&self) -> &str {
        "t"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(self.texts[i].as_bytes())
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (P, Offset(self.first).advanced(i))
    }
    fn timestamp(&self, i: usize) -> Option<i64> {
        Some(self.times[i])
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &self.interval
    }
}

fn text(number: i64) -> String {
    if number < 0 { "no JSON".to_owned() } else { format!("{{\"v\":{number}}}") }
}

fn numbers(first: i64, numbers: impl IntoIterator<Item = i64>) -> Box<dyn Records> {
    let times: Vec<i64> = numbers.into_iter().collect();
    let texts: Vec<String> = times.iter().copied().map(text).collect();
    let interval = Interval::new(Offset(first), Offset(first).advanced(texts.len())).unwrap();
    Box::new(Numbers { first, texts, times, interval: [(P, interval)] })
}

fn letter(offset: i64, number: i64) -> DeadLetter {
    DeadLetter {
        id: LetterId { topic: "t".to_owned(), partition: P, offset: Offset(offset) },
        key: None,
        value: Some(text(number).into_bytes()),
        timestamp: None,
        stage: Stage::Decode,
        reason: String::new(),
        operator: None,
        time: 0,
        retry: true,
    }
}

/// A server that answers so many calls more, and none after these.
#[derive(Clone)]
struct Server(Arc<AtomicUsize>);

impl Server {
    fn well() -> Server {
        Server::for_calls(usize::MAX)
    }

    fn for_calls(calls: usize) -> Server {
        Server(Arc::new(AtomicUsize::new(calls)))
    }

    fn answers(&self, calls: usize) {
        self.0.store(calls, Ordering::Relaxed);
    }

    fn is_away(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

/// A lookup that knows every key.
impl Lookup for Server {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        if self.is_away() {
            return Err(LookupError::Unavailable("no lookup".to_owned()));
        }
        let column: ArrayRef = Arc::new(StringArray::from(vec!["a"; keys.len()]));
        Ok(Found { found: vec![true; keys.len()], columns: vec![column], unfit: vec![] })
    }
}

/// A store without any group.
impl CheckpointStore for Server {
    fn head(&self, _: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }
    fn states(&self, _: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if self.is_away() { Err(StoreError::Unavailable("no store".to_owned())) } else { Ok(vec![None; keys.len()]) }
    }
    fn scan(&self, _: &str, _: Option<&[u8]>, _: usize) -> Result<Vec<Group>, StoreError> {
        if self.is_away() { Err(StoreError::Unavailable("no store".to_owned())) } else { Ok(Vec::new()) }
    }
    fn commit(&self, _: &str, _: &Checkpoint, _: &Changes) -> Result<(), StoreError> {
        Ok(())
    }
    fn reset(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

fn chain(steps: Vec<ChainStep>) -> Chain {
    let column = SourceColumn { field: Field::new("v", Kind::Int64), origin: From::Field("v".to_owned()) };
    let mut chain = Chain::new(&[column], DecodeOptions::default(), steps).unwrap();
    chain.when_bad(AtFault::IsLeftOut, AtFault::IsLeftOut);
    chain
}

/// The records' numbers as rows.
pub fn rows() -> Chain {
    chain(Vec::new())
}

/// The same, with what a lookup says of them.
fn looked_up(server: &Server) -> Chain {
    let columns = vec![Field::new("name", Kind::Utf8)];
    chain(vec![ChainStep::Lookup { key: 0, columns, join: Join::Left, lookup: Box::new(server.clone()) }])
}

/// The operator of the sums. Calls that a server doesn't answer are ended early.
fn sum(added: &Server, emitted: &Server) -> ChainStep {
    let (added, emitted) = (added.clone(), emitted.clone());
    let operator = Sum::new(&["v"], &[0], &[0]).hooked(move |call, columns| {
        if (if call == Call::Emit { &emitted } else { &added }).is_away() {
            return Err(OperatorError::Interrupted);
        }
        let values = (0u32..).zip(columns.arrays[0].as_primitive::<Int64Type>().values());
        let refused = values.filter(|(_, value)| call == Call::Accumulate && **value == REFUSED);
        let refused: Vec<_> = refused.map(|(row, _)| Rejection { row, reason: "no".to_owned() }).collect();
        if refused.is_empty() { Ok(None) } else { Err(OperatorError::Rows(refused)) }
    });
    ChainStep::Operator { name: "sum".to_owned(), instance: Box::new(operator) }
}

/// A sum for each number, by an operator whose calls end early.
fn interrupted(added: &Server, emitted: &Server) -> Chain {
    chain(vec![sum(added, emitted)])
}

/// A sum for each number and each 100 µs of the records' times, written once they are over.
fn windows() -> Chain {
    let column = |name: &str, kind, origin| SourceColumn { field: Field::new(name, kind), origin };
    let columns =
        [column("v", Kind::Int64, From::Field("v".to_owned())), column("t", Kind::Timestamp, From::Timestamp)];
    let window = Window::Tumbling { size: Length::try_from(100).unwrap() };
    let (lateness, idle_after) = (Duration::ZERO, Duration::from_secs(2));
    let options = WindowOptions { window, lateness, idle_after, emit: Emit::Closed, late: Late::Drop };
    let window = FoldWindow { time: "t".to_owned(), options };
    let steps = vec![sum(&Server::well(), &Server::well())];
    Chain::windowed(&columns, DecodeOptions::default(), steps, Some(&window)).unwrap()
}

/// A sum for each number.
pub fn sums() -> Chain {
    interrupted(&Server::well(), &Server::well())
}

/// The same, its groups in this store when they take more memory than this.
fn stored(server: &Server, memory: usize) -> Chain {
    let mut chain = sums();
    let backing = Backing::new(Arc::new(server.clone()), "p", false);
    chain.fold_mut().unwrap().keep(Keeping { memory, ttl: None }, backing);
    chain
}

/// The same, for a table that doesn't take every sum.
fn constrained() -> Chain {
    let mut chain = sums();
    let fit = Constraint { range: Some((i64::MIN, UNFIT - 1)), ..Constraint::ANY };
    chain.constrain(Constraints::new(chain.output_fields(), &[&[Constraint::ANY, fit]]));
    chain
}

const SETTINGS: LaneSettings = LaneSettings {
    flush: FlushPolicy { rows: 1_000, interval: Duration::from_secs(1) },
    batch_rows: 4,
    stops: false,
    keeps_letters: true,
    seed: 1,
};

/// A lane from the beginning, whose first flush, which keeps where reading begins, is made.
fn begun(chain: Chain, settings: LaneSettings) -> Lane {
    begun_from(chain, Progress::default(), settings)
}

fn begun_from(chain: Chain, progress: Progress, settings: LaneSettings) -> Lane {
    let mut lane = Lane::new(chain, progress, settings, Interrupt::default());
    let first = handed_over(next(&mut lane, 0, FlushSlot::Free));
    assert_eq!((first.flush.rows(), first.flush.head.commits), (0, 1));
    lane.on(LaneEvent::Committed(1), now(0));
    lane
}

fn now(millis: u64) -> Now {
    Now { since: Duration::from_millis(millis), micros: millis as i64 * 1_000 }
}

/// The next effect other than to ask where the source ends, which it answers.
fn next(lane: &mut Lane, millis: u64, place: FlushSlot) -> LaneEffect {
    loop {
        match lane.next_effect(now(millis), place) {
            LaneEffect::AskEnds => lane.on(LaneEvent::Ends(Ok(Ends::new())), now(millis)),
            effect => return effect,
        }
    }
}

fn take(lane: &mut Lane, records: Box<dyn Records>) {
    lane.on(LaneEvent::Polled(Ok((Some(records), Identity::default()))), now(0));
}

fn swap(id: u64, chain: Chain, probation: Bounds) -> LaneEvent {
    let operators = Operators::from([("sum".to_owned(), id.to_string())]);
    LaneEvent::Swap(Box::new(Swap { id, chain, operators, probation }))
}

fn handed_over(effect: LaneEffect) -> Handover {
    match effect {
        LaneEffect::HandOver(handover) => handover,
        LaneEffect::End(end) => panic!("it ended: {end:?}"),
        _ => panic!("nothing is handed over"),
    }
}

/// All that a lane still hands over, and its end, which it says again when it is asked again.
fn finish(lane: &mut Lane, millis: u64) -> (Vec<Handover>, End) {
    let mut handed_over = Vec::new();
    for _ in 0..3 {
        match lane.next_effect(now(millis), FlushSlot::Free) {
            LaneEffect::HandOver(handover) => handed_over.push(handover),
            LaneEffect::End(end) => {
                assert!(
                    matches!(lane.next_effect(now(millis), FlushSlot::Free), LaneEffect::End(again) if again == end)
                );
                return (handed_over, end);
            }
            _ => panic!("it is to end"),
        }
    }
    panic!("it doesn't end");
}

/// The place that a flush is at, and its number of rows.
fn covers(handover: &Handover) -> (Option<i64>, usize) {
    (handover.flush.head.intervals.end(P).map(|end| end.0), handover.flush.rows())
}

/// The numbers and sums of a flush.
fn shown(flush: &Flush) -> Vec<(i64, i64)> {
    let column = |made: &Made, i: usize| made.rows.columns[i].as_primitive::<Int64Type>().values().to_vec();
    flush.batches.iter().flat_map(|made| column(made, 0).into_iter().zip(column(made, 1))).collect()
}

/// The reports of a lane about what it does, in short.
fn said(lane: &mut Lane) -> Vec<String> {
    let short = |report| {
        Some(match report {
            Report::Records(number) => format!("records {number}"),
            Report::Again(number) => format!("again {number}"),
            Report::Holds(reason) => format!("holds: {reason}"),
            Report::GoesOn(_) => "goes on".to_owned(),
            Report::Interrupted => "interrupted".to_owned(),
            Report::TookOver(id, _) => format!("took over {id}"),
            Report::NotTaken(id, reason) => format!("not taken {id}: {reason}"),
            Report::RetryLater(id) => format!("later {id}"),
            _ => return None,
        })
    };
    lane.reports().into_iter().filter_map(short).collect()
}

fn fault(reason: &str) -> End {
    End::Fault(reason.to_owned())
}

/// Something that comes from outside while the clock stands still.
#[derive(Debug, Clone, Copy)]
enum Comes {
    Nothing,
    /// Number of records that come, if the lane asks for some.
    Records(usize),
    Swap,
    Retry,
    Committed,
}

proptest! {
    #[test]
    fn while_the_clock_stands_still_and_nothing_comes_it_soon_waits_and_without_a_place_at_each_poll(
        folds in any::<bool>(),
        refreshes in any::<bool>(),
        ahead in prop::option::of(0i64..20),
        rows in 1usize..12,
        interval in 0u64..3,
        steps in prop::collection::vec((any::<bool>(), prop_oneof![
            6 => Just(Comes::Nothing),
            6 => (1usize..6).prop_map(Comes::Records),
            1 => Just(Comes::Swap),
            1 => Just(Comes::Retry),
            2 => Just(Comes::Committed),
        ]), 1..40),
        last_place in any::<bool>(),
    ) {
        let made = || {
            let mut chain = if folds { sums() } else { self::rows() };
            if let Some(fold) = chain.fold_mut().filter(|_| refreshes) {
                fold.touch_all();
            }
            chain
        };
        let flush = FlushPolicy { rows, interval: Duration::from_millis(interval) };
        let ahead = ahead.map(|end| (P, Offset(end))).into_iter().collect();
        let progress = Progress::from(Checkpoint::default(), ahead, None);
        let mut lane = Lane::new(made(), progress, LaneSettings { flush, ..SETTINGS }, Interrupt::default());
        let (mut offset, mut id, mut busy) = (0, 0, 0);
        let quiet = std::iter::repeat_n((last_place, Comes::Nothing), 12);
        for (free, comes) in steps.into_iter().chain(quiet) {
            match comes {
                Comes::Swap => {
                    id += 1;
                    lane.on(swap(id, made(), Bounds { rows: id % 3, ..LONG }), now(0));
                }
                Comes::Retry => lane.on(LaneEvent::Retry(Retry { id: 1, letters: vec![letter(1_000, 1)] }), now(0)),
                Comes::Committed => lane.on(LaneEvent::Committed(lane.head().commits), now(0)),
                Comes::Nothing | Comes::Records(_) => {}
            }
            let effect = lane.next_effect(now(0), if free { FlushSlot::Free } else { FlushSlot::Taken });
            let comes_nothing = matches!(comes, Comes::Nothing | Comes::Committed);
            let waits = matches!(effect, LaneEffect::Poll { wait, .. } | LaneEffect::Listen(wait) if !wait.is_zero());
            busy = if waits || !comes_nothing { 0 } else { busy + 1 };
            prop_assert!(busy < 6, "it goes round and round");
            match effect {
                LaneEffect::AskEnds => lane.on(LaneEvent::Ends(Ok(Ends::new())), now(0)),
                LaneEffect::Poll { max_records, wait } => {
                    prop_assert!(free || !wait.is_zero(), "there is no place for what is due");
                    let number = if let Comes::Records(number) = comes { number.min(max_records) } else { 0 };
                    let records = (number > 0).then(|| numbers(offset, 0..number as i64));
                    offset += number as i64;
                    lane.on(LaneEvent::Polled(Ok((records, Identity::default()))), now(0));
                }
                LaneEffect::HandOver(_) => prop_assert!(free, "there is no place"),
                LaneEffect::Listen(_) => {}
                LaneEffect::End(end) => prop_assert!(false, "it ended: {end:?}"),
            }
        }
    }

    #[test]
    fn it_does_not_go_on_between_a_failed_answer_of_the_source_and_a_good_one_of_its_ends_and_then_it_does(
        lucks in prop::collection::vec((0u8..4, 0u8..4, any::<bool>()), 0..60),
    ) {
        let server = Server::well();
        let mut lane = begun(looked_up(&server), SETTINGS);
        let (mut clock, mut offset, mut source_away, mut last) = (0, 0, false, None);
        let well = std::iter::repeat_n((3, 3, false), 20);
        for (source, chain, retry) in lucks.into_iter().chain(well) {
            server.answers(if chain == 0 { 0 } else { usize::MAX });
            if retry {
                lane.on(LaneEvent::Retry(Retry { id: 1, letters: vec![letter(1_000, 1)] }), now(clock));
            }
            let effect = lane.next_effect(now(clock), FlushSlot::Free);
            let mut before = said(&mut lane);
            prop_assert!(!source_away || !before.iter().any(|said| said == "goes on"), "{before:?}");
            let away = || SourceError::Unavailable("no source".to_owned());
            let mut is_back = false;
            match effect {
                LaneEffect::Poll { .. } if source == 0 => {
                    source_away = true;
                    lane.on(LaneEvent::Polled(Err(away())), now(clock));
                }
                LaneEffect::Poll { wait, .. } => {
                    let records = (source == 1).then(|| numbers(offset, [1, 2]));
                    offset += if records.is_some() { 2 } else { 0 };
                    lane.on(LaneEvent::Polled(Ok((records, Identity::default()))), now(clock));
                    clock += 1_000.max(wait.as_millis() as u64);
                }
                LaneEffect::AskEnds if source == 0 => {
                    source_away = true;
                    lane.on(LaneEvent::Ends(Err(away())), now(clock));
                }
                LaneEffect::AskEnds => {
                    is_back = source_away;
                    lane.on(LaneEvent::Ends(Ok(Ends::new())), now(clock));
                }
                LaneEffect::Listen(wait) => clock += wait.as_millis() as u64 + 1,
                LaneEffect::HandOver(_) => {}
                LaneEffect::End(end) => prop_assert!(false, "it ended: {end:?}"),
            }
            let after = said(&mut lane);
            let goes_on = after.iter().filter(|said| *said == "goes on").count();
            prop_assert_eq!(goes_on, usize::from(is_back), "{:?}", after);
            source_away &= !is_back;
            before.extend(after);
            last = before.into_iter().rfind(|said| said == "goes on" || said.starts_with("holds")).or(last);
        }
        prop_assert!(!source_away && last.is_none_or(|last| last == "goes on"));
    }

    #[test]
    fn a_trial_is_not_passed_by_what_is_held_before_a_record_was_taken_unless_nothing_can_be(
        (records, rejected) in (0usize..200, 0usize..200),
        enough in any::<bool>(),
        stuck in any::<bool>(),
        seconds in 0u64..100,
    ) {
        let rejected = rejected.min(records);
        let mut swaps = Swaps::default();
        swaps.begin(Bounds { time: Duration::from_secs(60), rows: 100 }, Operators::new(), Duration::from_secs(7));
        swaps.count(records, rejected);
        let passes = seconds >= 60 || records >= 100 || stuck || enough && records > rejected;
        match swaps.judge(enough, stuck, Duration::from_secs(7 + seconds)) {
            TrialVerdict::Failed(_) => prop_assert!(rejected >= 10 && rejected * 2 > records),
            TrialVerdict::Passed => prop_assert!(passes),
            TrialVerdict::GoesOn => prop_assert!(!passes),
        }
    }
}

#[test]
fn after_a_seal_of_which_a_group_stops_the_run_nothing_is_handed_over_and_that_is_the_end() {
    let torn = |event: Option<LaneEvent>, before: Option<LaneEvent>| {
        let mut lane = begun(constrained(), LaneSettings { stops: true, ..SETTINGS });
        take(&mut lane, numbers(0, [1, UNFIT, 2]));
        assert!(matches!(next(&mut lane, 0, FlushSlot::Taken), LaneEffect::Poll { .. }));
        before.into_iter().chain(event).for_each(|event| lane.on(event, now(0)));
        let (handed_over, end) = finish(&mut lane, 0);
        assert_eq!(handed_over.len(), 0);
        end
    };
    let fault = torn(None, None);
    assert!(matches!(&fault, End::Fault(reason) if reason.starts_with("sink: the group (1000000): ")), "{fault:?}");
    assert_eq!(torn(Some(LaneEvent::Stop), None), fault);
    assert_eq!(torn(Some(swap(1, constrained(), LONG)), None), fault);
    let first = LaneEvent::Polled(Err(SourceError::Unusable("no topic".to_owned())));
    assert_eq!(torn(Some(LaneEvent::Stop), Some(first)), self::fault("no topic"), "only the first reason counts");
}

#[test]
fn what_was_read_of_another_topic_is_not_handed_over_and_what_was_read_before_any_other_fault_is() {
    for folds in [false, true] {
        let ended = |error| {
            let mut lane = begun(if folds { sums() } else { rows() }, SETTINGS);
            take(&mut lane, numbers(0, [1, 2]));
            next(&mut lane, 0, FlushSlot::Taken);
            lane.on(LaneEvent::Polled(Err(error)), now(0));
            let (handed_over, end) = finish(&mut lane, 0);
            (handed_over.iter().map(covers).collect::<Vec<_>>(), end)
        };
        let (was, is) = (Identity::read("topic=1"), Identity::read("topic=2"));
        let (handed_over, end) = ended(SourceError::Another { topic: "t".to_owned(), was, is });
        assert!(handed_over.is_empty() && matches!(end, End::Moved(_)), "{handed_over:?}, {end:?}");
        let unusable = ended(SourceError::Unusable("no topic".to_owned()));
        assert_eq!(unusable, (vec![(Some(2), 2)], fault("no topic")));
    }
}

#[test]
fn an_end_during_a_trial_hands_nothing_over_whatever_it_is() {
    let ends = [
        (LaneEvent::Stop, End::Done),
        (LaneEvent::FlusherGone, fault("the flusher ended")),
        (LaneEvent::Polled(Err(SourceError::Unusable("no topic".to_owned()))), fault("no topic")),
    ];
    for (event, expected) in ends {
        let mut lane = begun(sums(), SETTINGS);
        lane.on(swap(1, sums(), LONG), now(0));
        assert_eq!(handed_over(next(&mut lane, 0, FlushSlot::Free)).cut_over, Some(1));
        take(&mut lane, numbers(0, [1, -1]));
        next(&mut lane, 0, FlushSlot::Taken);
        assert!(lane.is_on_trial() && lane.waiting() > 0);
        lane.on(event, now(0));
        let (handed_over, end) = finish(&mut lane, 0);
        assert_eq!((handed_over.len(), end), (0, expected));
    }
}

#[test]
fn a_stop_while_a_server_of_the_chain_is_away_ends_at_once_with_what_was_processed_of_the_batch_in_hand() {
    for calls in [0, 1] {
        let servers = [Server::for_calls(calls), Server::for_calls(calls)];
        for (chain, server) in [looked_up(&servers[0]), stored(&servers[1], usize::MAX)].into_iter().zip(&servers) {
            let mut lane = begun(chain, SETTINGS);
            take(&mut lane, numbers(0, 1..=6));
            assert!(matches!(next(&mut lane, 0, FlushSlot::Free), LaneEffect::Listen(wait) if !wait.is_zero()));
            assert!(said(&mut lane).last().is_some_and(|said| said.starts_with("holds: no ")));
            assert!(!lane.is_at_a_boundary());
            lane.on(LaneEvent::Stop, now(1));
            let (handed_over, end) = finish(&mut lane, 1);
            let processed = 4 * calls;
            let expected = [(Some(processed as i64), processed)];
            assert_eq!((handed_over.iter().map(covers).collect::<Vec<_>>(), end), (expected.to_vec(), End::Done));
            assert_eq!(server.0.load(Ordering::Relaxed), 0);
        }
    }
}

#[test]
fn letters_are_taken_in_again_after_the_records_in_hand_and_are_done_with_the_flush_of_both() {
    let server = Server::for_calls(1);
    let mut lane = begun(looked_up(&server), SETTINGS);
    take(&mut lane, numbers(0, 1..=6));
    assert!(matches!(next(&mut lane, 0, FlushSlot::Free), LaneEffect::Listen(_)));
    // The second of them is at fault still.
    let letters = vec![letter(1_000, 9), letter(1_001, -1)];
    lane.on(LaneEvent::Retry(Retry { id: 7, letters }), now(1));
    assert!(matches!(next(&mut lane, 1, FlushSlot::Free), LaneEffect::Listen(_)), "it waits for the lookup still");
    server.answers(usize::MAX);
    let Handover { flush, cut_over } = handed_over(next(&mut lane, 100, FlushSlot::Free));
    assert_eq!(said(&mut lane), ["records 4", "holds: no lookup", "goes on", "records 2", "again 2"]);
    assert_eq!((flush.rows(), flush.retries, cut_over), (7, vec![7], None));
    assert_eq!(flush.head.intervals.end(P), Some(Offset(6)), "letters account for no offsets");
    let offsets = |ids: Vec<LetterId>| ids.into_iter().map(|id| id.offset.0).collect::<Vec<_>>();
    assert_eq!(offsets(flush.head.retried), [1_000]);
    assert_eq!(
        offsets(flush.letters.into_iter().map(|letter| letter.id).collect()),
        [1_001],
        "its letter is written anew"
    );
    // Whoever waits for a retry waits for no interval.
    lane.on(LaneEvent::Retry(Retry { id: 8, letters: vec![letter(1_002, 3)] }), now(101));
    let flush = handed_over(next(&mut lane, 101, FlushSlot::Free)).flush;
    assert_eq!((flush.rows(), flush.retries, offsets(flush.head.retried)), (1, vec![8], vec![1_002]));
}

#[test]
fn during_a_trial_a_retry_is_to_be_asked_for_later() {
    let mut lane = begun(sums(), SETTINGS);
    lane.on(swap(1, sums(), LONG), now(0));
    next(&mut lane, 0, FlushSlot::Free);
    said(&mut lane);
    lane.on(LaneEvent::Retry(Retry { id: 7, letters: vec![letter(1_000, 9)] }), now(0));
    assert!(lane.is_at_a_boundary());
    next(&mut lane, 0, FlushSlot::Free);
    assert_eq!(said(&mut lane), ["later 7"]);
    // Once it is passed, the retry is taken in.
    next(&mut lane, 60_000, FlushSlot::Free);
    assert!(!lane.is_on_trial());
    lane.on(LaneEvent::Retry(Retry { id: 7, letters: vec![letter(1_000, 9)] }), now(60_000));
    let flush = handed_over(next(&mut lane, 60_000, FlushSlot::Free)).flush;
    assert_eq!((said(&mut lane), flush.retries), (vec!["again 1".to_owned()], vec![7]));
}

#[test]
fn a_last_flush_whose_call_is_ended_early_is_a_fault_that_says_that_it_is_read_again() {
    let ended = |event: LaneEvent| {
        let emitted = Server::for_calls(0);
        let mut lane = begun(interrupted(&Server::well(), &emitted), SETTINGS);
        take(&mut lane, numbers(0, [1, 2]));
        next(&mut lane, 0, FlushSlot::Taken);
        lane.on(event, now(0));
        let (handed_over, end) = finish(&mut lane, 0);
        assert!(handed_over.is_empty());
        end
    };
    match ended(LaneEvent::Stop) {
        End::Fault(reason) => assert!(reason.contains("read again at the next start"), "{reason}"),
        end => panic!("{end:?}"),
    }
    let unusable = SourceError::Unusable("no topic".to_owned());
    assert_eq!(ended(LaneEvent::Polled(Err(unusable))), fault("no topic"), "only the first reason counts");
}

#[test]
fn a_batch_whose_call_is_ended_early_ends_the_run_without_fault_and_is_not_in_the_last_flush() {
    for calls in [0, 1] {
        let mut lane = begun(interrupted(&Server::for_calls(calls), &Server::well()), SETTINGS);
        take(&mut lane, numbers(0, 1..=6));
        let (handed_over, end) = finish(&mut lane, 0);
        let processed = 4 * calls;
        let expected = [(Some(processed as i64), processed)];
        assert_eq!((handed_over.iter().map(covers).collect::<Vec<_>>(), end), (expected.to_vec(), End::Done));
        assert_eq!(said(&mut lane).last().map(String::as_str), Some("interrupted"));
    }
}

#[test]
fn what_is_raised_before_the_last_flush_does_not_end_it() {
    let interrupt = Interrupt::default();
    let mut lane = Lane::new(sums(), Progress::default(), SETTINGS, interrupt.clone());
    interrupt.raise();
    lane.on(LaneEvent::Stop, now(0));
    assert_eq!(finish(&mut lane, 0).1, End::Done);
    assert!(!interrupt.is_raised());
}

#[test]
fn a_flusher_that_ends_after_the_last_flush_makes_it_a_fault_unless_it_was_one() {
    for (event, expected) in [
        (LaneEvent::Stop, fault("the flusher ended")),
        (LaneEvent::Polled(Err(SourceError::Unusable("no topic".to_owned()))), fault("no topic")),
    ] {
        let mut lane = begun(rows(), SETTINGS);
        take(&mut lane, numbers(0, [1]));
        next(&mut lane, 0, FlushSlot::Taken);
        lane.on(event, now(0));
        handed_over(next(&mut lane, 0, FlushSlot::Taken));
        lane.on(LaneEvent::FlusherGone, now(0));
        let (handed_over, end) = finish(&mut lane, 0);
        assert_eq!((handed_over.len(), end), (0, expected));
    }
}

#[test]
fn a_swap_that_another_one_overtakes_is_not_taken_and_the_other_is() {
    let mut lane = begun(sums(), SETTINGS);
    lane.on(swap(1, sums(), LONG), now(0));
    lane.on(swap(2, sums(), LONG), now(0));
    assert_eq!(handed_over(next(&mut lane, 0, FlushSlot::Free)).cut_over, Some(2));
    assert_eq!(said(&mut lane), ["not taken 1: others were to take over before it could", "took over 2"]);
}

#[test]
fn a_swap_waits_for_a_place_and_the_end_of_the_records_in_hand_and_the_old_chain_works_until_then() {
    let server = Server::for_calls(1);
    let mut lane = begun(looked_up(&server), SETTINGS);
    take(&mut lane, numbers(0, 1..=6));
    next(&mut lane, 0, FlushSlot::Taken);
    lane.on(swap(1, rows(), LONG), now(0));
    assert!(matches!(next(&mut lane, 0, FlushSlot::Free), LaneEffect::Listen(_)), "records are in hand");
    server.answers(usize::MAX);
    assert!(matches!(next(&mut lane, 100, FlushSlot::Taken), LaneEffect::Poll { .. }), "there is no place");
    let last = handed_over(next(&mut lane, 100, FlushSlot::Free));
    assert_eq!((covers(&last), last.cut_over), ((Some(6), 6), Some(1)));
    assert!(last.flush.batches.iter().all(|made| made.rows.columns.len() == 2), "they are the old chain's");
}

#[test]
fn a_swap_whose_states_do_not_fit_is_not_taken_and_the_old_chain_runs_on_with_its_states() {
    let mut lane = begun(sums(), SETTINGS);
    take(&mut lane, numbers(0, [5]));
    next(&mut lane, 0, FlushSlot::Taken);
    lane.on(swap(1, rows(), LONG), now(0));
    let Handover { flush, cut_over } = handed_over(next(&mut lane, 0, FlushSlot::Free));
    assert_eq!((shown(&flush), cut_over), (vec![(5, 5)], None));
    assert!(flush.durable && !flush.head.refreshing && !lane.is_on_trial());
    let refused = "not taken 1: it is a transformer, the running one is an aggregator";
    assert_eq!(said(&mut lane), ["records 1", refused]);
    take(&mut lane, numbers(1, [5]));
    let flush = handed_over(next(&mut lane, 1_000, FlushSlot::Free)).flush;
    assert_eq!((shown(&flush), flush.durable), (vec![(5, 10)], true));
}

/// The end of a lane whose source has nothing more, if it comes within some steps. Each takes a second.
fn idle(lane: &mut Lane, clock: &mut u64) -> Option<End> {
    for _ in 0..8 {
        match next(lane, *clock, FlushSlot::Free) {
            LaneEffect::End(end) => return Some(end),
            LaneEffect::Poll { .. } => lane.on(LaneEvent::Polled(Ok((None, Identity::default()))), now(*clock)),
            _ => {}
        }
        *clock += 1_000;
    }
    None
}

#[test]
fn a_lane_with_an_end_ends_by_itself_once_it_is_reached_and_no_letter_is_left_to_retry() {
    let until = Some(Ends::from([(P, Offset(3))]));
    for keeps_letters in [true, false] {
        let progress = Progress::from(Checkpoint::default(), Ends::new(), until.clone());
        let mut lane = begun_from(rows(), progress, LaneSettings { keeps_letters, ..SETTINGS });
        let mut clock = 0;
        assert_eq!(idle(&mut lane, &mut clock), None, "it hasn't read anything");
        take(&mut lane, numbers(0, [1, 2]));
        assert_eq!(idle(&mut lane, &mut clock), None, "there is one record more");
        take(&mut lane, numbers(2, [3]));
        if keeps_letters {
            assert_eq!(idle(&mut lane, &mut clock), None, "there may be letters to retry");
            lane.on(LaneEvent::NothingToRetry, now(clock));
        }
        assert_eq!(idle(&mut lane, &mut clock), Some(End::Done));
        assert_eq!(lane.head().intervals.end(P), Some(Offset(3)));
    }
}

#[test]
fn a_lane_with_an_end_hands_over_what_waits_before_it_ends() {
    let until = Some(Ends::from([(P, Offset(3))]));
    let progress = Progress::from(Checkpoint::default(), Ends::new(), until);
    let mut lane = begun_from(rows(), progress, LaneSettings { keeps_letters: false, ..SETTINGS });
    take(&mut lane, numbers(0, [1, 2, 3]));
    let (handed_over, end) = finish(&mut lane, 0);
    assert_eq!((handed_over.iter().map(covers).collect::<Vec<_>>(), end), (vec![(Some(3), 3)], End::Done));
}

#[test]
fn a_lane_with_an_end_does_not_end_while_groups_are_to_be_written_again() {
    let server = Server::for_calls(1);
    let mut chain = stored(&server, usize::MAX);
    chain.fold_mut().unwrap().touch_all();
    let until = Some(Ends::from([(P, Offset(3))]));
    let progress = Progress::from(Checkpoint::default(), Ends::new(), until);
    let mut lane = begun_from(chain, progress, LaneSettings { keeps_letters: false, ..SETTINGS });
    take(&mut lane, numbers(0, [1, 2, 3]));
    let mut clock = 0;
    assert_eq!(idle(&mut lane, &mut clock), None, "the store is away");
    assert_eq!(lane.head().intervals.end(P), Some(Offset(3)));
    assert_eq!(said(&mut lane).last().map(String::as_str), Some("holds: no store"));
    server.answers(usize::MAX);
    assert_eq!(idle(&mut lane, &mut clock), Some(End::Done));
    assert_eq!(said(&mut lane), ["goes on"]);
}

#[test]
fn a_lane_with_an_end_ends_a_trial_as_passed_and_its_last_flush_is_durable() {
    let until = Some(Ends::from([(P, Offset(1))]));
    let progress = Progress::from(Checkpoint::default(), Ends::new(), until);
    let mut lane = begun_from(sums(), progress, LaneSettings { keeps_letters: false, ..SETTINGS });
    lane.on(swap(1, sums(), LONG), now(0));
    next(&mut lane, 0, FlushSlot::Free);
    take(&mut lane, numbers(0, [1]));
    let mut flushes = Vec::new();
    let end = loop {
        match next(&mut lane, 0, FlushSlot::Free) {
            LaneEffect::HandOver(Handover { flush, .. }) => flushes.push(flush),
            LaneEffect::End(end) => break end,
            _ => assert!(flushes.len() < 4),
        }
    };
    let last = flushes.pop().unwrap();
    assert_eq!((end, last.durable, last.head.operators["sum"].as_str()), (End::Done, true, "1"));
    assert_eq!((last.head.intervals.end(P), last.passed.is_some()), (Some(Offset(1)), true));
}

#[test]
fn a_trial_outlasts_groups_that_filled_the_memory_before_it_and_is_passed_once_its_own_do() {
    let filled = |lane: &Lane| lane.chain().fold().unwrap().bytes();
    let many = LaneSettings { batch_rows: 300, flush: FlushPolicy { rows: 10, ..SETTINGS.flush }, ..SETTINGS };
    let mut measured = begun(sums(), many);
    take(&mut measured, numbers(0, 0..300));
    next(&mut measured, 0, FlushSlot::Taken);
    let memory = filled(&measured) / 2;

    let mut lane = begun(stored(&Server::well(), memory), many);
    take(&mut lane, numbers(0, 0..300));
    assert_eq!(covers(&handed_over(next(&mut lane, 0, FlushSlot::Free))), (Some(300), 300));
    lane.on(swap(1, sums(), LONG), now(0));
    assert_eq!(handed_over(next(&mut lane, 0, FlushSlot::Free)).cut_over, Some(1));
    for _ in 0..3 {
        assert!(matches!(next(&mut lane, 0, FlushSlot::Free), LaneEffect::Listen(_)), "there is no room for more");
        assert!(lane.is_on_trial() && filled(&lane) > memory);
    }
    lane.on(LaneEvent::Committed(lane.head().commits), now(0));
    assert!(matches!(next(&mut lane, 0, FlushSlot::Free), LaneEffect::Poll { .. }));
    assert!(lane.is_on_trial() && filled(&lane) <= memory);
    take(&mut lane, numbers(300, 1_000..1_300));
    let flush = handed_over(next(&mut lane, 0, FlushSlot::Free)).flush;
    assert!(!lane.is_on_trial() && flush.durable && flush.passed.is_some());
}

#[test]
fn rows_of_a_trial_are_handed_over_as_of_the_generation_that_the_checkpoint_after_it_is_of() {
    let mut lane = begun(sums(), SETTINGS);
    for (id, generation) in [(1, 1), (2, 2)] {
        let clock = 200_000 * id;
        lane.on(swap(id, sums(), LONG), now(clock));
        let last = handed_over(next(&mut lane, clock, FlushSlot::Free)).flush;
        assert_eq!((last.head.generation, last.passed), (generation - 1, None));
        take(&mut lane, numbers(id as i64 - 1, [5]));
        next(&mut lane, clock, FlushSlot::Taken);
        let trial = handed_over(next(&mut lane, clock + 1_000, FlushSlot::Free)).flush;
        assert_eq!((shown(&trial), trial.durable), (vec![(5, 5 * id as i64)], false));
        let operators = Operators::from([("sum".to_owned(), id.to_string())]);
        assert_eq!(trial.head, Checkpoint { generation, operators: operators.clone(), ..Checkpoint::default() });
        let passed = handed_over(next(&mut lane, clock + 100_000, FlushSlot::Free)).flush;
        assert_eq!((passed.head.generation, passed.durable, lane.head().generation), (generation, true, generation));
        assert_eq!(passed.passed, Some(operators));
        lane.on(LaneEvent::Committed(lane.head().commits), now(clock + 100_000));
    }
}

#[test]
fn a_poll_waits_no_longer_than_what_waits_for_a_flush_may() {
    let mut lane = begun(rows(), SETTINGS);
    take(&mut lane, numbers(0, [1]));
    handed_over(next(&mut lane, 0, FlushSlot::Free));
    let waits = |lane: &mut Lane, millis, place| match next(lane, millis, place) {
        LaneEffect::Poll { wait, .. } => wait.as_millis(),
        _ => panic!("it polls"),
    };
    assert_eq!(waits(&mut lane, 995, FlushSlot::Free), LISTEN.as_millis(), "nothing waits");
    take(&mut lane, numbers(1, [2]));
    assert_eq!(waits(&mut lane, 900, FlushSlot::Free), LISTEN.as_millis());
    assert_eq!(waits(&mut lane, 995, FlushSlot::Free), 5);
    assert_eq!(waits(&mut lane, 995, FlushSlot::Taken), LISTEN.as_millis(), "without a place it isn't due any sooner");
}

#[test]
fn the_source_is_asked_once_a_second_where_it_ends() {
    let mut lane = Lane::new(rows(), Progress::default(), SETTINGS, Interrupt::default());
    handed_over(lane.next_effect(now(0), FlushSlot::Free));
    let mut asks = |millis| {
        let asks = matches!(lane.next_effect(now(millis), FlushSlot::Free), LaneEffect::AskEnds);
        if asks {
            lane.on(LaneEvent::Ends(Ok(Ends::new())), now(millis));
        }
        asks
    };
    assert_eq!([0, 1, 999, 1_000, 1_001, 1_999, 2_000].map(&mut asks), [true, false, false, true, false, false, true]);
}

#[test]
fn a_letter_names_the_operator_that_refused_its_record_also_where_that_is_on_trial() {
    let mut lane = begun(sums(), SETTINGS);
    let operators = |lane: &mut Lane, millis| {
        let letters = handed_over(next(lane, millis, FlushSlot::Free)).flush.letters;
        letters.into_iter().map(|letter| letter.operator).collect::<Vec<_>>()
    };
    take(&mut lane, numbers(0, [1, REFUSED]));
    assert_eq!(operators(&mut lane, 0), [None], "the first checkpoint knows of none");
    for id in [1, 2] {
        let clock = 200_000 * id;
        lane.on(swap(id, sums(), LONG), now(clock));
        assert_eq!(operators(&mut lane, clock), []);
        take(&mut lane, numbers(2 * id as i64, [1, REFUSED]));
        assert_eq!(operators(&mut lane, clock + 1_000), [], "letters of a trial go with the first flush after it");
        assert_eq!(operators(&mut lane, clock + 100_000), [Some(id.to_string())]);
    }
}

#[test]
fn rows_that_come_after_their_windows_are_said_and_nothing_of_none() {
    let mut lane = begun(windows(), SETTINGS);
    let late = |lane: &mut Lane| -> Vec<usize> {
        next(lane, 0, FlushSlot::Taken);
        let late = |report| if let Report::Late(rows) = report { Some(rows) } else { None };
        lane.reports().into_iter().filter_map(late).collect()
    };
    take(&mut lane, numbers(0, [10, 20, 1_000]));
    assert_eq!(late(&mut lane), [0; 0]);
    take(&mut lane, numbers(3, [30, 1_010, 40]));
    assert_eq!(late(&mut lane), [2]);
}

#[test]
fn windows_end_without_a_partition_that_has_had_nothing_to_read_for_long_enough_and_only_without_such_a_one() {
    const SILENT: Partition = Partition(1);
    for (end, closes) in [(Offset(0), true), (Offset(1), false)] {
        let mut chain = windows();
        chain.fold_mut().and_then(Fold::windows).unwrap().watermark().expect(SILENT);
        let mut lane = begun(chain, SETTINGS);
        take(&mut lane, numbers(0, [10, 250]));
        let mut rows = Vec::new();
        for millis in (0..5_000).step_by(500) {
            match lane.next_effect(now(millis), FlushSlot::Free) {
                LaneEffect::AskEnds => {
                    lane.on(LaneEvent::Ends(Ok(Ends::from([(P, Offset(2)), (SILENT, end)]))), now(millis))
                }
                LaneEffect::HandOver(handover) if handover.flush.rows() > 0 => {
                    rows.push((millis, handover.flush.rows()))
                }
                _ => {}
            }
        }
        assert_eq!(rows.len(), usize::from(closes), "{rows:?}");
        assert!(rows.iter().all(|(millis, rows)| *millis >= 2_000 && *rows == 1), "{rows:?}");
    }
}

#[test]
fn a_lane_without_room_hands_over_what_waits_also_while_rows_are_ahead_or_it_would_stand_still() {
    let ahead = Ends::from([(P, Offset(100))]);
    for (memory, hands_over) in [(1, true), (usize::MAX, false)] {
        let progress = Progress::from(Checkpoint::default(), ahead.clone(), None);
        let chain = stored(&Server::well(), memory);
        let mut lane = Lane::new(chain, progress, SETTINGS, Interrupt::default());
        take(&mut lane, numbers(0, 0..4));
        let effect = next(&mut lane, 0, FlushSlot::Free);
        assert_eq!(matches!(effect, LaneEffect::HandOver(_)), hands_over, "else the states catch up first");
    }
}

#[test]
fn a_trial_without_room_for_a_letter_more_is_passed_once_all_that_was_handed_over_is_committed_and_there_is_a_place() {
    let many = LaneSettings { batch_rows: MAX_HELD, ..SETTINGS };
    let mut lane = begun(rows(), many);
    // Whatever runs, no record is good: the trial doesn't fail by that.
    take(&mut lane, numbers(0, [-1; 2_000]));
    assert_eq!(handed_over(next(&mut lane, 0, FlushSlot::Free)).flush.letters.len(), 2_000);
    lane.on(swap(1, rows(), Bounds { rows: u64::MAX, ..LONG }), now(0));
    assert_eq!(handed_over(next(&mut lane, 0, FlushSlot::Free)).cut_over, Some(1));
    take(&mut lane, numbers(2_000, [-1; MAX_HELD]));
    for place in [FlushSlot::Taken, FlushSlot::Free] {
        assert!(matches!(next(&mut lane, 0, place), LaneEffect::Listen(_)), "there is no room");
        assert!(lane.is_on_trial(), "what was handed over isn't committed");
    }
    lane.on(LaneEvent::Committed(lane.head().commits), now(0));
    assert!(matches!(next(&mut lane, 0, FlushSlot::Taken), LaneEffect::Listen(_)));
    assert!(lane.is_on_trial(), "there is no place");
    let flush = handed_over(next(&mut lane, 0, FlushSlot::Free)).flush;
    assert!(!lane.is_on_trial() && flush.durable);
    assert_eq!(flush.letters.len(), MAX_HELD);
}
