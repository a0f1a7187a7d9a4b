//! The one file that knows both sides: the types generated from `wit/`, and the core's.
//!
//! It converts and calls, and judges nothing: what a guest answered comes out as it was, to be checked by
//! [`plan`](crate::plan) and [`buffers`](crate::buffers). The outer result is wasmtime's (a trap, a limit, an answer
//! that can't be read), the inner one the operator's own word.

use sluice_core::operator::{FoldPlan, Origin, Rejection, TransformPlan};
use sluice_core::{Field, Kind};
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store};

use crate::anatomy::World;
use crate::buffers::{Answered, Lent, group_bytes};
use crate::generated::Aggregator;
use crate::generated::exports::sluice::operator::{fold, transform};
use crate::generated::sluice::operator::types;
use crate::guest::Guest;

type GuestResult<T> = wasmtime::Result<Result<T, String>>;

/// The linker of what operators may import: everything of the contract, and nothing else.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    Aggregator::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// The indices of an artifact's exports, looked up by name once.
pub(crate) struct ExportIndices {
    transform: transform::GuestIndices,
    fold: Option<fold::GuestIndices>,
}

impl ExportIndices {
    pub(crate) fn new(pre: &InstancePre<Guest>, world: World) -> wasmtime::Result<ExportIndices> {
        let fold = match world {
            World::Transformer => None,
            World::Aggregator => Some(fold::GuestIndices::new(pre)?),
        };
        Ok(ExportIndices { transform: transform::GuestIndices::new(pre)?, fold })
    }

    /// An error says that an export has another type than the contract's.
    pub(crate) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Exports> {
        let fold = self.fold.as_ref().map(|fold| fold.load(&mut *store, instance)).transpose()?;
        Ok(Exports { transform: self.transform.load(store, instance)?, fold })
    }
}

/// The functions of one instance.
pub(crate) struct Exports {
    transform: transform::Guest,
    fold: Option<fold::Guest>,
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

impl Exports {
    fn fold(&self) -> wasmtime::Result<&fold::Guest> {
        self.fold.as_ref().ok_or_else(|| wasmtime::format_err!("it is a transformer, which has no fold"))
    }

    pub(crate) fn open_transform(
        &self,
        store: &mut Store<Guest>,
        config: &str,
        input: &[Field],
    ) -> GuestResult<TransformPlan> {
        let answer = self.transform.call_open(store, config, &lent_fields(input))?;
        Ok(answer.map(|plan| TransformPlan {
            reads: plan.reads.into_iter().map(index).collect(),
            outputs: plan.outputs.into_iter().map(|output| (output.name, origin(output.origin))).collect(),
        }))
    }

    pub(crate) fn open_fold(&self, store: &mut Store<Guest>, config: &str, input: &[Field]) -> GuestResult<FoldPlan> {
        let answer = self.fold()?.call_open(store, config, &lent_fields(input))?;
        Ok(answer.map(|plan| FoldPlan {
            keys: plan.keys.into_iter().map(index).collect(),
            values: plan.values.into_iter().map(index).collect(),
            state: plan.state.into_iter().map(answered_field).collect(),
            state_version: plan.state_version,
            outputs: plan.outputs.into_iter().map(answered_field).collect(),
        }))
    }

    pub(crate) fn process(&self, store: &mut Store<Guest>, input: &LentBatch) -> GuestResult<Processed> {
        let answer = self.transform.call_process(store, batch(input.rows, &columns(input)))?;
        Ok(answer.map(|produced| Processed {
            rows: produced.rows,
            columns: answered(produced.columns),
            selection: produced.selection,
            rejected: produced.rejected.into_iter().map(|r| Rejection { row: r.row, reason: r.reason }).collect(),
        }))
    }

    pub(crate) fn accumulate(
        &self,
        store: &mut Store<Guest>,
        groups: &[i32],
        values: &LentBatch,
        states: &LentBatch,
    ) -> GuestResult<Vec<Answered>> {
        let (value_columns, state_columns) = (columns(values), columns(states));
        let (values, states) = (batch(values.rows, &value_columns), batch(states.rows, &state_columns));
        converted(self.fold()?.call_accumulate(store, group_bytes(groups), values, states))
    }

    pub(crate) fn merge(
        &self,
        store: &mut Store<Guest>,
        left: &LentBatch,
        right: &LentBatch,
    ) -> GuestResult<Vec<Answered>> {
        let (left_columns, right_columns) = (columns(left), columns(right));
        let (left, right) = (batch(left.rows, &left_columns), batch(right.rows, &right_columns));
        converted(self.fold()?.call_merge(store, left, right))
    }

    pub(crate) fn emit(&self, store: &mut Store<Guest>, states: &LentBatch) -> GuestResult<Vec<Answered>> {
        converted(self.fold()?.call_emit(store, batch(states.rows, &columns(states))))
    }

    pub(crate) fn migrate(
        &self,
        store: &mut Store<Guest>,
        version: u32,
        state: &[Field],
        states: &LentBatch,
    ) -> GuestResult<Vec<Answered>> {
        let columns = columns(states);
        let states = batch(states.rows, &columns);
        converted(self.fold()?.call_migrate(store, version, &lent_fields(state), states))
    }
}

fn index(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn origin(origin: transform::Origin) -> Origin {
    match origin {
        transform::Origin::Input(column) => Origin::Input(index(column)),
        transform::Origin::Computed(kind) => Origin::Computed(core_kind(kind)),
    }
}

fn core_kind(kind: types::Kind) -> Kind {
    match kind {
        types::Kind::Boolean => Kind::Boolean,
        types::Kind::Int64 => Kind::Int64,
        types::Kind::Float64 => Kind::Float64,
        types::Kind::Utf8 => Kind::Utf8,
        types::Kind::Binary => Kind::Binary,
        types::Kind::Timestamp => Kind::Timestamp,
    }
}

fn wit_kind(kind: Kind) -> types::Kind {
    match kind {
        Kind::Boolean => types::Kind::Boolean,
        Kind::Int64 => types::Kind::Int64,
        Kind::Float64 => types::Kind::Float64,
        Kind::Utf8 => types::Kind::Utf8,
        Kind::Binary => types::Kind::Binary,
        Kind::Timestamp => types::Kind::Timestamp,
    }
}

fn lent_fields(fields: &[Field]) -> Vec<types::FieldParam<'_>> {
    fields.iter().map(|field| types::FieldParam { name: &field.name, kind: wit_kind(field.kind) }).collect()
}

fn answered_field(field: types::FieldResult) -> Field {
    Field::new(field.name, core_kind(field.kind))
}

fn columns(batch: &LentBatch) -> Vec<types::ColumnParam<'_>> {
    let lent = batch.columns.iter().map(|column| types::ColumnParam {
        validity: column.validity.as_deref(),
        offsets: &column.offsets,
        values: &column.values,
    });
    lent.collect()
}

fn batch<'a>(rows: u32, columns: &'a [types::ColumnParam<'a>]) -> types::Batch<'a> {
    types::Batch { rows, columns }
}

fn converted(answer: GuestResult<Vec<types::ColumnResult>>) -> GuestResult<Vec<Answered>> {
    answer.map(|answer| answer.map(answered))
}

fn answered(columns: Vec<types::ColumnResult>) -> Vec<Answered> {
    let answered = columns.into_iter().map(|column| Answered {
        validity: column.validity,
        offsets: column.offsets,
        values: column.values,
    });
    answered.collect()
}
