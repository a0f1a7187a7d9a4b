//! Check of a pipeline's tables: they must be the ones that its rows went to.
//!
//! The checkpoint keeps what each sink found, under `sink CONNECTION` the server's database and under `sink CONNECTION.TABLE` the
//! table itself. A start compares, and so does every flush (see [`Sink::found`](sluice_connectors::Sink::found)): one that finds
//! another table writes nothing and ends its run, and the next start says what came of it.
//!
//! | found                                                | an aggregator                             | a transformer                  |
//! |------------------------------------------------------|-------------------------------------------|--------------------------------|
//! | another database, and another table                  | stops: its totals may not go there unasked | stops                          |
//! | another server, and a table that was made at the same moment | goes on: it was moved, or a replica took over | goes on                |
//! | another table: dropped and made, emptied, rebuilt    | writes all groups again                   | says so, and how to read again |
//! | an empty table, and groups                           | writes all groups again                   | goes on: others may have taken the rows |
//! | a table that lacked columns                          | writes all groups again                   | says so, and how to read again |
//!
//! A sink with `delivery = "transaction"` has its intervals in the database, which says by itself what it lacks
//! ([`super::transaction`]); there only the table counts.

use std::collections::BTreeMap;

use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};

use super::flush::{OpenSink, Table};
use super::trouble::Trouble;
use crate::config::Pipeline;

/// Prefix of the names under which the checkpoint keeps the identities of sinks.
const SINK: &str = "sink ";

/// Number of groups that are read at once to be counted. Fewer: more calls. More: memory.
const COUNTED_AT_ONCE: usize = 8_192;

/// A sink's table as it is now.
struct Compared<'a> {
    connection: &'a str,
    /// `connection.table`.
    name: &'a str,
    database: Option<&'a str>,
    table: Option<&'a str>,
    is_empty: bool,
    is_widened: bool,
}

/// Compares the open tables with the identities in the checkpoint. Returns the reason for each table that lacks rows. `groups`
/// says that the pipeline is an aggregator and has groups.
pub fn compare(
    pipeline: &Pipeline,
    head: Option<&Checkpoint>,
    sinks: &[OpenSink],
    groups: bool,
) -> Result<Vec<String>, Trouble> {
    let Some(head) = head.filter(|head| head.commits > 0) else { return Ok(Vec::new()) };
    let (mut wrong, mut lacking) = (Vec::new(), Vec::new());
    // A sink that is new to the checkpoint gets everything in any case.
    for table in compared(pipeline, sinks).filter(|table| head.sinks.iter().any(|name| name == table.name)) {
        match lacks(&table, &head.identities, groups) {
            Lacks::Nothing => {}
            Lacks::Rows(reason) => lacking.push(reason),
            Lacks::Database(before, now) => {
                wrong.push(elsewhere(&pipeline.name, &table, head.form.is_some(), before, now));
            }
        }
    }
    if wrong.is_empty() { Ok(lacking) } else { Err(Trouble::Wrong(wrong)) }
}

/// Writes the identities of the open tables to the checkpoint.
pub fn note(head: &mut Checkpoint, pipeline: &Pipeline, sinks: &[OpenSink]) {
    for table in compared(pipeline, sinks) {
        let of_database = table.database.map(|database| (format!("{SINK}{}", table.connection), database));
        let of_table = table.table.map(|found| (format!("{SINK}{}", table.name), found));
        let found = [of_database, of_table].into_iter().flatten();
        head.identities.extend(found.map(|(key, value)| (key, value.to_owned())));
    }
}

fn compared<'a>(pipeline: &'a Pipeline, sinks: &'a [OpenSink]) -> impl Iterator<Item = Compared<'a>> {
    pipeline.sinks.iter().zip(sinks).map(|(sink, open)| {
        let found = open.table.found();
        Compared {
            connection: &sink.connection,
            name: &open.name,
            database: found.database.as_deref().filter(|_| matches!(open.table, Table::Upserts(_))),
            table: found.table.as_deref(),
            is_empty: found.is_empty,
            is_widened: found.is_widened,
        }
    })
}

/// Returns true if the pipeline has groups whose rows a table could lack. Blocks.
pub fn has_groups(pipeline: &str, head: Option<&Checkpoint>, store: &dyn CheckpointStore) -> Result<bool, StoreError> {
    if head.is_none_or(|head| head.form.is_none()) {
        return Ok(false);
    }
    Ok(!store.scan(pipeline, None, 1)?.is_empty())
}

/// Forgets which databases and tables the rows went to: the next start takes those that it finds.
pub fn forget(head: &mut Checkpoint) {
    head.identities.retain(|key, _| !key.starts_with(SINK));
}

/// Makes the next start write all groups again, to whatever tables there are; answers how many groups. Blocks. Once it has answered,
/// a crash changes nothing: the checkpoint says it.
pub fn begin_again(pipeline: &str, store: &dyn CheckpointStore) -> Result<u64, String> {
    let words = |error: StoreError| error.to_string();
    let head = store.head(pipeline).map_err(words)?;
    let mut head = head.ok_or_else(|| format!("{pipeline} has no checkpoint yet, and so nothing to write again"))?;
    if head.form.is_none() {
        return Err(no_groups(pipeline));
    }
    forget(&mut head);
    head.refreshing = true;
    head.commits += 1;
    store.commit(pipeline, &head, &Changes::default()).map_err(words)?;
    count(pipeline, store).map_err(words)
}

/// Returns the reason why a pipeline without an aggregator can't write its rows again.
pub fn no_groups(pipeline: &str) -> String {
    format!(
        "{pipeline} has no aggregator, and so no groups to write again: to write the rows of all records that the topic still has, end \
         the service and run `sluice state reset {pipeline}` with source.start = \"earliest\""
    )
}

fn count(pipeline: &str, store: &dyn CheckpointStore) -> Result<u64, StoreError> {
    let (mut groups, mut after) = (0, None);
    loop {
        let found = store.scan(pipeline, after.as_deref(), COUNTED_AT_ONCE)?;
        let Some((last, _)) = found.last() else { return Ok(groups) };
        groups += found.len() as u64;
        after = Some(last.clone());
    }
}

enum Lacks<'a> {
    Nothing,
    Rows(String),
    /// The database is another one: before and now.
    Database(&'a str, &'a str),
}

fn lacks<'a>(table: &Compared<'a>, identities: &'a BTreeMap<String, String>, groups: bool) -> Lacks<'a> {
    let before = |name: &str| identities.get(&format!("{SINK}{name}")).map(String::as_str);
    let (known, database) = (before(table.name), before(table.connection));
    let name = table.name;
    if let (Some(was), Some(now)) = (database, table.database)
        && was != now
        && !(known.is_some() && known == table.table && same_name(was, now))
    {
        return Lacks::Database(was, now);
    }
    match (known, table.table) {
        (Some(was), Some(now)) if was != now => {
            let rows = if table.is_empty { "it has no row" } else { "it has rows" };
            Lacks::Rows(format!("table {name} is another than the one that rows went to: {now}, before {was}; {rows}"))
        }
        _ if table.is_widened && !table.is_empty => {
            Lacks::Rows(format!("table {name} was given columns, in which the rows that it had have null"))
        }
        _ if table.is_empty && groups => Lacks::Rows(format!("table {name} has none of the rows that went to it")),
        _ => Lacks::Nothing,
    }
}

/// Returns true if two databases have the same name, on whichever servers.
fn same_name(one: &str, other: &str) -> bool {
    let name = |database: &str| database.split(" of the server ").next().map(str::to_owned);
    name(one) == name(other)
}

fn elsewhere(pipeline: &str, table: &Compared<'_>, folds: bool, before: &str, now: &str) -> String {
    let (name, connection) = (table.name, table.connection);
    let there = if folds {
        format!("to write all groups there, run `sluice resync {pipeline}`")
    } else {
        format!("to write there what the topic still has, end the service and run `sluice state reset {pipeline}`")
    };
    format!(
        "the rows of {name} went to {before}, and connection `{connection}` now leads to {now}: {there}; if the rows are there already \
         (a copy, or a replica that took over), end the service and run `sluice state adopt {pipeline}`; else correct the url of \
         `{connection}`"
    )
}

/// Returns the message about a transformer's tables that lack rows, which nobody here can make again.
pub fn lost(pipeline: &Pipeline, lacking: &[String]) -> String {
    let (name, why) = (&pipeline.name, lacking.join("; "));
    let again = match pipeline.transaction() {
        Some(_) => format!(
            "end the service, DELETE FROM {} WHERE pipeline = '{name}', and start it again",
            sluice_connectors::transaction::TABLE
        ),
        None => format!(
            "end the service, run `sluice state reset {name}` with source.start = \"earliest\", and start it again"
        ),
    };
    format!(
        "{why}. A table that was altered, or brought back with its rows, lacks nothing; any other gets the rows of new records \
         only. To write those of all records that the topic still has, {again}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "database `live` of the server 1";
    const TWO: &str = "database `live` of the server 2";
    const OTHER: &str = "database `test` of the server 1";

    fn verdict(known: (&str, &str), found: (&str, &str), is_empty: bool, groups: bool) -> &'static str {
        let identities = BTreeMap::from([
            ("sink livedb".to_owned(), known.0.to_owned()),
            ("sink livedb.gifts".to_owned(), known.1.to_owned()),
        ]);
        let table = Compared {
            connection: "livedb",
            name: "livedb.gifts",
            database: Some(found.0),
            table: Some(found.1),
            is_empty,
            is_widened: false,
        };
        match lacks(&table, &identities, groups) {
            Lacks::Nothing => "nothing",
            Lacks::Rows(_) => "rows",
            Lacks::Database(..) => "database",
        }
    }

    #[test]
    fn another_database_is_told_from_one_that_was_moved() {
        assert_eq!(verdict((ONE, "a"), (ONE, "a"), false, true), "nothing");
        assert_eq!(verdict((ONE, "a"), (TWO, "a"), false, true), "nothing", "moved, or a replica");
        assert_eq!(verdict((ONE, "a"), (TWO, "b"), false, true), "database");
        assert_eq!(verdict((ONE, "a"), (OTHER, "a"), false, true), "database");
    }

    #[test]
    fn another_table_lacks_rows_and_so_does_an_empty_one_under_groups() {
        assert_eq!(verdict((ONE, "a"), (ONE, "b"), false, false), "rows");
        assert_eq!(verdict((ONE, "a"), (ONE, "a"), true, true), "rows");
        assert_eq!(verdict((ONE, "a"), (ONE, "a"), true, false), "nothing");
    }
}
