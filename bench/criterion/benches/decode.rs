//! JSON records into typed columns.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluice_bench::{Gifts, ROWS, columns};
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

fn decode(criterion: &mut Criterion) {
    let gifts = Gifts::generate(ROWS);
    let mut group = criterion.benchmark_group(format!("decode, {} bytes a record", gifts.bytes() / ROWS));
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, wanted) in [("5 columns", [true; 5]), ("2 of 5 columns", [false, true, true, false, false])] {
        let mut decoder = Decoder::new(&columns(&FIELDS), &wanted, Default::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let decoded = decoder.decode(&gifts, 0, ROWS);
                assert_eq!(decoded.batch.rows, ROWS);
                decoded
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
