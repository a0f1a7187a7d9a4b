//! Rows in, rows out: the trait that an author implements, and the loop that runs it over columns.

use std::fmt;

use crate::contract::transform::{Origin, Output, Plan, Produced, Rejection};
use crate::contract::{Batch, Field};
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
    /// transform that computes nothing. So, to reject the rows with a null key, give the key as a computed column.
    type Out<'a>: WriteRow;

    /// The operator with its configuration: the table that the pipeline gives it, as JSON. An error refuses the
    /// deployment, and is shown as it is. What isn't overridden takes no configuration and refuses any.
    fn open(config: &str) -> Result<Self, String> {
        match config.trim() {
            "" | "{}" | "null" => Ok(Self::default()),
            _ => Err(format!("this operator takes no configuration; remove {config} from the pipeline")),
        }
    }

    /// SQL's `WHERE`: rows for which this is false leave no trace in the result. Called before [`row`](Self::row).
    #[inline]
    fn keep(&self, row: &Self::In<'_>) -> bool {
        let _ = row;
        true
    }

    /// The row of the result, or why this row has none: it is then handled as the pipeline says (stop, skip, dead
    /// letter), and the others go on.
    fn row<'a>(&'a self, row: Self::In<'a>) -> Result<Self::Out<'a>, Reject>;
}

/// Why a row is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    reason: String,
}

impl Reject {
    /// A row that is refused for this reason: a sentence that names the column and the value.
    pub fn because(reason: impl Into<String>) -> Reject {
        Reject { reason: reason.into() }
    }

    /// A row that is refused because of what is in this column.
    #[cold]
    pub fn column(name: &str, problem: impl fmt::Display) -> Reject {
        Reject::because(format!("`{name}`: {problem}"))
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Reject {}

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
    let rows = batch.rows as usize;
    let input = T::In::columns(batch)?;
    let mut output = <T::Out<'a> as WriteRow>::columns(rows);
    let mut selection = Selection::new(rows);
    let mut rejected = Vec::new();
    for row in 0..rows {
        match produce(operator, &input, row) {
            Ok(Some(produced)) => produced.write(selection.keep(row), &mut output),
            Ok(None) => selection.leave_out(row),
            Err(Reject { reason }) => {
                selection.leave_out(row);
                rejected.push(Rejection { row: row as u32, reason });
            }
        }
    }
    let columns = <T::Out<'a> as WriteRow>::finish(output, selection.kept)?;
    Ok(Produced { rows: selection.kept as u32, columns, selection: selection.finish(), rejected })
}

#[inline]
fn produce<'a, T: Transform>(
    operator: &'a T,
    input: &<T::In<'a> as ReadRow<'a>>::Columns,
    row: usize,
) -> Result<Option<T::Out<'a>>, Reject> {
    let row = T::In::read(input, row).map_err(|column| Reject::because(format!("`{column}` is null")))?;
    if operator.keep(&row) { operator.row(row).map(Some) } else { Ok(None) }
}

/// The input rows that are in the result.
struct Selection {
    /// How many there are so far.
    kept: usize,
    /// Which, from the first on that is left out; before that the result is the input, row by row.
    rows: Option<Vec<[u8; 4]>>,
    of: usize,
}

impl Selection {
    fn new(of: usize) -> Self {
        Selection { kept: 0, rows: None, of }
    }

    /// Takes the row into the result, and answers its place there.
    #[inline]
    fn keep(&mut self, row: usize) -> usize {
        if let Some(rows) = &mut self.rows {
            rows.push((row as u32).to_le_bytes());
        }
        self.kept += 1;
        self.kept - 1
    }

    #[cold]
    fn leave_out(&mut self, row: usize) {
        let of = self.of;
        self.rows.get_or_insert_with(|| {
            let mut rows = Vec::with_capacity(of);
            rows.extend((0..row as u32).map(u32::to_le_bytes));
            rows
        });
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.rows.map(Vec::into_flattened)
    }
}
