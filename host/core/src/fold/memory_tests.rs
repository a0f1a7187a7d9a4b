//! Laws of what a fold takes of memory, and of what leaves it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::tests::{Away, Row, Totals, add, changed, flush, fold, kept, sum, totals};
use super::walk::WALK_GROUPS;
use super::*;
use crate::checkpoint::memory::MemoryStore;
use crate::checkpoint::{Checkpoint, CheckpointStore};

/// Groups of these numbers, each with a row of one.
fn groups(numbers: std::ops::Range<i64>) -> Vec<Row> {
    numbers.map(|number| (Some(number), None, 1)).collect()
}

fn numbers(totals: Totals) -> Vec<i64> {
    totals.into_keys().filter_map(|(number, _)| number).collect()
}

/// Returns the memory that the groups take which `fill` makes.
fn taken(fill: impl Fn(&mut Fold)) -> usize {
    let mut fold = kept(&Arc::new(MemoryStore::default()), usize::MAX, None);
    fill(&mut fold);
    fold.bytes()
}

#[test]
fn what_a_fold_says_that_it_takes_is_at_least_its_parts_and_not_far_more() {
    const GROUPS: i64 = 1 << 10;
    let mut fold = fold();
    add(&mut fold, &groups(0..GROUPS)).unwrap();
    // A key (two tags, a number), where it ends, its place in the table; a state; what is noted of each.
    let a_group =
        10 + size_of::<usize>() + 5 + size_of::<Option<[u8; 8]>>() + size_of::<Mark>() + size_of::<(u64, i32)>();
    let least = GROUPS as usize * a_group;
    let bytes = fold.bytes();
    assert!(bytes >= least && bytes < least * 3 / 2, "{bytes} for {least}");
}

#[test]
fn a_fold_may_take_all_of_its_memory_and_no_more() {
    let fill = |fold: &mut Fold| add(fold, &groups(0..100)).unwrap();
    let bytes = taken(fill);
    for (memory, over) in [(bytes, false), (bytes - 1, true)] {
        let mut fold = kept(&Arc::new(MemoryStore::default()), memory, None);
        fill(&mut fold);
        assert_eq!((fold.is_over(), fold.is_stuck()), (over, over), "nothing is committed");
    }
}

#[test]
fn a_quarter_of_the_memory_may_wait_for_a_flush_and_no_more() {
    let fill = |fold: &mut Fold| add(fold, &groups(0..100)).unwrap();
    let waits = taken(fill) / 100 * 100;
    for (memory, full) in [(waits * 4, false), (waits * 4 - 1, true)] {
        let mut fold = kept(&Arc::new(MemoryStore::default()), memory, None);
        fill(&mut fold);
        assert_eq!((fold.is_full(), fold.is_over()), (full, false));
    }
}

#[test]
fn a_fold_is_stuck_only_while_it_takes_too_much_and_nothing_of_it_is_committed() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, 1, None);
    assert!(!fold.is_stuck(), "there is nothing");
    add(&mut fold, &groups(0..4)).unwrap();
    assert!(fold.is_stuck());
    flush(&mut fold, &store, &mut Totals::new());
    assert!(!fold.is_stuck() && fold.is_over());
    let mut roomy = kept(&store, usize::MAX, None);
    add(&mut roomy, &groups(0..4)).unwrap();
    assert!(!roomy.is_stuck(), "there is room");
}

#[test]
fn a_fold_without_groups_is_never_stuck_and_gives_back_what_a_batch_took_that_was_not_taken_in() {
    let store = Arc::new(Away(true.into(), MemoryStore::default()));
    let mut fold = fold();
    let shared: Arc<dyn CheckpointStore> = Arc::clone(&store) as _;
    fold.keep(Keeping { memory: 1 << 12, ttl: None }, Backing::new(shared, "p", false));
    add(&mut fold, &groups(0..10_000)).unwrap_err();
    assert!(fold.size().0 == 0 && fold.is_over() && !fold.is_stuck(), "{} bytes", fold.bytes());
    fold.evict();
    assert!(!fold.is_over(), "{} bytes", fold.bytes());
    store.0.store(false, Ordering::Relaxed);
    add(&mut fold, &groups(0..2)).unwrap();
    assert_eq!(numbers(changed(&mut fold)), [0, 1]);
}

proptest! {
    #[test]
    fn groups_leave_memory_those_needed_longest_ago_first_if_a_quarter_may_and_none_that_changed(
        old in 1i64..40, new in 1i64..40, changes in 0i64..120, over in any::<bool>(),
    ) {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, if over { 1 } else { usize::MAX }, None);
        let mut table = Totals::new();
        add(&mut fold, &groups(0..old)).unwrap();
        add(&mut fold, &groups(100..100 + new)).unwrap();
        flush(&mut fold, &store, &mut table);
        add(&mut fold, &groups(200..200 + changes)).unwrap();
        fold.evict();
        let all = old + new + changes;
        let leave = if !over || (old + new) * 4 < all {
            0
        } else if (old + new) / 2 < old {
            old
        } else {
            old + new
        };
        prop_assert_eq!(fold.size(), ((all - leave) as usize, changes as usize));
        // Wherever they are, they count on.
        add(&mut fold, &[groups(0..old), groups(100..100 + new), groups(200..200 + changes)].concat()).unwrap();
        prop_assert!(changed(&mut fold).values().all(|total| *total == 2));
    }
}

#[test]
fn a_quarter_that_may_leave_memory_is_worth_a_copy_of_the_others_and_less_is_not() {
    for (committed, left) in [(24, 100), (25, 75)] {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, 1, None);
        add(&mut fold, &groups(0..committed)).unwrap();
        flush(&mut fold, &store, &mut Totals::new());
        add(&mut fold, &groups(committed..100)).unwrap();
        fold.evict();
        assert_eq!(fold.size().0, left);
    }
}

#[test]
fn a_walk_shows_each_group_once_wherever_it_is_and_one_that_leaves_memory_meanwhile_again() {
    let many = WALK_GROUPS as i64 * 2 + 100;
    for evicts in [false, true] {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, 1, None);
        let mut table = Totals::new();
        add(&mut fold, &groups(0..many)).unwrap();
        flush(&mut fold, &store, &mut table);
        let mut fold = kept(&store, if evicts { 1 } else { usize::MAX }, None);
        // All but some are in memory; those that leave it are before and after the group that the walk goes on at.
        add(&mut fold, &groups(0..many - 50)).unwrap();
        add(&mut fold, &groups(4_000..12_000)).unwrap();
        flush(&mut fold, &store, &mut table);
        fold.touch_all();
        let (mut shown, mut steps) = (vec![0; many as usize], 0);
        while fold.is_refreshing() {
            assert!(fold.is_showing());
            fold.refresh(&mut sum()).unwrap();
            let commits = fold.committed + 1;
            let sealed = fold.seal(&mut sum(), commits).unwrap();
            assert!(sealed.changes.is_empty(), "no state has changed");
            numbers(totals(sealed.emitted)).into_iter().for_each(|number| shown[number as usize] += 1);
            if steps == 0 {
                fold.evict();
                assert_eq!(fold.size().0, if evicts { 8_000 } else { many as usize - 50 });
            }
            steps += 1;
            assert!(steps < 10, "it goes round and round");
        }
        assert!(!fold.is_showing());
        let twice = if evicts { 4_000 } else { 0 };
        assert!(shown[..twice].iter().all(|times| *times == 2), "evicts: {evicts}");
        assert!(shown[twice..].iter().all(|times| *times == 1), "evicts: {evicts}");
    }
}

#[test]
fn states_are_read_for_many_groups_at_once_as_for_few() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, None);
    let many = groups(0..WALK_GROUPS as i64 * 2 + 100);
    add(&mut fold, &many).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    assert_eq!(store.head("p").unwrap(), Some(Checkpoint { commits: 1, ..Checkpoint::default() }));
    let mut fold = kept(&store, usize::MAX, None);
    add(&mut fold, &many).unwrap();
    assert!(changed(&mut fold).values().all(|total| *total == 2));
}
