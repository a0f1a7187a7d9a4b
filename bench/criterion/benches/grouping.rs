//! The group of each row.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking, with what it saw")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice_bench::ROWS;
use sluice_core::Kind;
use sluice_core::fold::Groups;

/// Odd, so that multiplying by it walks over all keys without order.
const STEP: usize = 0x9E37_79B1;

fn keys(batch: usize, groups: usize) -> Vec<ArrayRef> {
    let key = |row: usize| i64::try_from((batch * ROWS + row).wrapping_mul(STEP) % groups).unwrap_or(i64::MAX);
    vec![Arc::new(Int64Array::from_iter_values((0..ROWS).map(key)))]
}

fn grouping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("grouping");
    group.throughput(Throughput::Elements(ROWS as u64));
    for count in [10, 1_000_000] {
        let batches: Vec<_> = (0..count / ROWS + 1).map(|batch| keys(batch, count)).collect();
        let mut groups = Groups::new(vec![Kind::Int64]);
        let mut of_row = Vec::new();
        let mut assign = |batch: &[ArrayRef]| groups.assign(batch, ROWS, &mut of_row).expect("keys are int64");
        batches.iter().for_each(|batch| assign(batch));
        let mut next = batches.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(format!("{count} groups")), |bencher| {
            bencher.iter(|| next.next().map(|batch| assign(batch)));
        });
    }
    group.finish();
}

criterion_group!(benches, grouping);
criterion_main!(benches);
