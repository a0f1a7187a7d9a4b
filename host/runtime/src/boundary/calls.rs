//! The calls of the contract, in the types of each version. The versions differ in the kinds of columns alone, so the calls are written
//! once, as a macro over a version's types.

use sluice_core::Field;
use sluice_core::operator::{FoldPlan, Origin, Rejection, TransformPlan};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::{Exports, GuestResult, LentBatch, Processed, kinds};
use crate::anatomy::{Contract, World};
use crate::buffers::{Answered, group_bytes};
use crate::generated;
use crate::guest::Guest;

fn index(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The sentence for an operator that is given a column that its contract doesn't have.
fn unknown(field: &Field, contract: Contract) -> String {
    format!(
        "the column {field} is of a kind that its contract, sluice:operator@{contract}, doesn't have: build it with this host's SDK, or \
         declare the column as another kind"
    )
}

/// The calls in the types of one version.
macro_rules! calls {
    ($version:ident, $contract:expr) => {
        pub(crate) mod $version {
            use super::*;
            use generated::$version::exports::sluice::operator::{fold, transform};
            use generated::$version::sluice::operator::types;
            use kinds::$version::{core_kind, wit_kind};

            pub(crate) struct Indices {
                transform: transform::GuestIndices,
                fold: Option<fold::GuestIndices>,
            }

            impl Indices {
                pub(crate) fn new(pre: &InstancePre<Guest>, world: World) -> wasmtime::Result<Indices> {
                    let fold = match world {
                        World::Transformer => None,
                        World::Aggregator => Some(fold::GuestIndices::new(pre)?),
                    };
                    Ok(Indices { transform: transform::GuestIndices::new(pre)?, fold })
                }

                pub(crate) fn load(
                    &self,
                    store: &mut Store<Guest>,
                    instance: &Instance,
                ) -> wasmtime::Result<Functions> {
                    let fold = self.fold.as_ref().map(|fold| fold.load(&mut *store, instance)).transpose()?;
                    Ok(Functions { transform: self.transform.load(store, instance)?, fold })
                }
            }

            pub(crate) struct Functions {
                transform: transform::Guest,
                fold: Option<fold::Guest>,
            }

            impl Functions {
                fn fold(&self) -> wasmtime::Result<&fold::Guest> {
                    self.fold.as_ref().ok_or_else(|| wasmtime::format_err!("it is a transformer, which has no fold"))
                }
            }

            impl Exports for Functions {
                fn open_transform(
                    &self,
                    store: &mut Store<Guest>,
                    config: &str,
                    input: &[Field],
                ) -> GuestResult<TransformPlan> {
                    let input = match lent_fields(input) {
                        Ok(input) => input,
                        Err(unknown) => return Ok(Err(unknown)),
                    };
                    let plan = match self.transform.call_open(store, config, &input)? {
                        Ok(plan) => plan,
                        Err(refusal) => return Ok(Err(refusal)),
                    };
                    let outputs = plan.outputs.into_iter().map(|output| Ok((output.name, origin(output.origin)?)));
                    Ok(Ok(TransformPlan {
                        reads: plan.reads.into_iter().map(index).collect(),
                        outputs: outputs.collect::<wasmtime::Result<_>>()?,
                    }))
                }

                fn open_fold(&self, store: &mut Store<Guest>, config: &str, input: &[Field]) -> GuestResult<FoldPlan> {
                    let input = match lent_fields(input) {
                        Ok(input) => input,
                        Err(unknown) => return Ok(Err(unknown)),
                    };
                    let plan = match self.fold()?.call_open(store, config, &input)? {
                        Ok(plan) => plan,
                        Err(refusal) => return Ok(Err(refusal)),
                    };
                    Ok(Ok(FoldPlan {
                        keys: plan.keys.into_iter().map(index).collect(),
                        values: plan.values.into_iter().map(index).collect(),
                        state: answered_fields(plan.state)?,
                        state_version: plan.state_version,
                        outputs: answered_fields(plan.outputs)?,
                    }))
                }

                fn process(&self, store: &mut Store<Guest>, input: &LentBatch) -> GuestResult<Processed> {
                    let answer = self.transform.call_process(store, batch(input.rows, &columns(input)))?;
                    Ok(answer.map(|produced| Processed {
                        rows: produced.rows,
                        columns: answered(produced.columns),
                        selection: produced.selection,
                        rejected: produced
                            .rejected
                            .into_iter()
                            .map(|r| Rejection { row: r.row, reason: r.reason })
                            .collect(),
                    }))
                }

                fn accumulate(
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

                fn merge(
                    &self,
                    store: &mut Store<Guest>,
                    left: &LentBatch,
                    right: &LentBatch,
                ) -> GuestResult<Vec<Answered>> {
                    let (left_columns, right_columns) = (columns(left), columns(right));
                    let (left, right) = (batch(left.rows, &left_columns), batch(right.rows, &right_columns));
                    converted(self.fold()?.call_merge(store, left, right))
                }

                fn emit(&self, store: &mut Store<Guest>, states: &LentBatch) -> GuestResult<Vec<Answered>> {
                    converted(self.fold()?.call_emit(store, batch(states.rows, &columns(states))))
                }

                fn migrate(
                    &self,
                    store: &mut Store<Guest>,
                    version: u32,
                    state: &[Field],
                    states: &LentBatch,
                ) -> GuestResult<Vec<Answered>> {
                    let state = match lent_fields(state) {
                        Ok(state) => state,
                        Err(unknown) => return Ok(Err(unknown)),
                    };
                    let columns = columns(states);
                    converted(self.fold()?.call_migrate(store, version, &state, batch(states.rows, &columns)))
                }
            }

            fn origin(origin: transform::Origin) -> wasmtime::Result<Origin> {
                Ok(match origin {
                    transform::Origin::Input(column) => Origin::Input(index(column)),
                    transform::Origin::Computed(kind) => Origin::Computed(core_kind(kind)?),
                })
            }

            /// The fields as the guest is to see them. An error where its contract lacks a kind.
            fn lent_fields(fields: &[Field]) -> Result<Vec<types::FieldParam<'_>>, String> {
                let lent = fields.iter().map(|field| {
                    let kind = wit_kind(field.kind).ok_or_else(|| unknown(field, $contract))?;
                    Ok(types::FieldParam { name: &field.name, kind })
                });
                lent.collect()
            }

            fn answered_fields(fields: Vec<types::FieldResult>) -> wasmtime::Result<Vec<Field>> {
                fields.into_iter().map(|field| Ok(Field::new(field.name, core_kind(field.kind)?))).collect()
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
        }
    };
}

calls!(v0_1, Contract::V0_1);
calls!(v0_2, Contract::V0_2);
