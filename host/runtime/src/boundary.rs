//! The one file that knows both sides: the types generated from `wit/`, and the core's.
//!
//! It converts and calls, and judges nothing: what a guest answered comes out as it was, to be checked by
//! [`plan`](crate::plan) and [`buffers`](crate::buffers). The outer result is wasmtime's (a trap, a limit, an answer
//! that can't be read), the inner one the operator's own word.
//!
//! Each version of the contract has types of its own: [`calls`] has the calls, [`kinds`] what differs.

mod calls;
mod kinds;

use sluice_core::Field;
use sluice_core::operator::{FoldPlan, Rejection, TransformPlan};
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store};

use crate::anatomy::{Contract, World};
use crate::buffers::{Answered, Lent};
use crate::generated;
use crate::guest::Guest;

type GuestResult<T> = wasmtime::Result<Result<T, String>>;

/// The linker of what operators may import: everything of the contract's versions, and nothing else.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    generated::v0_1::Aggregator::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    generated::v0_2::Aggregator::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// The indices of an artifact's exports, looked up by name once.
pub(crate) enum ExportIndices {
    V0_1(calls::v0_1::Indices),
    V0_2(calls::v0_2::Indices),
}

impl ExportIndices {
    pub(crate) fn new(pre: &InstancePre<Guest>, contract: Contract, world: World) -> wasmtime::Result<ExportIndices> {
        Ok(match contract {
            Contract::V0_1 => ExportIndices::V0_1(calls::v0_1::Indices::new(pre, world)?),
            Contract::V0_2 => ExportIndices::V0_2(calls::v0_2::Indices::new(pre, world)?),
        })
    }

    /// An error says that an export has another type than the contract's.
    pub(crate) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Box<dyn Exports>> {
        Ok(match self {
            ExportIndices::V0_1(indices) => Box::new(indices.load(store, instance)?),
            ExportIndices::V0_2(indices) => Box::new(indices.load(store, instance)?),
        })
    }
}

/// The answer of `process`, unchecked.
pub(crate) struct Processed {
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Answered>,
    pub(crate) selection: Option<Vec<u8>>,
    pub(crate) rejected: Vec<Rejection>,
}

/// Columns to lend, and their rows.
pub(crate) struct LentBatch {
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Lent>,
}

/// The functions of one instance, whatever version of the contract they are of.
pub(crate) trait Exports: Send {
    fn open_transform(&self, store: &mut Store<Guest>, config: &str, input: &[Field]) -> GuestResult<TransformPlan>;

    fn open_fold(&self, store: &mut Store<Guest>, config: &str, input: &[Field]) -> GuestResult<FoldPlan>;

    fn process(&self, store: &mut Store<Guest>, input: &LentBatch) -> GuestResult<Processed>;

    fn accumulate(
        &self,
        store: &mut Store<Guest>,
        groups: &[i32],
        values: &LentBatch,
        states: &LentBatch,
    ) -> GuestResult<Vec<Answered>>;

    fn merge(&self, store: &mut Store<Guest>, left: &LentBatch, right: &LentBatch) -> GuestResult<Vec<Answered>>;

    fn emit(&self, store: &mut Store<Guest>, states: &LentBatch) -> GuestResult<Vec<Answered>>;

    fn migrate(
        &self,
        store: &mut Store<Guest>,
        version: u32,
        state: &[Field],
        states: &LentBatch,
    ) -> GuestResult<Vec<Answered>>;
}
