//! The host's part in small: plan, batch, selection, groups.

use super::buffers::decode;
use super::table::{Table, Value};
use crate::contract::transform::{Origin, Plan, Produced};
use crate::contract::{Batch, Column, Field, Kind, fold};
use crate::older::nulls;
use crate::{Fold, Transform};

/// A metric that runs natively, in a test.
pub struct Trial<T> {
    pub(super) operator: T,
}

/// What a metric made of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The rows of the result.
    pub rows: Table,
    /// The rows that were refused: which row of the input, and why.
    pub rejected: Vec<(usize, String)>,
}

impl<T: Transform> Trial<T> {
    /// The metric with this configuration, the JSON of the pipeline's table (`"{}"` for none).
    pub fn open(config: &str) -> Result<Self, String> {
        Ok(Trial { operator: T::open(config)? })
    }

    /// The result of the transform. An error where the host would refuse the input's columns, or the batch.
    pub fn transform(&self, input: &Table) -> Result<Outcome, String> {
        let plan = crate::transform::plan::<T>(&input.fields())?;
        let produced = if computes(&plan) {
            crate::transform::process(&self.operator, &input.batch(&plan.reads)?)?
        } else {
            let rows = input.rows.len() as u32;
            Produced { rows, columns: Vec::new(), selection: None, rejected: Vec::new() }
        };
        let rows = result(input, &plan, &produced)?;
        let rejected = produced.rejected.into_iter().map(|it| (it.row as usize, it.reason)).collect();
        Ok(Outcome { rows, rejected })
    }
}

impl<F: Fold> Trial<F> {
    /// The result of the transform and the fold: a row for each group, in the order of their first rows. An error where
    /// the host would refuse the input's columns, or the batch.
    pub fn aggregate(&self, input: &Table) -> Result<Outcome, String> {
        let Outcome { rows, rejected } = self.transform(input)?;
        let groups = Groups::new::<F>(rows)?;
        let states = groups.accumulate(&self.operator, 0..groups.rows.rows.len(), groups.no_states())?;
        let emitted = crate::fold::emit(&self.operator, &states)?;
        Ok(Outcome { rows: groups.table(&emitted)?, rejected })
    }
}

impl<F: Fold> Trial<F> {
    /// States that another version stored, of these columns, as this one's. An error where this version doesn't take them over.
    pub fn migrate(&self, version: u32, states: &Table) -> Result<Table, String> {
        let rows = states.rows.len();
        let all: Vec<u32> = (0..states.columns.len() as u32).collect();
        let migrated = crate::fold::migrate(&self.operator, version, &states.fields(), states.batch(&all)?)?;
        let own = <F::State as crate::row::ReadRow<'static>>::COLUMNS;
        let decoded = own.iter().zip(&migrated).map(|(column, values)| decode(column.kind, values, rows));
        let names = own.iter().map(|column| (column.name.to_owned(), column.kind)).collect();
        Ok(Table::new(names, transposed(decoded.collect::<Result<_, _>>()?, rows)))
    }
}

fn computes(plan: &Plan) -> bool {
    plan.outputs.iter().any(|output| matches!(output.origin, Origin::Computed(_)))
}

/// The rows that the host makes of what a transform answered: computed columns, and untouched ones from the input.
fn result(input: &Table, plan: &Plan, produced: &Produced) -> Result<Table, String> {
    let rows = produced.rows as usize;
    let selection: Vec<usize> = match &produced.selection {
        None => (0..rows).collect(),
        Some(rows) => rows.as_chunks::<4>().0.iter().map(|row| u32::from_le_bytes(*row) as usize).collect(),
    };
    let mut computed = produced.columns.iter();
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for output in &plan.outputs {
        let (kind, values) = match output.origin {
            Origin::Input(index) => untouched(input, index as usize, &selection),
            Origin::Computed(kind) => (kind, decode(kind, computed.next().ok_or("a column is missing")?, rows)?),
        };
        names.push((output.name.clone(), kind));
        columns.push(values);
    }
    Ok(Table::new(names, transposed(columns, rows)))
}

fn untouched(input: &Table, column: usize, selection: &[usize]) -> (Kind, Vec<Value>) {
    (input.columns[column].1, selection.iter().map(|row| input.rows[*row][column].clone()).collect())
}

fn transposed(columns: Vec<Vec<Value>>, rows: usize) -> Vec<Vec<Value>> {
    (0..rows).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

/// The rows that a fold is given, and the group of each.
pub(super) struct Groups {
    pub(super) plan: fold::Plan,
    pub(super) rows: Table,
    group_of: Vec<u32>,
    keys: Vec<Vec<Value>>,
}

impl Groups {
    pub(super) fn new<F: Fold>(rows: Table) -> Result<Groups, String> {
        let plan = crate::fold::plan::<F>(&rows.fields())?;
        let (mut keys, mut group_of) = (Vec::new(), Vec::new());
        for row in &rows.rows {
            let key: Vec<_> = plan.keys.iter().map(|column| row[*column as usize].clone()).collect();
            let known = keys.iter().position(|known| *known == key);
            group_of.push(known.unwrap_or(keys.len()) as u32);
            if known.is_none() {
                keys.push(key);
            }
        }
        Ok(Groups { plan, rows, group_of, keys })
    }

    /// A state for each group, none of which has seen a row.
    pub(super) fn no_states(&self) -> Batch {
        let groups = self.keys.len();
        let nothing = |field: &Field| nulls(field.kind, groups);
        self.states(self.plan.state.iter().map(nothing).collect())
    }

    /// These columns as the states of all groups.
    pub(super) fn states(&self, columns: Vec<Column>) -> Batch {
        Batch { rows: self.keys.len() as u32, columns }
    }

    /// The states after these rows.
    pub(super) fn accumulate<F: Fold>(
        &self,
        operator: &F,
        rows: std::ops::Range<usize>,
        states: Batch,
    ) -> Result<Batch, String> {
        let groups = self.group_of[rows.clone()].iter().flat_map(|group| group.to_le_bytes()).collect::<Vec<_>>();
        let part = Table::new(self.rows.columns.clone(), self.rows.rows[rows].to_vec());
        let values = part.batch(&self.plan.values)?;
        Ok(self.states(crate::fold::accumulate(operator, &groups, &values, &states)?))
    }

    /// The values of these columns, one row for each group.
    pub(super) fn values(&self, fields: &[Field], columns: &[Column]) -> Result<Vec<Vec<Value>>, String> {
        let groups = self.keys.len();
        if fields.len() != columns.len() {
            return Err(format!("{} columns, and the plan has {}", columns.len(), fields.len()));
        }
        let decoded = fields.iter().zip(columns).map(|(field, column)| decode(field.kind, column, groups));
        Ok(transposed(decoded.collect::<Result<_, _>>()?, groups))
    }

    /// The keys and what is emitted for each.
    fn table(&self, emitted: &[Column]) -> Result<Table, String> {
        let outputs = self.values(&self.plan.outputs, emitted)?;
        let keys = self.plan.keys.iter().map(|column| self.rows.columns[*column as usize].clone());
        let columns = keys.chain(self.plan.outputs.iter().map(|field| (field.name.clone(), field.kind))).collect();
        let rows = self.keys.iter().zip(outputs).map(|(key, output)| [key.clone(), output].concat()).collect();
        Ok(Table::new(columns, rows))
    }
}
