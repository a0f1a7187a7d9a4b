//! A table for a pipeline's lane.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sluice_core::lookup::{Found, Lookup, LookupError};

use super::table::{self, Stamp, Table};
use crate::lookup::{InstantSource, LookupColumn};

/// The least time between two looks at the file. A look costs microseconds; a batch may come every millisecond.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Columns of a CSV table, by row key.
pub struct CsvLookup {
    path: PathBuf,
    columns: Vec<LookupColumn>,
    clock: InstantSource,
    table: Table,
    looked: Instant,
    /// The change that couldn't be read, so that it is told once.
    refused: Option<Option<Stamp>>,
}

impl CsvLookup {
    pub(super) fn open(
        path: PathBuf,
        columns: &[LookupColumn],
        clock: InstantSource,
    ) -> Result<CsvLookup, LookupError> {
        let table = Table::read(&path, columns)?;
        let looked = clock();
        Ok(CsvLookup { path, columns: columns.to_vec(), clock, table, looked, refused: None })
    }

    /// Reads the file again if it changed.
    fn look(&mut self) {
        let now = (self.clock)();
        if now.saturating_duration_since(self.looked) < LOOK_AGAIN {
            return;
        }
        self.looked = now;
        let stamp = table::stamp(&self.path);
        let seen = stamp.as_ref().ok().copied();
        if seen == Some(self.table.stamp) || self.refused == Some(seen) {
            return;
        }
        match stamp.and_then(|_| Table::read(&self.path, &self.columns)) {
            Ok(table) => {
                self.table = table;
                self.refused = None;
            }
            Err(e) => {
                self.refused = Some(seen);
                tracing::warn!("the lookup goes on with the rows that it has: {e}");
            }
        }
    }
}

impl Lookup for CsvLookup {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        self.look();
        self.table.get(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use arrow_array::cast::AsArray;
    use proptest::prelude::*;
    use sluice_core::Kind;

    use super::*;
    use crate::csv::CsvConnection;
    use crate::lookup::LookupTable;
    use crate::roles::LookupRole;

    struct Fixture {
        directory: tempfile::TempDir,
        now: Arc<Mutex<Instant>>,
    }

    impl Fixture {
        fn new(text: &[u8]) -> Fixture {
            let fixture =
                Fixture { directory: tempfile::tempdir().unwrap(), now: Arc::new(Mutex::new(Instant::now())) };
            fixture.write(text);
            fixture
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("rooms.csv")
        }

        fn write(&self, text: &[u8]) {
            std::fs::write(self.path(), text).unwrap();
        }

        fn open(&self, columns: &[&str]) -> Result<CsvLookup, LookupError> {
            let what = LookupTable::new("rooms", "", columns.iter().map(|name| (*name, Kind::Utf8)));
            let now = Arc::clone(&self.now);
            let clock: InstantSource = Arc::new(move || *now.lock().unwrap());
            connection(self.directory.path()).lookup_with_clock(&what, clock)
        }

        fn later(&self) {
            *self.now.lock().unwrap() += LOOK_AGAIN;
        }

        fn refusal(text: &[u8]) -> String {
            let fixture = Fixture::new(text);
            let Err(LookupError::Unusable(message)) = fixture.open(&["cf:module_id"]) else { panic!("taken") };
            assert!(message.starts_with(&fixture.path().display().to_string()), "{message}");
            message[fixture.path().display().to_string().len()..].to_string()
        }
    }

    fn connection(directory: &Path) -> CsvConnection {
        CsvConnection { directory: directory.into() }
    }

    fn texts(lookup: &mut CsvLookup, keys: &[&str]) -> Vec<Option<String>> {
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let found = lookup.get(&keys).unwrap();
        found.columns[0].as_string::<i32>().iter().map(|text| text.map(String::from)).collect()
    }

    #[test]
    fn a_key_that_is_not_there_is_not_found_and_an_empty_field_is_null() {
        let fixture = Fixture::new("rowkey,cf:name,cf:module_id\n1,一,0001\n2,二,\n".as_bytes());
        let mut lookup = fixture.open(&["cf:module_id", "cf:name"]).unwrap();
        let found = lookup.get(&[b"2", b"nope", b"1"]).unwrap();
        assert_eq!(found.found, [true, false, true]);
        let column = |i: usize| found.columns[i].as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(column(0), [None, None, Some("0001")]);
        assert_eq!(column(1), [Some("二"), None, Some("一")]);
    }

    #[test]
    fn no_keys_are_answered_by_nothing() {
        let mut lookup = Fixture::new(b"rowkey,a\n").open(&["a"]).unwrap();
        let found = lookup.get(&[]).unwrap();
        assert!(found.found.is_empty() && found.columns[0].is_empty());
    }

    #[test]
    fn a_change_is_seen_a_second_later_and_not_before() {
        let fixture = Fixture::new(b"rowkey,a\n1,old\n");
        let mut lookup = fixture.open(&["a"]).unwrap();
        fixture.write(b"rowkey,a\n1,new one\n");
        assert_eq!(texts(&mut lookup, &["1"]), [Some("old".into())]);
        fixture.later();
        assert_eq!(texts(&mut lookup, &["1"]), [Some("new one".into())]);
    }

    #[test]
    fn rows_stay_while_the_file_cant_be_read() {
        let fixture = Fixture::new(b"rowkey,a\n1,old\n");
        let mut lookup = fixture.open(&["a"]).unwrap();
        std::fs::remove_file(fixture.path()).unwrap();
        fixture.later();
        assert_eq!(texts(&mut lookup, &["1"]), [Some("old".into())]);
        fixture.write(b"rowkey,a\n1\n");
        fixture.later();
        assert_eq!(texts(&mut lookup, &["1"]), [Some("old".into())]);
        fixture.write(b"rowkey,a\n1,newer\n");
        fixture.later();
        assert_eq!(texts(&mut lookup, &["1"]), [Some("newer".into())]);
    }

    #[test]
    fn what_cant_be_read_is_told_with_file_and_line() {
        assert_eq!(
            Fixture::refusal(b"rowkey,b\n1,x\n"),
            ", line 1: the header has no column cf:module_id; it has rowkey, b: add it, or name another one"
        );
        assert_eq!(
            Fixture::refusal(b"rowkey,cf:module_id\n1,x\n2,y,z\n"),
            ", line 3: 3 fields, where the header has 2: correct the line"
        );
        assert_eq!(Fixture::refusal(b"rowkey,cf:module_id\n1,\xff\n"), ", line 2: no UTF-8 text: correct the line");
    }

    #[test]
    fn a_file_that_is_missing_or_elsewhere_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        for (table, what) in
            [("rooms", "is missing: write it"), ("../rooms", "can't be a table"), ("", "can't be a table")]
        {
            let Err(LookupError::Unusable(message)) =
                connection(directory.path()).check_lookup(&LookupTable::new(table, "", []))
            else {
                panic!()
            };
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_unread() {
        let fixture = Fixture::new(b"");
        std::fs::File::create(fixture.path()).unwrap().set_len((64 << 20) + 1).unwrap();
        let Err(LookupError::Unusable(message)) = fixture.open(&["a"]) else { panic!() };
        assert!(message.contains("larger than 64 MiB"), "{message}");
    }

    proptest! {
        #[test]
        fn the_last_line_of_a_key_counts(
            lines in proptest::collection::vec(("[a-c\",\n ]{0,2}", "[a-z\"\n,]{1,3}"), 0..30),
            ask in proptest::collection::btree_set("[a-c\",\n ]{0,2}", 0..10),
        ) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            writer.write_record(["rowkey", "a"]).unwrap();
            lines.iter().for_each(|(key, value)| writer.write_record([key, value]).unwrap());
            let fixture = Fixture::new(&writer.into_inner().unwrap());
            let last: BTreeMap<_, _> = lines.into_iter().collect();
            let mut lookup = fixture.open(&["a"]).unwrap();
            let keys: Vec<_> = ask.iter().map(String::as_str).collect();
            let expected: Vec<_> = keys.iter().map(|key| last.get(*key).cloned()).collect();
            prop_assert_eq!(texts(&mut lookup, &keys), expected);
        }
    }
}
