//! JSON records into typed columns.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluice_bench::{ROWS, Written, columns, flat_view, nested_view};
use sluice_core::Kind;
use sluice_core::decode::Decoder;

/// Every field of a gift.
const FIELDS: [(&str, Kind); 5] = [
    ("user_id", Kind::Int64),
    ("gift_type", Kind::Int64),
    ("gift_total_amount", Kind::Int64),
    ("create_time", Kind::Utf8),
    ("update_time", Kind::Utf8),
];

/// The fields that a job reads of a view.
const OF_A_VIEW: [(&str, Kind); 2] = [("user_id", Kind::Int64), ("room_id", Kind::Int64)];

fn gifts(criterion: &mut Criterion) {
    let gifts = Written::gifts(ROWS);
    time(criterion, "gifts, 5 columns", &gifts, &FIELDS, &[true; 5]);
    time(criterion, "gifts, 2 of 5 columns", &gifts, &FIELDS, &[false, true, true, false, false]);
}

fn views(criterion: &mut Criterion) {
    time(criterion, "nested views, 2 columns", &Written::all(ROWS, nested_view), &OF_A_VIEW, &[true; 2]);
    time(criterion, "flat views, 2 columns", &Written::all(ROWS, flat_view), &OF_A_VIEW, &[true; 2]);
}

fn time(criterion: &mut Criterion, name: &str, records: &Written, fields: &[(&str, Kind)], wanted: &[bool]) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut decoder = Decoder::new(&columns(fields), wanted, Default::default());
    group.bench_function(format!("{name}, {} bytes a record", records.bytes() / ROWS), |bencher| {
        bencher.iter(|| {
            let decoded = decoder.decode(records, 0, ROWS);
            assert_eq!(decoded.batch.rows, ROWS);
            decoded
        });
    });
    group.finish();
}

criterion_group!(benches, gifts, views);
criterion_main!(benches);
