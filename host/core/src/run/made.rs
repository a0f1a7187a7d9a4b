//! Rows that wait to be written, and what made them: a table may refuse one, which is then that record's or group's fault.

use std::sync::Arc;

use crate::batch::RowOrigins;
use crate::kept::KeptRecords;
use crate::port::Refused;
use crate::records::Records;
use crate::rows::Rows;

/// The part of a batch below which copies of its records are kept, and not all of it: one in so many. Fewer: a step that leaves most
/// records out fills the memory with what no row is of. More: what would be freed soon is copied.
const COPIED_BELOW: usize = 2;

/// Some rows.
pub struct Made {
    /// The rows.
    pub rows: Rows,
    /// The maker of them.
    pub by: Maker,
}

/// The maker of some rows.
pub enum Maker {
    /// Records.
    Records {
        /// All records of a batch, or copies of those that made a row.
        records: Arc<dyn Records>,
        /// The place among the records of the one that made each row.
        of_row: Vec<usize>,
    },
    /// A fold: each row is of a group.
    Groups {
        /// The number of the first columns that are the group's key.
        keys: usize,
    },
}

impl Made {
    /// Returns rows of records. These are kept `whole` if letters are made of those at fault; otherwise only their places are kept.
    pub fn of_records(records: &Arc<dyn Records>, rows: Rows, origins: &RowOrigins, whole: bool) -> Made {
        let of_row: Vec<usize> = (0..rows.rows).map(|row| origins.record(row)).collect();
        let mut distinct = of_row.clone();
        if !distinct.is_sorted() {
            distinct.sort_unstable();
        }
        distinct.dedup();
        if whole && distinct.len() * COPIED_BELOW >= records.len() {
            return Made { rows, by: Maker::Records { records: Arc::clone(records), of_row } };
        }
        let place = |record: &usize| distinct.partition_point(|other| other < record);
        let of_row = of_row.iter().map(place).collect();
        let records = Arc::new(KeptRecords::of(records.as_ref(), &distinct, whole));
        Made { rows, by: Maker::Records { records, of_row } }
    }

    /// Returns rows of a fold's groups.
    pub fn of_groups(rows: Rows, keys: usize) -> Made {
        Made { rows, by: Maker::Groups { keys } }
    }

    /// Returns about how much memory the rows and their records take.
    pub fn memory(&self) -> usize {
        let kept = match &self.by {
            Maker::Records { records, of_row } => records.memory() + of_row.capacity() * size_of::<usize>(),
            Maker::Groups { .. } => 0,
        };
        self.rows.memory() + kept
    }

    /// Takes these rows out; they come in their order.
    pub fn take_out(&mut self, refused: &[Refused]) -> Result<(), String> {
        let (rows, left) = self.rows.without(refused.iter().map(|refused| refused.row))?;
        self.rows = rows;
        if let Maker::Records { of_row, .. } = &mut self.by {
            *of_row = left.into_iter().map(|row| of_row[row as usize]).collect();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use proptest::prelude::*;

    use super::*;
    use crate::dead_letter::{DeadLetter, LetterId, RetriedRecords};
    use crate::interval::{Offset, Partition};
    use crate::rejected::Stage;

    /// Records in three partitions, each with its own key and value.
    fn records(number: usize) -> Arc<dyn Records> {
        let letter = |record: usize| DeadLetter {
            id: LetterId {
                topic: "t".to_owned(),
                partition: Partition(record as i32 % 3),
                offset: Offset(record as i64),
            },
            key: Some(vec![record as u8]),
            value: Some(vec![record as u8; 3]),
            timestamp: Some(record as i64),
            stage: Stage::Decode,
            reason: String::new(),
            operator: None,
            time: 0,
            retry: false,
        };
        Arc::new(RetriedRecords::by_topic((0..number).map(letter).collect()).remove(0))
    }

    /// Rows that hold the number of their record.
    fn rows_of(origins: &[usize]) -> (Rows, RowOrigins) {
        let mut of_row = RowOrigins::from_record(origins.first().copied().unwrap_or(0));
        origins.iter().for_each(|record| of_row.push(*record));
        let column = origins.iter().map(|record| *record as i64).collect::<Int64Array>();
        (Rows { rows: origins.len(), columns: vec![Arc::new(column)] }, of_row)
    }

    fn maker(made: &Made) -> (&Arc<dyn Records>, &[usize]) {
        match &made.by {
            Maker::Records { records, of_row } => (records, of_row),
            Maker::Groups { .. } => panic!("records made them"),
        }
    }

    /// Checks that each row is still of the record whose number it holds.
    fn check(made: &Made, all: &dyn Records, whole: bool) {
        let (kept, of_row) = maker(made);
        assert_eq!(of_row.len(), made.rows.rows);
        for (row, record) in made.rows.columns[0].as_primitive::<Int64Type>().values().iter().enumerate() {
            let (by, record) = (of_row[row], *record as usize);
            assert_eq!(kept.position(by), all.position(record));
            if whole {
                let parts = |records: &dyn Records, i| {
                    (records.key(i).map(<[u8]>::to_vec), records.value(i).map(<[u8]>::to_vec), records.timestamp(i))
                };
                assert_eq!(parts(kept.as_ref(), by), parts(all, record));
            }
        }
    }

    proptest! {
        #[test]
        fn rows_know_the_records_that_made_them_kept_or_copied_in_any_order_and_after_some_are_taken_out(
            number in 1usize..20,
            origins in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            sorted in any::<bool>(),
            whole in any::<bool>(),
            refused in prop::collection::btree_set(0usize..40, 0..10),
        ) {
            let all = records(number);
            let mut origins: Vec<usize> = origins.iter().map(|index| index.index(number)).collect();
            if sorted {
                origins.sort_unstable();
            }
            let (rows, of_row) = rows_of(&origins);
            let mut made = Made::of_records(&all, rows, &of_row, whole);
            check(&made, all.as_ref(), whole);
            let distinct = origins.iter().collect::<std::collections::BTreeSet<_>>().len();
            let (kept, _) = maker(&made);
            let shared = Arc::ptr_eq(kept, &all);
            // Copied only where few made a row, or where nothing counts but which they are.
            prop_assert_eq!(shared, whole && distinct * 2 >= number);
            if !shared {
                prop_assert_eq!(kept.len(), distinct, "of each record one copy");
                prop_assert!(whole || (0..distinct).all(|i| kept.key(i).is_none() && kept.value(i).is_none()));
            }

            let refused: Vec<Refused> = refused.into_iter().filter(|row| *row < origins.len())
                .map(|row| Refused { row, reason: String::new() }).collect();
            made.take_out(&refused).unwrap();
            prop_assert_eq!(made.rows.rows, origins.len() - refused.len());
            check(&made, all.as_ref(), whole);
        }
    }

    #[test]
    fn rows_take_the_memory_of_their_columns_and_of_the_records_that_are_kept_for_them() {
        let all = records(8);
        let origins: Vec<usize> = (0..8).flat_map(|record| [record; 100]).collect();
        let (rows, of_row) = rows_of(&origins);
        let columns = rows.memory();
        assert_eq!(Made::of_groups(rows.clone(), 1).memory(), columns);
        let kept = Made::of_records(&all, rows, &of_row, true).memory() - columns;
        let least = all.memory() + 800 * size_of::<usize>();
        assert!(kept >= least && kept <= 2 * least, "{kept} bytes of {least}");
    }
}
