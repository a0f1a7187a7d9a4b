//! What the wasm boundary costs: the gift totals' operator in wasm and natively, by itself and within the whole job.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints what it saw")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use criterion::{Criterion, Throughput};
use sluice_bench::{Native, Pairs, ROWS, Written, job, pairs, run, wasm, wasm_without_deadlines};
use sluice_core::operator::{Columns, Operator};

/// How many pairs of batches the ratios are of: half a second or so each.
const ROUNDS: usize = 1_000;

type Work = fn(&Calls, &mut dyn Operator);

/// What `process` and `accumulate` are given for a batch.
struct Calls {
    gift_types: Vec<ArrayRef>,
    amounts: Vec<ArrayRef>,
    groups: Vec<i32>,
    states: Vec<ArrayRef>,
}

impl Calls {
    fn new() -> Calls {
        let numbers = || (0..10).cycle().take(ROWS);
        let column = || -> Vec<ArrayRef> { vec![Arc::new(Int64Array::from_iter_values(numbers().map(i64::from)))] };
        let states: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1; 10]))];
        Calls { gift_types: column(), amounts: column(), groups: numbers().collect(), states }
    }

    fn process(&self, operator: &mut dyn Operator) {
        operator.process(Columns { rows: ROWS, arrays: &self.gift_types }).expect("gift types are int64");
    }

    fn accumulate(&self, operator: &mut dyn Operator) {
        let values = Columns { rows: ROWS, arrays: &self.amounts };
        operator.accumulate(&self.groups, values, Columns { rows: 10, arrays: &self.states }).expect("sums are int64");
    }
}

fn operators() -> [(&'static str, Box<dyn Operator>); 2] {
    let (wasm, native) = (wasm(), Native::in_place_of(&wasm()));
    [("wasm", Box::new(wasm)), ("native", Box::new(native))]
}

fn calls(criterion: &mut Criterion) {
    let calls = Calls::new();
    let works: [(&str, Work); 2] = [("process", Calls::process), ("accumulate", Calls::accumulate)];
    for (call, work) in works {
        let mut group = criterion.benchmark_group(format!("boundary, {call}"));
        group.throughput(Throughput::Elements(ROWS as u64));
        for (name, mut operator) in operators() {
            group.bench_function(name, |bencher| bencher.iter(|| work(&calls, operator.as_mut())));
        }
        group.finish();
    }
}

fn whole_job(criterion: &mut Criterion, gifts: &Written) {
    let mut group = criterion.benchmark_group("boundary, whole gift job");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, mut chain) in [("wasm", job(wasm())), ("native", job(Native::in_place_of(&wasm())))] {
        group.bench_function(name, |bencher| bencher.iter(|| run(&mut chain, gifts)));
    }
    group.finish();
}

/// Wasm's time by the native one's, in pairs: what criterion can't say of benchmarks that run one after the other.
fn ratios(gifts: &Written) {
    let [(_, mut wasm_calls), (_, mut native_calls)] = operators();
    let calls = Calls::new();
    let both = |operator: &mut dyn Operator| {
        calls.process(operator);
        calls.accumulate(operator);
    };
    report("both calls", pairs(ROUNDS, || both(wasm_calls.as_mut()), || both(native_calls.as_mut())));
    let (mut in_wasm, mut native) = (job(wasm()), job(Native::in_place_of(&wasm())));
    report("whole gift job", pairs(ROUNDS, || run(&mut in_wasm, gifts), || run(&mut native, gifts)));
    let mut unwatched = job(wasm_without_deadlines());
    let watching = pairs(ROUNDS, || run(&mut in_wasm, gifts), || run(&mut unwatched, gifts));
    println!(
        "boundary, whole gift job: calls that end when their time is up, by those that don't: ratio {:.3}",
        watching.ratio
    );
}

fn report(what: &str, pairs: Pairs) {
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e9 / ROWS as f64;
    let (wasm, native) = (each(pairs.first), each(pairs.second));
    println!("boundary, {what}: wasm {wasm:.1} ns a row, native {native:.1}, ratio {:.3}", pairs.ratio);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let gifts = Written::gifts(ROWS);
    calls(&mut criterion);
    whole_job(&mut criterion, &gifts);
    criterion.final_summary();
    ratios(&gifts);
    println!("the whole gift job is decode, process, group and accumulate; its target is a ratio of at most 1.15");
}
