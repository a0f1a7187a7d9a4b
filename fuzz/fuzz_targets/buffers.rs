//! Whatever bytes a guest answers: they become a sound Arrow array of the planned kind and length, or are refused. Never a panic,
//! nor a read outside of them.
#![no_main]

use arrow_array::{Array, make_array};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sluice_core::Kind;

// The file itself, since its items are the runtime's own.
#[allow(dead_code, reason = "lending isn't what is fuzzed")]
#[rustfmt::skip]
#[path = "../../host/runtime/src/buffers.rs"]
mod buffers;

use buffers::{Answered, accept, accept_selection};

/// What a guest answers, and what it was asked.
#[derive(Debug, Arbitrary)]
struct Answer {
    kind: u8,
    rows: u16,
    /// The rows are as many as the offsets say.
    fitting: bool,
    validity: Option<Vec<u8>>,
    offsets: Vec<u8>,
    values: Vec<u8>,
}

impl Answer {
    /// Half of the time the rows are made to fit the buffers, so that more than lengths is tried.
    fn rows(&self, kind: Kind) -> usize {
        match kind {
            _ if !self.fitting => usize::from(self.rows),
            Kind::Utf8 | Kind::Binary => (self.offsets.len() / 4).saturating_sub(1),
            Kind::Boolean => self.values.len() * 8,
            Kind::Int64 | Kind::Float64 | Kind::Timestamp => self.values.len() / 8,
        }
    }
}

fuzz_target!(|answer: Answer| {
    let kind = Kind::ALL[usize::from(answer.kind) % Kind::ALL.len()];
    let rows = answer.rows(kind);
    let _ = accept_selection(&answer.offsets, rows);
    let Answer { validity, offsets, values, .. } = answer;
    let Ok(array) = accept(Answered { validity, offsets, values }, kind, rows) else { return };
    assert_eq!((array.len(), Kind::of(array.data_type())), (rows, Some(kind)));
    let data = array.to_data();
    data.validate_full().expect("a sound array");
    // Every value is read.
    assert_eq!(&make_array(data), &array);
});
