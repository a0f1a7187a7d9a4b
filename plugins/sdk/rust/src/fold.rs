//! Rows into one state for each group: the trait that an author implements, and the loops that run it over columns.

use crate::contract::fold::Plan;
use crate::contract::{Batch, Column, Field};
use crate::older::Older;
use crate::reason::Fault;
use crate::row::{Needed, ReadRow, WriteRow, computed};
use crate::schema::{KindName, Search};
use crate::transform::Transform;

/// SQL's `GROUP BY` with an aggregate over the rows that the metric's [`Transform`] made: what a group's state is, how a
/// row changes it, and what it shows. The host groups the rows and keeps the states.
///
/// Sums and counts are declared with [`fold!`](crate::fold!); this trait is for what isn't one:
///
/// ```
/// # use sluice_sdk::{Reject, Transform};
/// use sluice_sdk::{Fault, Fold, row};
///
/// # row! { pub struct Gifts { user_id = untouched i64, amount = untouched i64 } }
/// # #[derive(Default)]
/// # pub struct MeanGift;
/// # impl Transform for MeanGift {
/// #     type In<'a> = ();
/// #     type Out<'a> = Gifts;
/// #     fn row(&self, _: ()) -> Result<Gifts, Reject> { Ok(Gifts {}) }
/// # }
/// row! { pub struct Amount { amount: Option<i64> } }
/// row! { pub struct State { sum: i64, count: i64 } }
/// row! { pub struct Mean { mean_amount: Option<f64> } }
///
/// /// `SELECT user_id, AVG(amount) AS mean_amount GROUP BY user_id`
/// impl Fold for MeanGift {
///     const KEYS: &'static [&'static str] = &["user_id"];
///     const STATE_VERSION: u32 = 1;
///     type Value<'a> = Amount;
///     type State = State;
///     type Output = Mean;
///
///     fn init(&self) -> State {
///         State { sum: 0, count: 0 }
///     }
///
///     fn add(&self, state: &mut State, row: Amount) -> Result<(), Fault> {
///         match row.amount {
///             Some(amount) => self.merge(state, State { sum: amount, count: 1 }),
///             None => Ok(()),
///         }
///     }
///
///     fn merge(&self, state: &mut State, other: State) -> Result<(), Fault> {
///         state.sum = state.sum.checked_add(other.sum).ok_or("the sum of `amount` overflows")?;
///         state.count += other.count;
///         Ok(())
///     }
///
///     fn emit(&self, state: State) -> Result<Mean, Fault> {
///         Ok(Mean { mean_amount: (state.count > 0).then(|| state.sum as f64 / state.count as f64) })
///     }
/// }
///
/// sluice_sdk::aggregator!(MeanGift);
/// ```
///
/// The host adds rows in batches of any size, and merges states in any order. So `merge` must be associative and
/// commutative with `init` as its identity, and adding rows to a state must be merging it with the state of those rows:
/// [`Trial::check_laws`](crate::testing::Trial::check_laws) tries these laws. An error of any of the methods faults the
/// batch: the operator is at fault, and what it had before stands.
pub trait Fold: Transform {
    /// The columns of the transform's result whose values make a group. None: all rows are one group.
    const KEYS: &'static [&'static str];

    /// To be raised with every change of what [`State`](Self::State) holds or means, since states outlive the operator.
    const STATE_VERSION: u32;

    /// The columns of the transform's result that a state grows by. A null in one that isn't an `Option` is an error:
    /// make it an `Option`, or let the transform reject it.
    type Value<'a>: ReadRow<'a>;

    /// What is kept for each group. A state whose every column is null is none: it is read as [`init`](Self::init).
    type State: for<'a> ReadRow<'a> + WriteRow;

    /// The columns that follow the keys in the result.
    type Output: WriteRow;

    /// The state of a group without rows.
    fn init(&self) -> Self::State;

    /// Adds a row to its group's state.
    fn add(&self, state: &mut Self::State, row: Self::Value<'_>) -> Result<(), Fault>;

    /// Joins what two states have seen.
    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), Fault>;

    /// What the table shows of a state.
    fn emit(&self, state: Self::State) -> Result<Self::Output, Fault>;

    /// States that an older version stored, as this one's: as many, in their order; none for one that has seen nothing. An error,
    /// as without this method, says that they aren't taken over: then this version is refused, and the one before runs on.
    ///
    /// ```
    /// # use sluice_sdk::{Fault, Older, row};
    /// # row! { pub struct State { sum: i64, count: i64 } }
    /// # struct Metric;
    /// # impl Metric {
    /// fn migrate(&self, older: &Older) -> Result<Vec<Option<State>>, Fault> {
    ///     row! { pub struct Version1 { sum: i64 } }
    ///     match older.version() {
    ///         1 => older.each(|old: Version1| Ok(State { sum: old.sum, count: 0 })),
    ///         _ => older.refused(),
    ///     }
    /// }
    /// # }
    /// ```
    fn migrate(&self, older: &Older) -> Result<Vec<Option<Self::State>>, Fault> {
        older.refused()
    }
}

/// The plan of a fold over this input, which is the result of its transform.
pub fn plan<F: Fold>(input: &[Field]) -> Result<Plan, String> {
    let mut search = Search::new(input);
    let keys = F::KEYS.iter().map(|name| search.named(name)).collect();
    let needed = <F::Value<'static> as ReadRow<'static>>::COLUMNS;
    let values = needed.iter().map(|column| search.needed(*column)).collect();
    search.finish()?;
    let (state, outputs) = (state_fields::<F>(), computed_fields::<F::Output>());
    Ok(Plan { keys, values, state, state_version: F::STATE_VERSION, outputs })
}

fn state_fields<F: Fold>() -> Vec<Field> {
    let field = |column: &Needed| Field { name: column.name.to_owned(), kind: column.kind };
    <F::State as ReadRow<'static>>::COLUMNS.iter().map(field).collect()
}

fn computed_fields<R: WriteRow>() -> Vec<Field> {
    const { assert!(computed(R::COLUMNS) == R::COLUMNS.len(), "a fold computes every column that it emits") }
    R::COLUMNS.iter().map(|column| Field { name: column.name.to_owned(), kind: column.kind }).collect()
}

/// The states after each row of `values` was added to the state that its int32 in `groups` says.
pub fn accumulate<F: Fold>(operator: &F, groups: &[u8], values: &Batch, states: &Batch) -> Result<Vec<Column>, String> {
    let (groups, []) = groups.as_chunks::<4>() else {
        return Err(format!("{} bytes of groups, which are int32", groups.len()));
    };
    if groups.len() != values.rows as usize {
        return Err(format!("{} groups for {} rows", groups.len(), values.rows));
    }
    let mut states = load(operator, states)?;
    let columns = F::Value::columns(values)?;
    if <F::Value<'_> as ReadRow>::has_nulls(&columns) {
        add::<F, true>(operator, groups, &columns, &mut states)?;
    } else {
        add::<F, false>(operator, groups, &columns, &mut states)?;
    }
    store(states)
}

/// The loop. A function of its own, since the code that wasm engines make of a large one keeps little in registers.
#[inline(never)]
fn add<'a, F: Fold, const NULLS: bool>(
    operator: &F,
    groups: &[[u8; 4]],
    columns: &<F::Value<'a> as ReadRow<'a>>::Columns,
    states: &mut [F::State],
) -> Result<(), Fault> {
    for (row, group) in groups.iter().enumerate() {
        let group = u32::from_le_bytes(*group) as usize;
        let state = states.get_mut(group).ok_or_else(|| no_state(group, row))?;
        let value = F::Value::read::<NULLS>(columns, row).map_err(|column| null_value(column, row))?;
        operator.add(state, value)?;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn no_state(group: usize, row: usize) -> Fault {
    Fault::from(format!("row {row} is of group {group}, which has no state"))
}

#[cold]
#[inline(never)]
fn null_value(column: &str, row: usize) -> Fault {
    Fault::from(format!("`{column}` of row {row} is null, and the fold takes no null there"))
}

/// The states that join those of `left` and `right`, row by row.
pub fn merge<F: Fold>(operator: &F, left: &Batch, right: &Batch) -> Result<Vec<Column>, String> {
    let (mut states, others) = (load(operator, left)?, load(operator, right)?);
    if states.len() != others.len() {
        return Err(format!("{} states to be merged with {}", states.len(), others.len()));
    }
    for (state, other) in states.iter_mut().zip(others) {
        operator.merge(state, other)?;
    }
    store(states)
}

/// The output columns of these states, row by row.
pub fn emit<F: Fold>(operator: &F, states: &Batch) -> Result<Vec<Column>, String> {
    let states = load(operator, states)?;
    let rows = states.len();
    let mut columns = F::Output::columns(rows);
    for (row, state) in states.into_iter().enumerate() {
        operator.emit(state)?.write(row, &mut columns);
    }
    F::Output::finish(columns, rows)
}

/// The states as they are if they are of this version's form; those of another version as the operator migrates them.
pub fn migrate<F: Fold>(operator: &F, version: u32, state: &[Field], states: Batch) -> Result<Vec<Column>, String> {
    let form = |fields: &[Field]| {
        let named: Vec<_> = fields.iter().map(|field| format!("{}:{}", field.name, KindName(field.kind))).collect();
        named.join(", ")
    };
    let (theirs, ours) = (form(state), form(&state_fields::<F>()));
    if (version, &theirs) == (F::STATE_VERSION, &ours) {
        return Ok(states.columns);
    }
    if version != F::STATE_VERSION {
        let rows = states.rows as usize;
        let migrated = operator.migrate(&Older::new(version, state, states))?;
        if migrated.len() != rows {
            return Err(format!("{} states of version {version} became {}", rows, migrated.len()));
        }
        return store(migrated.into_iter().map(|state| state.unwrap_or_else(|| operator.init())).collect());
    }
    let ours_version = F::STATE_VERSION;
    Err(format!("a state of version {version} ({theirs}) is none of version {ours_version} ({ours})"))
}

fn load<F: Fold>(operator: &F, batch: &Batch) -> Result<Vec<F::State>, String> {
    let columns = <F::State as ReadRow>::columns(batch)?;
    let state = |row| {
        if <F::State as ReadRow>::is_null(&columns, row) {
            return Ok(operator.init());
        }
        <F::State as ReadRow>::read::<true>(&columns, row)
            .map_err(|column| format!("`{column}` of state {row} is null, others aren't"))
    };
    (0..batch.rows as usize).map(state).collect()
}

fn store<S: WriteRow>(states: Vec<S>) -> Result<Vec<Column>, String> {
    let rows = states.len();
    let mut columns = S::columns(rows);
    for (row, state) in states.into_iter().enumerate() {
        state.write(row, &mut columns);
    }
    S::finish(columns, rows)
}
