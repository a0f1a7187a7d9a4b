//! The operator's own code in the host's process, without a boundary.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use gift_sum::GiftSum;
use sluice_core::operator::{Columns, FoldPlan, Operator, OperatorError, Produced, TransformPlan};
use sluice_core::{Field, Kind};
use sluice_sdk::contract::{Batch, Column};

/// The gift totals' logic, called as an instance is.
///
/// The SDK reads columns of its own type. Those of the first call are kept and used again, so that nothing is charged for
/// making them: it is for a benchmark that gives it the same batch again and again.
pub struct Native {
    transform: TransformPlan,
    fold: FoldPlan,
    input: Option<Batch>,
    groups: Vec<u8>,
    values: Option<Batch>,
}

impl Native {
    /// With the plans of the instance that it stands for.
    pub fn in_place_of(instance: &dyn Operator) -> Native {
        let fold = instance.fold_plan().expect("gift_sum is an aggregator").clone();
        Native { transform: instance.transform_plan().clone(), fold, input: None, groups: Vec::new(), values: None }
    }
}

impl Operator for Native {
    fn transform_plan(&self) -> &TransformPlan {
        &self.transform
    }

    fn fold_plan(&self) -> Option<&FoldPlan> {
        Some(&self.fold)
    }

    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        let input = self.input.get_or_insert_with(|| batch(input));
        let produced = sluice_sdk::transform::process(&GiftSum, input).map_err(OperatorError::Refused)?;
        if produced.selection.is_some() {
            return Err(OperatorError::Refused("the benchmark's gifts all have a type".to_owned()));
        }
        let rows = produced.rows as usize;
        let columns = produced.columns.into_iter().map(|column| array(Kind::Utf8, column, rows)).collect();
        Ok(Produced { rows, columns, selection: None, rejected: Vec::new() })
    }

    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        if self.values.is_none() {
            self.groups = Buffer::from_slice_ref(groups).to_vec();
        }
        let values = self.values.get_or_insert_with(|| batch(values));
        let answer = sluice_sdk::fold::accumulate(&GiftSum, &self.groups, values, &batch(states));
        arrays(answer, &self.fold.state, states.rows)
    }

    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        arrays(sluice_sdk::fold::merge(&GiftSum, &batch(left), &batch(right)), &self.fold.state, left.rows)
    }

    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        arrays(sluice_sdk::fold::emit(&GiftSum, &batch(states)), &self.fold.outputs, states.rows)
    }
}

fn batch(columns: Columns<'_>) -> Batch {
    let rows = u32::try_from(columns.rows).expect("a batch has few rows");
    Batch { rows, columns: columns.arrays.iter().map(|array| int64(array.as_ref())).collect() }
}

fn int64(array: &dyn Array) -> Column {
    let array = array.as_any().downcast_ref::<Int64Array>().expect("gift_sum reads int64 only");
    let validity = array.nulls().map(|nulls| nulls.inner().sliced().to_vec());
    Column { validity, offsets: Vec::new(), values: array.values().inner().to_vec() }
}

fn arrays(answer: Result<Vec<Column>, String>, fields: &[Field], rows: usize) -> Result<Vec<ArrayRef>, OperatorError> {
    let columns = answer.map_err(OperatorError::Refused)?.into_iter().zip(fields);
    Ok(columns.map(|(column, field)| array(field.kind, column, rows)).collect())
}

fn array(kind: Kind, column: Column, rows: usize) -> ArrayRef {
    let values = Buffer::from_vec(column.values);
    let nulls = column.validity.map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)));
    match kind {
        Kind::Utf8 => {
            let offsets = OffsetBuffer::new(ScalarBuffer::from(Buffer::from_vec(column.offsets)));
            Arc::new(StringArray::new(offsets, values, nulls))
        }
        _ => Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls)),
    }
}
