//! Laws of windowed folds: the table that comes of rows is that of a naive fold, however rows are cut and spread, and
//! whenever the host crashes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::checkpoint::memory::MemoryStore;
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::interval::Partition;
use crate::testing::Sum;
use crate::window::{Emit, Late, Length, Span, Window, WindowOptions};

const LATENESS: i64 = 50;

/// Row that closes all windows of the other rows, once each partition has had it.
const CLOSER: Row = (99, i64::MAX / 2, 0);

/// Key, time, value.
type Row = (i64, i64, i64);

/// End and sum of each window, by key and the window's start.
type Table = BTreeMap<(i64, i64), (i64, i64)>;

fn windows() -> [Window; 3] {
    let length = |micros| Length::try_from(micros).unwrap();
    let hopping = Window::hopping(length(300), length(100)).unwrap();
    [Window::Tumbling { size: length(100) }, hopping, Window::Session { gap: length(60) }]
}

fn sum() -> Sum {
    Sum { merges: true, ..Sum::new(&["key", "value"], &[0], &[1]) }
}

fn naive(window: Window, rows: &[Row]) -> Table {
    let mut table = Table::new();
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let mut last: Option<(i64, Span)> = None;
    for (key, time, value) in sorted {
        let mut spans: Vec<Span> = window.spans(time).unwrap().collect();
        if let (Window::Session { .. }, Some((last_key, session))) = (window, last)
            && key == last_key
            && time < session.end
        {
            spans[0].start = session.start;
        }
        for span in spans {
            let row = table.entry((key, span.start)).or_insert((span.end, 0));
            *row = (span.end, row.1 + value);
            last = Some((key, span));
        }
    }
    table
}

/// A host whose memory is lost in a crash.
struct Host<'a> {
    options: WindowOptions,
    partitions: &'a [Vec<Row>],
    store: Arc<MemoryStore>,
    fold: Fold,
    position: [usize; 3],
    committed: [usize; 3],
    flush: u64,
    table: Table,
    /// Rows written.
    written: usize,
    late: usize,
}

impl<'a> Host<'a> {
    fn new(options: WindowOptions, partitions: &'a [Vec<Row>]) -> Host<'a> {
        let store = Arc::new(MemoryStore::default());
        let fold = restored(options, &store);
        let (position, committed) = ([0; 3], [0; 3]);
        Host {
            options,
            partitions,
            store,
            fold,
            position,
            committed,
            flush: 0,
            table: Table::new(),
            written: 0,
            late: 0,
        }
    }

    fn crash(&mut self) {
        self.fold = restored(self.options, &self.store);
        self.position = self.committed;
    }

    fn batch(&mut self, partition: usize, size: usize) {
        let rows = &self.partitions[partition][self.position[partition]..];
        let rows = &rows[..size.min(rows.len())];
        self.position[partition] += rows.len();
        let (late, result) = add(&mut self.fold, partition, rows);
        self.late += late;
        result.unwrap();
    }

    /// Writes rows; commits, unless the host crashes before it does.
    fn flush(&mut self, commits: bool) {
        self.flush += 1;
        let sealed = self.fold.seal(&mut sum(), self.flush).unwrap();
        for emitted in sealed.emitted {
            let times = |i: usize| emitted.columns[i].as_primitive::<TimestampMicrosecondType>().values();
            let numbers = |i: usize| emitted.columns[i].as_primitive::<Int64Type>().values();
            for row in 0..emitted.rows {
                self.table.insert((numbers(0)[row], times(1)[row]), (times(2)[row], numbers(3)[row]));
                self.written += 1;
            }
        }
        if commits {
            let head =
                Checkpoint { event_times: self.fold.event_times(), commits: self.flush, ..Checkpoint::default() };
            self.store.commit("p", &head, &sealed.changes).unwrap();
            self.committed = self.position;
        }
    }

    /// Reads what is left, and lets time pass the end of every window.
    fn end(&mut self) {
        (0..3).for_each(|partition| self.batch(partition, usize::MAX));
        for partition in 0..3 {
            add(&mut self.fold, partition, &[CLOSER]).1.unwrap();
        }
        self.flush(true);
        self.table.retain(|(key, _), _| *key != CLOSER.0);
    }
}

fn add(fold: &mut Fold, partition: usize, rows: &[Row]) -> (usize, Result<(), FoldError>) {
    let column = |value: fn(&Row) -> i64| -> Option<ArrayRef> {
        Some(Arc::new(rows.iter().map(value).map(Some).collect::<Int64Array>()))
    };
    let placed = fold.place(rows.iter().map(|row| (Partition(partition as i32), Some(row.1)))).unwrap();
    (placed.late, fold.accumulate_placed(&mut sum(), &[column(|row| row.0), column(|row| row.2)], placed))
}

fn empty(options: WindowOptions) -> Fold {
    let input = ["key", "value"].map(|name| Field::new(name, Kind::Int64));
    Fold::new(sum().fold, &input).unwrap().windowed(options)
}

fn restored(options: WindowOptions, store: &Arc<MemoryStore>) -> Fold {
    let mut fold = empty(options);
    let head = store.head("p").unwrap();
    let shared: Arc<dyn CheckpointStore> = Arc::clone(store) as _;
    fold.keep(Keeping::default(), Backing::new(shared, "p", head.is_none()));
    let head = head.unwrap_or_default();
    fold.set_committed(head.commits);
    fold.resume(&head.event_times, &mut sum()).unwrap();
    (0..3).for_each(|partition| fold.windows().unwrap().watermark().expect(Partition(partition)));
    fold
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Batch(usize, usize),
    Flush,
    Crash,
    CrashBeforeCommit,
    Compact,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..3, 1usize..20).prop_map(|(partition, size)| Event::Batch(partition, size)),
        3 => Just(Event::Flush),
        1 => Just(Event::Crash),
        1 => Just(Event::CrashBeforeCommit),
        1 => Just(Event::Compact),
    ]
}

fn run(host: &mut Host<'_>, events: &[Event]) {
    for event in events {
        match *event {
            Event::Batch(partition, size) => host.batch(partition, size),
            Event::Flush => host.flush(true),
            Event::Crash => host.crash(),
            Event::CrashBeforeCommit => {
                host.flush(false);
                host.crash();
            }
            Event::Compact => host.fold.compact(1),
        }
    }
    host.end();
}

fn options(window: Window, emit: Emit, late: Late) -> WindowOptions {
    let lateness = Duration::from_micros(LATENESS as u64);
    WindowOptions { window, lateness, idle_after: Duration::from_secs(60), emit, late }
}

proptest! {
    #[test]
    fn the_table_is_a_naive_folds_in_whatever_order_batches_partitions_and_crashes(
        rows in prop::collection::vec((0i64..3, -2_000i64..2_000, -100i64..100), 0..200),
        routes in prop::collection::vec((0usize..3, 0..LATENESS), 200),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut queues = vec![Vec::new(); 3];
        for (row, (partition, delay)) in rows.iter().zip(&routes) {
            queues[*partition].push((row.1 + delay, *row));
        }
        queues.iter_mut().for_each(|queue| queue.sort_unstable());
        let partitions: Vec<Vec<Row>> = queues.into_iter().map(|queue| queue.into_iter().map(|(_, row)| row).collect()).collect();
        let crashes = events.iter().any(|event| matches!(event, Event::Crash | Event::CrashBeforeCommit));
        for window in windows() {
            for emit in [Emit::Closed, Emit::Changes] {
                if emit == Emit::Changes && matches!(window, Window::Session { .. }) {
                    continue;
                }
                let mut host = Host::new(options(window, emit, Late::Reject), &partitions);
                run(&mut host, &events);
                let expected = naive(window, &rows);
                prop_assert_eq!(&host.table, &expected, "{:?} {:?}", window, emit);
                prop_assert_eq!(host.late, 0);
                if emit == Emit::Closed && !crashes {
                    // Those of the closing rows are closed by nobody.
                    prop_assert_eq!(host.written, expected.len(), "each closed window is written once");
                }
                let left = host.store.scan("p", None, usize::MAX).unwrap().len();
                let closers = CLOSER_WINDOWS[usize::from(matches!(window, Window::Hopping { .. }))];
                prop_assert_eq!(left, closers, "what is over is in the store no more");
            }
        }
    }

    #[test]
    fn late_rows_update_closed_windows_to_the_same_table_whatever_the_batches_and_crashes(
        rows in prop::collection::vec((0i64..3, -500i64..500, -100i64..100), 0..100),
        events in prop::collection::vec(event(), 0..60),
        emit in prop_oneof![Just(Emit::Closed), Just(Emit::Changes)],
    ) {
        // In their order, far out of `lateness`; three partitions.
        let partitions: Vec<Vec<Row>> = (0..3).map(|from| rows.iter().copied().skip(from).step_by(3).collect()).collect();
        let late = Late::Update { keep_for: Duration::from_micros(200) };
        for window in windows().into_iter().take(2) {
            let mut cut = Host::new(options(window, emit, late), &partitions);
            run(&mut cut, &events);
            let mut straight = Host::new(options(window, emit, late), &partitions);
            run(&mut straight, &[]);
            prop_assert_eq!(cut.table, straight.table);
        }
    }
}

/// Number of windows that the closing rows leave open: for windows of a fixed size or sessions, and for hopping ones.
const CLOSER_WINDOWS: [usize; 2] = [1, 3];

#[test]
fn a_failed_batch_leaves_groups_windows_and_time_as_they_were() {
    for window in windows() {
        let mut fold = empty(options(window, Emit::Changes, Late::Drop));
        add(&mut fold, 0, &[(1, 10, i64::MAX)]).1.unwrap();
        let times = fold.event_times();
        let (_, refused) = add(&mut fold, 0, &[(1, 20, 1), (2, 5_000, 1)]);
        assert_eq!(refused, Err(FoldError::Operator(OperatorError::Refused("overflow".to_owned()))), "{window:?}");
        assert_eq!(fold.event_times(), times);
        let sealed = fold.seal(&mut sum(), 1).unwrap();
        let starts = window.spans(10).unwrap().count();
        assert_eq!(sealed.emitted.iter().map(|emitted| emitted.rows).sum::<usize>(), starts, "{window:?}");
    }
}

#[test]
fn what_is_to_be_shown_again_and_is_over_before_is_shown_as_it_is_dropped() {
    let update = Late::Update { keep_for: Duration::from_micros(1_000) };
    for (emit, late) in [(Emit::Changes, Late::Drop), (Emit::Changes, update), (Emit::Closed, update)] {
        let mut fold = empty(options(windows()[0], emit, late));
        let shown = |fold: &mut Fold, flush| -> Vec<(i64, i64)> {
            let rows = fold.seal(&mut sum(), flush).unwrap().emitted.into_iter().map(|emitted| emitted.columns);
            let numbers = |column: &ArrayRef| column.as_primitive::<Int64Type>().values().to_vec();
            rows.flat_map(|columns| numbers(&columns[0]).into_iter().zip(numbers(&columns[3]))).collect()
        };
        add(&mut fold, 0, &[(1, 10, 5)]).1.unwrap();
        if emit == Emit::Closed {
            fold.windows().unwrap().watermark().see(Partition(0), 200);
            fold.windows().unwrap().watermark().advance();
        }
        assert_eq!(shown(&mut fold, 1), [(1, 5)]);
        // A new sink, say; and before a walk has come to the window, it is over.
        fold.touch_all();
        add(&mut fold, 0, &[(2, 10_000, 7)]).1.unwrap();
        let rows = shown(&mut fold, 2);
        assert!(rows.contains(&(1, 5)), "{rows:?}, {emit:?}, {late:?}");
    }
}

#[test]
fn open_windows_that_take_too_much_memory_stop_the_fold_with_what_to_do() {
    let mut fold = empty(options(windows()[0], Emit::Closed, Late::Drop));
    let store: Arc<dyn CheckpointStore> = Arc::new(MemoryStore::default());
    fold.keep(Keeping { memory: 1 << 16, ttl: None }, Backing::new(store, "p", true));
    let rows: Vec<Row> = (0..1_000).map(|key| (key, 0, 1)).collect();
    add(&mut fold, 0, &rows).1.unwrap();
    let error = add(&mut fold, 0, &rows).1.unwrap_err();
    assert!(error.to_string().contains("`state.memory`: raise it"), "{error}");
    // Once they are over, there is room again.
    fold.windows().unwrap().watermark().see(Partition(0), 1_000);
    fold.windows().unwrap().watermark().advance();
    fold.seal(&mut sum(), 1).unwrap();
    add(&mut fold, 0, &[(1, 1_000, 1)]).1.unwrap();
}

/// The rows of a seal: key and sum.
fn sealed(fold: &mut Fold, flush: u64) -> Vec<(i64, i64)> {
    let emitted = fold.seal(&mut sum(), flush).unwrap().emitted;
    let numbers = |column: &ArrayRef| column.as_primitive::<Int64Type>().values().to_vec();
    let pairs = |rows: crate::rows::Rows| numbers(&rows.columns[0]).into_iter().zip(numbers(&rows.columns[3]));
    emitted.into_iter().flat_map(|rows| pairs(rows).collect::<Vec<_>>()).collect()
}

/// Time is here, without any row that says so.
fn pass(fold: &mut Fold, time: i64) {
    let watermark = fold.windows().unwrap().watermark();
    watermark.see(Partition(0), time + LATENESS);
    watermark.advance();
}

#[test]
fn a_window_is_written_once_at_its_end_to_the_moment_and_its_end_waits_for_a_flush() {
    let update = Late::Update { keep_for: Duration::from_micros(1_000) };
    let mut fold = empty(options(windows()[0], Emit::Closed, update));
    add(&mut fold, 0, &[(1, 10, 5)]).1.unwrap();
    assert_eq!((fold.waiting(), sealed(&mut fold, 1)), (1, vec![]));
    pass(&mut fold, 99);
    assert_eq!((fold.waiting(), sealed(&mut fold, 2)), (0, vec![]));
    pass(&mut fold, 100);
    assert_eq!((fold.waiting(), sealed(&mut fold, 3)), (1, vec![(1, 5)]));
    // It is dropped, and that is no news of its rows.
    pass(&mut fold, 10_000);
    assert_eq!((fold.waiting(), sealed(&mut fold, 4)), (1, vec![]));
    assert_eq!(fold.waiting(), 0);
}

#[test]
fn where_changes_are_written_the_end_of_a_window_writes_none_and_what_is_gone_is_not_shown_again() {
    let mut fold = empty(options(windows()[0], Emit::Changes, Late::Drop));
    add(&mut fold, 0, &[(1, 10, 5)]).1.unwrap();
    assert_eq!(sealed(&mut fold, 1), [(1, 5)]);
    pass(&mut fold, 200);
    assert_eq!((fold.waiting(), sealed(&mut fold, 2)), (1, vec![]));
    fold.touch_all();
    while fold.is_refreshing() {
        fold.refresh(&mut sum()).unwrap();
    }
    assert_eq!((fold.waiting(), sealed(&mut fold, 3)), (0, vec![]), "nothing is left to be shown");
}

#[test]
fn groups_of_open_windows_take_more_memory_than_others_and_all_that_there_is_but_never_leave_it() {
    let rows: Vec<Row> = (0..1 << 10).map(|key| (key, 0, 1)).collect();
    let filled = |memory| {
        let mut fold = empty(options(windows()[0], Emit::Changes, Late::Drop));
        let store: Arc<dyn CheckpointStore> = Arc::new(MemoryStore::default());
        fold.keep(Keeping { memory, ttl: None }, Backing::new(store, "p", true));
        add(&mut fold, 0, &rows).1.unwrap();
        fold
    };
    let bytes = filled(usize::MAX).bytes();
    // A key of three columns, where it ends, its place in the table; a state; what is noted of each. Then its window and its timer.
    let without =
        3 * 9 + size_of::<usize>() + 5 + size_of::<Option<i64>>() + size_of::<Mark>() + size_of::<(u64, i32)>();
    let least = (without + size_of::<Span>() + size_of::<(i64, u32)>()) * rows.len();
    assert!(bytes >= least && bytes < 3 * least, "{bytes} for {least}");
    for (memory, has_room) in [(bytes, true), (bytes - 1, false)] {
        let mut fold = filled(memory);
        fold.seal(&mut sum(), 1).unwrap();
        fold.set_committed(1);
        assert!(!fold.is_over() && !fold.is_stuck());
        fold.evict();
        assert_eq!(fold.size().0, rows.len());
        assert_eq!(add(&mut fold, 0, &rows).1.is_ok(), has_room);
    }
}

#[test]
fn the_memory_of_windows_that_are_over_is_given_back_once_they_are_half_of_all() {
    let mut fold = empty(options(windows()[0], Emit::Closed, Late::Drop));
    let of = |keys: std::ops::Range<i64>, time| keys.map(|key| (key, time, 1)).collect::<Vec<Row>>();
    // 1,500 windows of 5,000 are over: too few. Then 3,500 of 5,000 are.
    for (keys, time) in [(1_500, 0), (2_000, 100), (1_500, 200)] {
        add(&mut fold, 0, &of(0..keys, time)).1.unwrap();
    }
    for (time, closed, kept) in [(100, 1_500, 5_000), (200, 2_000, 1_500)] {
        pass(&mut fold, time);
        assert_eq!((sealed(&mut fold, 1).len(), fold.size().0), (closed, kept));
    }
    pass(&mut fold, 10_000);
    assert_eq!(sealed(&mut fold, 1).len(), 1_500, "what is left has its windows still");
}
