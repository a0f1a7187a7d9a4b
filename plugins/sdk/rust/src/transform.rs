//! Rows in, rows out: the trait that an author implements, and the loop that runs it over columns.

use crate::contract::transform::{Origin, Output, Plan, Produced, Rejection};
use crate::contract::{Batch, Field};
use crate::reason::Reject;
use crate::row::{Made, Needed, ReadRow, WriteRow, computed};
use crate::schema::Search;

/// SQL's `SELECT … FROM … WHERE …` over one row: cleaning, casting, filtering.
///
/// ```
/// use sluice_sdk::{DecimalText, Reject, Transform, cast, row};
///
/// row! { pub struct Gift { gift_type: i64 } }
/// row! { pub struct Typed { gift_type: DecimalText, amount = untouched i64 } }
///
/// /// `SELECT CAST(gift_type AS VARCHAR) AS gift_type, amount`
/// #[derive(Default)]
/// pub struct GiftTypes;
///
/// impl Transform for GiftTypes {
///     type In<'a> = Gift;
///     type Out<'a> = Typed;
///
///     fn row(&self, gift: Gift) -> Result<Typed, Reject> {
///         Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)? })
///     }
/// }
///
/// sluice_sdk::transformer!(GiftTypes);
/// ```
///
/// A transform is a function of the row and of its configuration, and of nothing else: instances come and go between
/// batches, so what one remembers is lost.
pub trait Transform: Default + Sized + 'static {
    /// The columns that are read. A null in a column that isn't an `Option` rejects its row.
    type In<'a>: ReadRow<'a>;

    /// The columns of the result. At least one of them must be computed if any column is read: the host doesn't call a
    /// transform that computes nothing. So, to reject the rows with a null key, give the key as a computed column; this
    /// doesn't compile:
    ///
    /// ```compile_fail,E0080
    /// # use sluice_sdk::{Reject, Transform, row, testing::Trial, testing::table};
    /// row! { pub struct Gift { user_id: i64 } }
    /// row! { pub struct Given { user_id = untouched i64 } }
    /// # #[derive(Default)]
    /// # pub struct Users;
    /// # impl Transform for Users {
    /// #     type In<'a> = Gift;
    /// #     type Out<'a> = Given;
    /// #     fn row(&self, _: Gift) -> Result<Given, Reject> { Ok(Given {}) }
    /// # }
    /// # let _ = Trial::<Users>::open("{}").unwrap().transform(&table! { user_id: i64; [1] });
    /// ```
    type Out<'a>: WriteRow;

    /// The operator with its configuration: the table that the pipeline gives it, as JSON. An error refuses the
    /// deployment, and is shown as it is. Called for every instance, for an aggregator twice. What isn't overridden
    /// takes no configuration and refuses any.
    fn open(config: &str) -> Result<Self, String> {
        match config.trim() {
            "" | "{}" | "null" => Ok(Self::default()),
            _ => Err("this operator takes no configuration; remove what the pipeline gives it".to_owned()),
        }
    }

    /// SQL's `WHERE`: rows for which this is false leave no trace in the result. Called before [`row`](Self::row).
    #[inline]
    fn keep(&self, row: &Self::In<'_>) -> bool {
        let _ = row;
        true
    }

    /// The row of the result, or why this row has none: it is then left out, counted and
    /// logged, and the others go on.
    fn row<'a>(&'a self, row: Self::In<'a>) -> Result<Self::Out<'a>, Reject>;
}

/// The plan of a transform over this input.
pub fn plan<T: Transform>(input: &[Field]) -> Result<Plan, String> {
    const {
        let idle = computed(<T::Out<'static> as WriteRow>::COLUMNS) == 0;
        let reads = !<T::In<'static> as ReadRow<'static>>::COLUMNS.is_empty();
        assert!(!(idle && reads), "a transform that reads columns must compute one, or the host never calls it");
    }
    let mut search = Search::new(input);
    let needed = <T::In<'static> as ReadRow<'static>>::COLUMNS;
    let reads = needed.iter().map(|column| search.needed(*column)).collect();
    let made = <T::Out<'static> as WriteRow>::COLUMNS;
    let outputs = made.iter().map(|column| output(column, &mut search)).collect();
    search.finish()?;
    Ok(Plan { reads, outputs })
}

fn output(made: &Made, search: &mut Search<'_>) -> Output {
    let Made { name, kind, untouched } = *made;
    let origin = if untouched { Origin::Input(search.needed(Needed { name, kind })) } else { Origin::Computed(kind) };
    Output { name: name.to_owned(), origin }
}

/// The result of a transform over this batch.
pub fn process<'a, T: Transform>(operator: &'a T, batch: &'a Batch) -> Result<Produced, String> {
    let input = T::In::columns(batch)?;
    if <T::In<'a> as ReadRow<'a>>::has_nulls(&input) {
        produce::<T, true>(operator, &input, batch.rows as usize)
    } else {
        produce::<T, false>(operator, &input, batch.rows as usize)
    }
}

/// The loop. A function of its own, since the code that wasm engines make of a large one keeps little in registers.
#[inline(never)]
fn produce<'a, T: Transform, const NULLS: bool>(
    operator: &'a T,
    input: &<T::In<'a> as ReadRow<'a>>::Columns,
    rows: usize,
) -> Result<Produced, String> {
    let mut output = <T::Out<'a> as WriteRow>::columns(rows);
    let mut selection = Selection::default();
    let mut rejected = Vec::new();
    let mut kept = 0;
    for row in 0..rows {
        match one::<T, NULLS>(operator, input, row) {
            Ok(Some(produced)) => {
                produced.write(kept, &mut output);
                selection.keep(row);
                kept += 1;
            }
            Ok(None) => selection.leave_out(row),
            Err(reject) => {
                selection.leave_out(row);
                rejected.push(Rejection { row: row as u32, reason: reject.into_reason() });
            }
        }
    }
    let columns = <T::Out<'a> as WriteRow>::finish(output, kept)?;
    Ok(Produced { rows: kept as u32, columns, selection: selection.finish(), rejected })
}

#[inline(always)]
fn one<'a, T: Transform, const NULLS: bool>(
    operator: &'a T,
    input: &<T::In<'a> as ReadRow<'a>>::Columns,
    row: usize,
) -> Result<Option<T::Out<'a>>, Reject> {
    let row = T::In::read::<NULLS>(input, row).map_err(null)?;
    if operator.keep(&row) { operator.row(row).map(Some) } else { Ok(None) }
}

#[cold]
#[inline(never)]
fn null(column: &str) -> Reject {
    Reject::because(format!("`{column}` is null"))
}

/// The input rows that are in the result, from the first on that isn't; before that the result is the input, row by row.
#[derive(Default)]
struct Selection(Option<Vec<[u8; 4]>>);

impl Selection {
    #[inline(always)]
    fn keep(&mut self, row: usize) {
        if let Some(rows) = &mut self.0 {
            rows.push((row as u32).to_le_bytes());
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_out(&mut self, row: usize) {
        self.0.get_or_insert_with(|| (0..row as u32).map(u32::to_le_bytes).collect());
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.0.map(Vec::into_flattened)
    }
}
