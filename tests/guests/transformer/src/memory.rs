//! What an instance keeps between calls, which it must not depend on.

use std::cell::RefCell;

use crate::bindings::sluice::operator::types::Column;

/// An instance traps once it has seen more rows than this.
const STAMINA: u32 = 100;

/// What is kept of each call.
const LEAKED: usize = 2 << 20;

thread_local! {
    static ROWS: RefCell<u32> = const { RefCell::new(0) };
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static CALLS: RefCell<u32> = const { RefCell::new(0) };
}

/// Works well for a while.
pub fn tire(rows: u32) {
    let seen = ROWS.with_borrow_mut(|seen| {
        *seen += rows;
        *seen
    });
    assert!(seen <= STAMINA, "it is tired");
}

/// Gives nothing back.
pub fn leak() {
    KEPT.with_borrow_mut(|kept| kept.push(std::hint::black_box(vec![1; LEAKED])));
}

/// Makes the texts of every other call null.
pub fn remember(columns: &mut [Column]) {
    let calls = CALLS.with_borrow_mut(|calls| {
        *calls += 1;
        *calls
    });
    if calls.is_multiple_of(2)
        && let Some(last) = columns.last_mut()
    {
        let rows = last.offsets.len() / 4 - 1;
        last.validity = Some(vec![0; rows.div_ceil(8)]);
    }
}
