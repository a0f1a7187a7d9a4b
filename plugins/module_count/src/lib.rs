//! Entries per module.
//!
//! ```sql
//! SELECT CAST(dim_hbase.cf.module_id AS BIGINT) AS module_id
//! , COUNT(user_id) AS module_number_count
//! FROM live_streaming_log JOIN dim_hbase ON CAST(room_id AS STRING) = dim_hbase.rowkey
//! GROUP BY CAST(dim_hbase.cf.module_id AS BIGINT)
//! ```
//!
//! The join is the pipeline's lookup, which adds `module_id`. A module that isn't a number is no key of the table: its
//! entries are rejected.

use sluice_sdk::{Count, Reject, Transform, cast, fold, row};

row! {
    /// What is read of an entry.
    pub struct Entry<'a> { module_id: &'a str }
}

row! {
    /// An entry as it is counted.
    pub struct Entered {
        module_id: i64,
        user_id = untouched i64,
    }
}

/// The operator.
#[derive(Debug, Default)]
pub struct ModuleCount;

impl Transform for ModuleCount {
    type In<'a> = Entry<'a>;
    type Out<'a> = Entered;

    fn row(&self, entry: Entry<'_>) -> Result<Entered, Reject> {
        Ok(Entered { module_id: cast!(entry.module_id as i64)? })
    }
}

fold! {
    ModuleCount: state version 1, group by module_id {
        module_number_count = Count<i64>(user_id),
    }
}

sluice_sdk::aggregator!(ModuleCount);

#[cfg(test)]
mod tests {
    use sluice_sdk::testing::{Null, Table, Trial, table};

    use super::*;

    fn metric() -> Result<Trial<ModuleCount>, String> {
        Trial::open("{}")
    }

    fn entries() -> Table {
        table! {
            user_id: i64, room_id: i64, module_id: &str;
            [3165, 20210813, "0000"],
            [Null, 20210813, "0"],
            [3166, 20210814, " 17 "],
            [3165, 20210815, "0000"],
            [Null, 20210816, "-3"],
            [3167, 20210817, "lobby"],
            [3168, 20210818, Null],
            [3169, 20210819, "9223372036854775808"],
        }
    }

    #[test]
    fn entries_with_a_user_are_counted_by_the_number_of_their_module() -> Result<(), String> {
        let expected = table! {
            module_id: i64, module_number_count: i64;
            [0, 2],
            [17, 1],
            [-3, 0],
        };
        assert_eq!(metric()?.aggregate(&entries())?.rows, expected);
        Ok(())
    }

    #[test]
    fn a_module_that_is_no_int64_rejects_its_entries() -> Result<(), String> {
        let expected = [
            (5, "`module_id`: \"lobby\" is not an int64".to_owned()),
            (6, "`module_id` is null".to_owned()),
            (7, "`module_id`: \"9223372036854775808\" is not an int64".to_owned()),
        ];
        assert_eq!(metric()?.aggregate(&entries())?.rejected, expected);
        Ok(())
    }

    #[test]
    fn it_doesnt_matter_how_the_host_splits_the_rows() -> Result<(), String> {
        metric()?.check_laws(&entries())
    }
}
