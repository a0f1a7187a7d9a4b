//! Laws of time: how it is cut, and that closed windows depend on the rows alone.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::interval::Partition;

const LATENESS: i64 = 50;
const FOREVER: Duration = Duration::from_secs(1 << 40);

fn length(micros: i64) -> Length {
    Length::try_from(micros).unwrap()
}

fn tumbling(size: i64) -> Window {
    Window::Tumbling { size: length(size) }
}

fn spans(window: Window, time: i64) -> Vec<Span> {
    window.spans(time).unwrap().collect()
}

fn options(window: Window, late: Late) -> WindowOptions {
    let lateness = Duration::from_micros(LATENESS as u64);
    WindowOptions { window, lateness, idle_after: FOREVER, emit: Emit::Closed, late }
}

proptest! {
    #[test]
    fn tumbling_windows_cover_each_instant_exactly_once(size in 1i64..1_000_000, time in any::<i64>()) {
        let window = tumbling(size);
        let Some(spans) = window.spans(time) else {
            prop_assert!(time < i64::MIN + size || time > i64::MAX - size, "only next to the ends of time");
            return Ok(());
        };
        let spans: Vec<_> = spans.collect();
        prop_assert_eq!(spans.len(), 1);
        let span = spans[0];
        prop_assert!(span.start <= time && time < span.end && span.end - span.start == size);
        prop_assert_eq!(span.start.rem_euclid(size), 0);
        // The neighbours of the span's edges are in the next span and in the one before.
        for (edge, start) in [(span.end, Some(span.end)), (span.start.saturating_sub(1), span.start.checked_sub(size))] {
            let neighbour = window.spans(edge).and_then(|mut spans| spans.next());
            prop_assert!(neighbour.is_none_or(|neighbour| Some(neighbour.start) == start));
        }
    }

    #[test]
    fn each_instant_is_in_size_by_every_hopping_windows(every in 1i64..1_000_000, times in 1..=MAX_OVERLAP, time in -1i64 << 60..1 << 60) {
        let size = every * times;
        let spans = spans(Window::hopping(length(size), length(every)).unwrap(), time);
        prop_assert_eq!(spans.len() as i64, times);
        for (i, span) in spans.iter().enumerate() {
            prop_assert!(span.start <= time && time < span.end && span.end - span.start == size);
            prop_assert_eq!(span.start.rem_euclid(every), 0);
            prop_assert!(i == 0 || span.start == spans[i - 1].start + every);
        }
    }

    #[test]
    fn no_time_makes_a_span_overflow(size in 1..i64::MAX, times in 1..=MAX_OVERLAP, time in any::<i64>()) {
        let every = (size / times).max(1);
        for window in [
            tumbling(size),
            Window::Hopping { size: length(every * times.min(i64::MAX / every)), every: length(every) },
            Window::Session { gap: length(size) },
        ] {
            for span in window.spans(time).into_iter().flatten() {
                prop_assert!(span.start <= time && time < span.end);
            }
        }
    }

    #[test]
    fn a_watermark_never_goes_back_also_over_restarts(
        steps in prop::collection::vec((0i32..4, -1_000i64..1_000, 0u8..6), 1..200),
    ) {
        let new = || Watermark::new(Duration::from_micros(7), Duration::from_secs(3));
        let mut watermark = new();
        let mut last = None;
        for (now, (partition, time, what)) in (0..).map(Duration::from_secs).zip(steps) {
            let partition = Partition(partition);
            match what {
                0 => watermark.at_end(partition, now),
                1 => watermark.behind(partition),
                2 => watermark.expect(partition),
                3 => {
                    let times = watermark.times();
                    watermark = new();
                    watermark.resume(&times);
                    prop_assert_eq!(watermark.passed(), last, "a restart changes nothing");
                }
                _ => watermark.see(partition, time),
            }
            let passed = watermark.advance();
            prop_assert!(passed >= last);
            prop_assert!(watermark.of(partition) >= passed);
            last = passed;
        }
    }

    #[test]
    fn rows_in_any_order_within_lateness_in_any_batches_over_any_partitions_close_the_same_windows(
        rows in prop::collection::vec((0u8..3, -2_000i64..2_000), 0..200),
        shuffle in shuffle(),
    ) {
        for window in windows() {
            let mut run = Run::new(options(window, Late::Reject));
            shuffle.feed(&rows, &mut run);
            run.end();
            prop_assert_eq!(run.late, 0, "{:?}", window);
            prop_assert_eq!(run.closed, naive(window, &rows), "{:?}", window);
        }
    }

    #[test]
    fn which_rows_are_late_is_the_same_in_any_batches_and_interleaving(
        rows in prop::collection::vec((0u8..3, -2_000i64..2_000), 0..100),
        cuts in prop::collection::vec((0usize..3, 1usize..20), 1..40),
        late in prop_oneof![Just(Late::Drop), Just(Late::Update { keep_for: Duration::from_micros(150) })],
    ) {
        for window in windows().into_iter().filter(|window| late == Late::Drop || !matches!(window, Window::Session { .. })) {
            // Rows in their order, far out of `lateness`, in three partitions.
            let queue = |partition: usize| rows.iter().copied().skip(partition).step_by(3).collect::<Vec<_>>();
            let mut one_by_one = Run::new(options(window, late));
            (0..3).for_each(|partition| queue(partition).iter().for_each(|row| one_by_one.batch(&[(partition, *row)])));
            let mut cut = Run::new(options(window, late));
            let mut queues = [queue(0), queue(1), queue(2)];
            for (partition, size) in cuts.iter().copied().chain((0..3).map(|partition| (partition, rows.len()))) {
                let batch: Vec<_> = queues[partition].drain(..size.min(queues[partition].len())).collect();
                cut.batch(&batch.into_iter().map(|row| (partition, row)).collect::<Vec<_>>());
            }
            for run in [&mut one_by_one, &mut cut] {
                run.end();
            }
            prop_assert_eq!(one_by_one.late, cut.late);
            prop_assert_eq!(one_by_one.closed, cut.closed);
        }
    }
}

/// Each group's windows and how many rows they have.
type Counts = BTreeMap<(u8, Span), usize>;

fn windows() -> [Window; 3] {
    [tumbling(100), Window::hopping(length(300), length(100)).unwrap(), Window::Session { gap: length(60) }]
}

fn naive(window: Window, rows: &[(u8, i64)]) -> Counts {
    let mut counts = Counts::new();
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    for (key, time) in sorted {
        let Window::Session { gap } = window else {
            spans(window, time).into_iter().for_each(|span| *counts.entry((key, span)).or_default() += 1);
            continue;
        };
        // In the order of time a row goes on with the key's last session, or begins the next.
        let last = counts.range((key, Span { start: i64::MIN, end: 0 })..).take_while(|((k, _), _)| *k == key).last();
        let (mut span, mut count) =
            last.map_or((Span { start: time, end: time }, 0), |((_, span), count)| (*span, *count));
        if time < span.end {
            counts.remove(&(key, span));
        } else {
            (span, count) = (Span { start: time, end: time }, 0);
        }
        counts.insert((key, Span { start: span.start, end: time + gap.micros() }), count + 1);
    }
    counts
}

/// A fold that counts, made of the parts alone.
struct Run {
    windows: Windows,
    sessions: Sessions,
    timers: Timers<(u8, Span)>,
    counts: Counts,
    closed: Counts,
    late: usize,
}

impl Run {
    fn new(options: WindowOptions) -> Run {
        let mut windows = Windows::new(options);
        (0..3).for_each(|partition| windows.watermark().expect(Partition(partition)));
        let (sessions, timers) = (Sessions::default(), Timers::default());
        Run { windows, sessions, timers, counts: Counts::new(), closed: Counts::new(), late: 0 }
    }

    fn batch(&mut self, batch: &[(usize, (u8, i64))]) {
        let rows = batch.iter().map(|(partition, (_, time))| (Partition(*partition as i32), Some(*time)));
        let placed = self.windows.place(rows);
        let session = matches!(self.windows.options().window, Window::Session { .. });
        for (row, span) in placed.rows.iter().zip(placed.spans) {
            let (_, (key, _)) = batch[*row as usize];
            let span = if session { self.join(key, span) } else { span };
            *self.counts.entry((key, span)).or_default() += 1;
            self.timers.set(span.end.saturating_add(self.windows.options().keep_for()), (key, span));
        }
        self.late += placed.late;
        *self.windows.watermark() = placed.watermark;
        if let Some(watermark) = self.windows.watermark().advance() {
            self.close(watermark);
        }
    }

    fn join(&mut self, key: u8, span: Span) -> Span {
        let joined = self.sessions.join(&[key], vec![span]);
        let (session, moved) = (joined.session_of(span), !joined.moves.is_empty());
        for (from, to) in joined.moves {
            self.sessions.close(&[key], from);
            let count = self.counts.remove(&(key, from)).unwrap();
            self.timers.cancel(from.end, (key, from));
            *self.counts.entry((key, to)).or_default() += count;
        }
        if !self.counts.contains_key(&(key, session)) || moved {
            self.sessions.open(&[key], session);
        }
        session
    }

    fn close(&mut self, watermark: i64) {
        for (key, span) in self.timers.due(watermark).copied().collect::<Vec<_>>() {
            self.timers.cancel(span.end.saturating_add(self.windows.options().keep_for()), (key, span));
            let count = self.counts.remove(&(key, span)).unwrap();
            assert_eq!(self.closed.insert((key, span), count), None, "a window closes once");
            self.sessions.close(&[key], span);
        }
    }

    fn end(&mut self) {
        self.close(i64::MAX);
        assert!(self.counts.is_empty(), "nothing is left");
    }
}

/// A way to bring rows: to which partition each goes, by how much it is held up there, and how batches are cut.
#[derive(Debug)]
struct Shuffle {
    routes: Vec<(usize, i64)>,
    cuts: Vec<(usize, usize)>,
}

fn shuffle() -> impl Strategy<Value = Shuffle> {
    let routes = prop::collection::vec((0usize..3, 0..LATENESS), 200);
    let cuts = prop::collection::vec((0usize..3, 1usize..20), 1..40);
    (routes, cuts).prop_map(|(routes, cuts)| Shuffle { routes, cuts })
}

impl Shuffle {
    fn feed(&self, rows: &[(u8, i64)], run: &mut Run) {
        let mut queues = vec![Vec::new(); 3];
        for (row, (partition, delay)) in rows.iter().zip(&self.routes) {
            queues[*partition].push((row.1 + delay, *row));
        }
        queues.iter_mut().for_each(|queue| queue.sort_unstable());
        let rest = (0..3).map(|partition| (partition, rows.len()));
        // Batches of two partitions each, so that the places of partitions within a batch vary too.
        for (partition, size) in self.cuts.iter().copied().chain(rest) {
            let mut batch = Vec::new();
            for (from, size) in [(partition, size), ((partition + 1) % 3, size / 2)] {
                let size = size.min(queues[from].len());
                batch.extend(queues[from].drain(..size).map(|(_, row)| (from, row)));
            }
            run.batch(&batch);
        }
    }
}

fn watermark_at(partition: i32, watermark: &mut Watermark, time: i64) -> Option<i64> {
    watermark.see(Partition(partition), time);
    watermark.advance()
}

#[test]
fn a_silent_partition_holds_the_watermark_until_it_had_nothing_to_read_for_idle_after() {
    let mut watermark = Watermark::new(Duration::ZERO, Duration::from_secs(60));
    let seconds = Duration::from_secs;
    watermark.expect(Partition(1));
    assert_eq!(watermark_at(0, &mut watermark, 100), None, "nothing is known of partition 1");
    watermark.at_end(Partition(1), seconds(5));
    watermark.at_end(Partition(1), seconds(64));
    assert_eq!(watermark.advance(), None);
    watermark.at_end(Partition(1), seconds(65));
    assert_eq!(watermark.advance(), Some(100), "idle");
    assert_eq!(watermark_at(1, &mut watermark, 40), Some(100), "what is passed stays passed");
    assert_eq!(watermark_at(0, &mut watermark, 200), Some(100), "partition 1 counts again");
    assert_eq!(watermark_at(1, &mut watermark, 150), Some(150));
}

#[test]
fn a_partition_with_records_to_read_is_never_idle_however_long_they_take() {
    let mut watermark = Watermark::new(Duration::ZERO, Duration::from_secs(60));
    watermark.at_end(Partition(1), Duration::ZERO);
    watermark.behind(Partition(1));
    watermark.at_end(Partition(1), Duration::from_secs(100));
    assert_eq!(watermark_at(0, &mut watermark, 100), None);
    watermark.at_end(Partition(1), Duration::from_secs(160));
    watermark.unknown();
    assert_eq!(watermark.advance(), None, "an outage proves no silence");
}

#[test]
fn where_all_partitions_are_idle_the_greatest_of_their_times_counts() {
    let mut watermark = Watermark::new(Duration::from_micros(10), Duration::ZERO);
    watermark.expect(Partition(1));
    watermark_at(0, &mut watermark, 100);
    watermark_at(1, &mut watermark, 50);
    assert_eq!(watermark.advance(), Some(40));
    (0..2).for_each(|partition| watermark.at_end(Partition(partition), Duration::ZERO));
    assert_eq!(watermark.advance(), Some(90));
}

#[test]
fn a_late_row_counts_in_those_of_its_windows_that_are_still_open() {
    let window = Window::hopping(length(200), length(100)).unwrap();
    let mut run = Run::new(options(window, Late::Drop));
    // By 300 less 50, [0, 200) is over; [100, 300) isn't.
    run.batch(&[(0, (0, 300)), (0, (0, 199)), (0, (0, 99))]);
    run.end();
    let counted: Vec<_> = run.closed.iter().map(|((_, span), count)| (span.start, *count)).collect();
    assert_eq!(counted, [(100, 1), (200, 1), (300, 1)]);
    assert_eq!(run.late, 2);
}

#[test]
fn a_row_without_a_time_or_at_the_ends_of_time_is_in_no_window_and_says_why() {
    let windows = Windows::new(options(tumbling(7), Late::Drop));
    let rows = [None, Some(i64::MAX), Some(i64::MIN), Some(0)].map(|time| (Partition(0), time));
    let placed = windows.place(rows.into_iter());
    let unplaced = [(0, Unplaced::NoTime), (1, Unplaced::BeyondTime), (2, Unplaced::BeyondTime)];
    assert_eq!((placed.unplaced, placed.rows, placed.late), (unplaced.to_vec(), vec![3], 0));
}

#[test]
fn sessions_less_than_the_gap_apart_grow_together_and_others_stay_as_they_are() {
    let span = |start, end| Span { start, end };
    let mut sessions = Sessions::default();
    [span(20, 30), span(0, 10), span(50, 60)].into_iter().for_each(|session| sessions.open(b"k", session));
    let joined = sessions.join(b"k", vec![span(9, 19), span(19, 29)]);
    assert_eq!(joined.sessions, [span(0, 19), span(19, 30), span(50, 60)]);
    assert_eq!(joined.moves, [(span(0, 10), span(0, 19)), (span(20, 30), span(19, 30))]);
    assert_eq!(sessions.join(b"other", vec![span(5, 15)]).sessions, [span(5, 15)]);
    assert_eq!(sessions.join(b"k", vec![span(5, 25)]).moves.len(), 2, "two become one");
}

#[test]
fn a_size_that_is_no_whole_multiple_of_every_is_refused() {
    for (size, every) in [(10, 3), (3, 10), (65, 1)] {
        assert!(Window::hopping(length(size), length(every)).is_err(), "{size} {every}");
    }
}

#[test]
fn a_row_counts_in_the_windows_that_are_open_is_late_for_the_others_and_at_fault_only_where_it_counts_in_none() {
    let keep = |micros| Late::Update { keep_for: Duration::from_micros(micros) };
    let hopping = Window::hopping(length(300), length(100)).unwrap();
    let starts = |from: i64| vec![from, from + 100, from + 200];
    // After a row at 1,050 the partition's moment is 1,000.
    for (window, late, time, expected, is_late, at_fault) in [
        (tumbling(100), Late::Drop, 1_000, vec![1_000], false, false),
        (tumbling(100), Late::Reject, 1_000, vec![1_000], false, false),
        (tumbling(100), Late::Drop, 999, vec![], true, false),
        (tumbling(100), Late::Reject, 999, vec![], true, true),
        (tumbling(100), keep(1), 999, vec![900], true, false),
        (tumbling(100), keep(100), 899, vec![], true, true),
        (tumbling(100), keep(101), 899, vec![800], true, false),
        (hopping, Late::Reject, 1_000, starts(800), false, false),
        (hopping, Late::Reject, 999, vec![800, 900], true, false),
        (hopping, Late::Reject, 799, vec![], true, true),
        (hopping, keep(100), 999, starts(700), true, false),
        (Window::Session { gap: length(60) }, Late::Reject, 1_000, vec![1_000], false, false),
        (Window::Session { gap: length(60) }, Late::Reject, 999, vec![], true, true),
    ] {
        let mut windows = Windows::new(options(window, late));
        windows.watermark().see(Partition(0), 1_050);
        let placed = windows.place([(Partition(0), Some(time))].into_iter());
        let found: Vec<i64> = placed.spans.iter().map(|span| span.start).collect();
        assert_eq!((found, placed.late), (expected, usize::from(is_late)), "{window:?} {late:?} {time}");
        let fault = if at_fault { vec![(0, Unplaced::Late)] } else { vec![] };
        assert_eq!((placed.unplaced, placed.rows.len()), (fault, placed.spans.len()), "{window:?} {late:?} {time}");
    }
}

#[test]
fn sessions_that_become_one_are_merged_the_earliest_first_in_whatever_order_they_were_opened() {
    let span = |start, end| Span { start, end };
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let all = [span(0, 10), span(10, 20), span(30, 40)];
        let mut sessions = Sessions::default();
        order.iter().for_each(|place| sessions.open(b"k", all[*place]));
        let joined = sessions.join(b"k", vec![span(5, 35)]);
        assert_eq!((joined.sessions, joined.moves), (vec![span(0, 40)], all.map(|from| (from, span(0, 40))).to_vec()));
    }
}

#[test]
fn a_span_that_was_not_joined_is_a_session_of_its_own_also_right_after_another() {
    let span = |start, end| Span { start, end };
    let joined = Sessions::default().join(b"k", vec![span(0, 10), span(5, 15)]);
    assert_eq!(
        [span(3, 5), span(14, 20), span(15, 20)].map(|of| joined.session_of(of)),
        [span(0, 15), span(0, 15), span(15, 20)]
    );
}

#[test]
fn a_length_is_at_least_a_microsecond_and_spans_are_shown_with_their_bounds() {
    assert!(Length::try_from(0).is_err() && Length::try_from(Duration::from_nanos(999)).is_err());
    for micros in [1, 7, i64::MAX] {
        assert_eq!((length(micros).micros(), i64::from(length(micros))), (micros, micros));
    }
    assert_eq!(Span { start: 3, end: 7 }.to_string(), "[3, 7)");
}

proptest! {
    #[test]
    fn timers_are_due_from_their_end_on_the_earliest_first(
        ends in prop::collection::vec((0i64..20, 0u8..5), 0..10), cancelled in 0usize..10, now in 0i64..20,
    ) {
        let mut timers = Timers::default();
        ends.iter().for_each(|(end, what)| timers.set(*end, *what));
        let mut expected: std::collections::BTreeSet<(i64, u8)> = ends.iter().copied().collect();
        if let Some((end, what)) = ends.get(cancelled) {
            timers.cancel(*end, *what);
            expected.remove(&(*end, *what));
        }
        expected.retain(|(end, _)| *end <= now);
        prop_assert_eq!(timers.is_due(now), !expected.is_empty());
        prop_assert_eq!(timers.due(now).copied().collect::<Vec<_>>(), expected.into_iter().map(|(_, what)| what).collect::<Vec<_>>());
    }
}
