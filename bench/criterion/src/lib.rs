//! What the benchmarks measure with: the gift job in a thread, with its operator in wasm or natively.
//!
//! ```text
//! gifts (8,192 records) ──▶ Chain: decode ──▶ gift_sum ──▶ groups, states
//!                                             │ dist/operators/gift_sum.wasm, through the runtime
//!                                             └ Native: the same crate's code, linked into the process
//! ```
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking, with what it saw")]

mod native;
mod pairs;
mod views;
mod written;

use sluice_core::chain::{Chain, Step};
use sluice_core::operator::Operator;
use sluice_core::{Field, Kind};
use sluice_runtime::{Instance, Limits, Runtime, RuntimeConfig};

pub use native::Native;
pub use pairs::{Pairs, pairs};
pub use views::{flat_view, nested_view};
pub use written::{Written, columns};

/// The host's: glibc's costs more than the work on the rows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The rows of a batch: the host's default.
pub const ROWS: usize = 8_192;

/// The columns that the gift job's pipeline declares.
pub const JOB_COLUMNS: [(&str, Kind); 2] = [("gift_type", Kind::Int64), ("gift_total_amount", Kind::Int64)];

/// The shipped operator, on the gift job's columns, as the service runs it.
pub fn wasm() -> Instance {
    open(RuntimeConfig::default())
}

/// The same without what ends calls whose time is up.
pub fn wasm_without_deadlines() -> Instance {
    open(RuntimeConfig { deadlines: false, ..RuntimeConfig::default() })
}

fn open(config: RuntimeConfig) -> Instance {
    let bytes = std::fs::read("../../dist/operators/gift_sum.wasm")
        .expect("dist/operators/gift_sum.wasm is there: run `make build`");
    let runtime = Runtime::new(config).expect("the runtime starts");
    let artifact = runtime.compile(&bytes).expect("gift_sum.wasm is an operator");
    let fields = JOB_COLUMNS.map(|(name, kind)| Field::new(name, kind));
    artifact.open("{}", &fields, &Limits::default(), "gift_sum").expect("gift_sum takes the gift job's columns")
}

/// The gift job's chain, with this operator.
pub fn job(operator: impl Operator + 'static) -> Chain {
    let step = Step::Operator { name: "gift_sum".to_owned(), instance: Box::new(operator) };
    Chain::new(&columns(&JOB_COLUMNS), Default::default(), vec![step]).expect("the gift job is a chain")
}

/// Takes a batch of records through the gift job.
pub fn run(chain: &mut Chain, gifts: &Written) {
    let outcome = chain.process(gifts, 0, ROWS).expect("gifts are what the job takes");
    assert!(outcome.next == ROWS && outcome.rejected.is_empty(), "every gift is summed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_job_and_the_one_in_wasm_sum_the_same() {
        let gifts = Written::gifts(ROWS);
        let native = Native::in_place_of(&wasm());
        let [wasm, native] = [job(wasm()), job(native)].map(|mut chain| {
            (0..3).for_each(|_| run(&mut chain, &gifts));
            chain.seal(1).expect("sums are emitted").rows
        });
        let sums = |emitted: &[sluice_core::rows::Rows]| format!("{:?}", emitted[0].columns);
        assert!(wasm[0].rows > 1);
        assert_eq!(sums(&wasm), sums(&native));
    }
}
