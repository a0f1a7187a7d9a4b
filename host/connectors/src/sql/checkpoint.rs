//! The table of intervals: its statements, and whether a transaction fits on what it says.

use std::collections::BTreeMap;

use sluice_core::dead_letter::LetterId;
use sluice_core::{Interval, Offset, Partition};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::dialect::Dialect;
use super::letters::{Argument, Statement};
use crate::sink::SinkError;
use crate::transaction::{Ledger, TABLE, Written};

/// The line of retried dead letters: no partition has this number.
const RETRIES: Partition = Partition(-1);

/// The most lines that a statement stores: few placeholders.
const STORED_AT_ONCE: usize = 1_000;

/// The statements of one pipeline's intervals.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointSql {
    dialect: Dialect,
    pipeline: String,
    topic: String,
    host: String,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    topic: String,
    partition: Partition,
    interval: Interval,
    host: String,
    written_at: String,
    retried: String,
}

/// The point that the database is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionPoint {
    /// The point where the transaction begins.
    Before,
    /// The rows are where this transaction ends, and this host wrote them: it was committed, and the answer was lost.
    After,
}

impl CheckpointSql {
    pub(crate) fn new(dialect: Dialect, ledger: &Ledger) -> CheckpointSql {
        CheckpointSql {
            dialect,
            pipeline: ledger.pipeline.clone(),
            topic: ledger.topic.clone(),
            host: ledger.host.clone(),
        }
    }

    /// The statement that makes the table if it is missing.
    pub(crate) fn create_table(dialect: Dialect) -> String {
        let table = dialect.quote(TABLE);
        let (text, offset, time, long, options) = match dialect {
            Dialect::Mysql => (
                "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                "BIGINT",
                "DATETIME(6)",
                "LONGTEXT",
                " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            ),
            Dialect::Sqlite => ("TEXT", "INTEGER", "TEXT", "TEXT", " WITHOUT ROWID"),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (pipeline {text} NOT NULL, topic {text} NOT NULL, record_partition {offset} \
             NOT NULL, start_offset {offset} NOT NULL, end_offset {offset} NOT NULL, host {text} NOT NULL, written_at {time} \
             NOT NULL, retried {long} NOT NULL, PRIMARY KEY (pipeline, topic, record_partition)){options}"
        )
    }

    /// Selects all lines of a pipeline.
    pub(crate) fn all(dialect: Dialect, pipeline: &str) -> Statement {
        let time = match dialect {
            Dialect::Mysql => "DATE_FORMAT(written_at, '%Y-%m-%d %H:%i:%s')",
            Dialect::Sqlite => "written_at",
        };
        let mut statement = Statement::new(format!(
            "SELECT topic, record_partition, start_offset, end_offset, host, {time}, retried FROM {} WHERE pipeline = ?",
            dialect.quote(TABLE)
        ));
        statement.arguments.push(Argument::Text(pipeline.to_owned()));
        statement
    }

    /// Selects the lines that say whether a transaction fits, and holds them against others until it ends.
    pub(crate) fn lock(&self, before: &Written, after: &Written) -> Statement {
        let mut statement = CheckpointSql::all(self.dialect, &self.pipeline);
        let partitions: Vec<_> = asked(before, after).keys().map(|partition| partition.to_string()).collect();
        statement.sql.push_str(&format!(" AND topic = ? AND record_partition IN ({})", partitions.join(",")));
        statement.arguments.push(Argument::Text(self.topic.clone()));
        // SQLite's transactions are immediate: there is one writer.
        if self.dialect == Dialect::Mysql {
            statement.sql.push_str(" FOR UPDATE");
        }
        statement
    }

    /// A statement of each kind that a transaction takes.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let (before, mut after) = (Written::default(), Written::default());
        if let Some(interval) = Interval::new(Offset(0), Offset(1)) {
            let _ = after.intervals.extend(Partition(0), interval);
        }
        let store = self.store(&before, &after);
        [self.lock(&before, &after)].into_iter().chain(store).map(|statement| statement.sql).collect()
    }

    /// Says whether a transaction fits on these lines; else a sentence with both numbers.
    pub(crate) fn compare(
        &self,
        lines: &[CheckpointRow],
        before: &Written,
        after: &Written,
    ) -> Result<TransactionPoint, String> {
        let asked = asked(before, after);
        let line = |partition| lines.iter().find(|line| line.partition == partition);
        let is_at = |end: fn(&Movement) -> Option<Offset>| {
            asked.iter().all(|(partition, step)| line(*partition).map(|line| line.interval.end()) == end(step))
        };
        if is_at(|step| step.before) {
            return Ok(TransactionPoint::Before);
        }
        // Another host that reads the same may be as far; and its retries count as many, but of other letters.
        let ours = asked.keys().all(|partition| line(*partition).is_none_or(|line| line.host == self.host))
            && line(RETRIES).is_none_or(|line| line.retried == retried_text(&after.retried));
        if is_at(|step| step.after) && ours {
            return Ok(TransactionPoint::After);
        }
        let is_wrong = |(partition, step): &(&Partition, &Movement)| {
            line(**partition).map(|line| line.interval.end()) != step.before
        };
        let wrong = asked.iter().find(is_wrong);
        Err(wrong.map_or_else(String::new, |(partition, step)| self.misfit(*partition, step, line(*partition))))
    }

    fn misfit(&self, partition: Partition, step: &Movement, line: Option<&CheckpointRow>) -> String {
        let shown = |offset: Option<Offset>| offset.map_or_else(|| "the beginning".to_owned(), |end| end.to_string());
        let (has, begins) = (shown(line.map(|line| line.interval.end())), shown(step.before));
        let who = line.map_or_else(
            || "somebody removed its line".to_owned(),
            |line| format!("{} wrote that at {} UTC", line.host, line.written_at),
        );
        let what = match partition {
            RETRIES => "retries of dead letters".to_owned(),
            partition => format!("partition {partition} of topic `{}`", self.topic),
        };
        format!(
            "{what}: the rows in the table are up to {has}, these begin at {begins}, so they are not written: {who}; this is \
             {}. Let one host run the pipeline `{}`; it goes on from where the table is when it starts again",
            self.host, self.pipeline
        )
    }

    /// Stores how far the rows are now.
    pub(crate) fn store(&self, before: &Written, after: &Written) -> Vec<Statement> {
        let known: BTreeMap<_, _> = before.intervals.iter().collect();
        let changed = after.intervals.iter().filter(|(partition, interval)| known.get(partition) != Some(interval));
        let mut lines: Vec<_> = changed.map(|(partition, interval)| (partition, interval, String::new())).collect();
        if (before.retries, &before.retried) != (after.retries, &after.retried)
            && let Some(interval) = Interval::new(Offset(0), Offset(after.retries))
        {
            lines.push((RETRIES, interval, retried_text(&after.retried)));
        }
        lines.chunks(STORED_AT_ONCE).map(|lines| self.store_lines(lines)).collect()
    }

    fn store_lines(&self, lines: &[(Partition, Interval, String)]) -> Statement {
        let (now, conflict) = match self.dialect {
            Dialect::Mysql => ("UTC_TIMESTAMP(6)", "ON DUPLICATE KEY UPDATE"),
            Dialect::Sqlite => (
                "STRFTIME('%Y-%m-%d %H:%M:%f', 'now')",
                "ON CONFLICT (pipeline, topic, record_partition) DO UPDATE SET",
            ),
        };
        let new = |column: &str| match self.dialect {
            Dialect::Mysql => format!("VALUES({column})"),
            Dialect::Sqlite => format!("excluded.{column}"),
        };
        let row = format!("(?, ?, ?, ?, ?, ?, {now}, ?)");
        let set: Vec<_> = ["start_offset", "end_offset", "host", "written_at", "retried"]
            .iter()
            .map(|column| format!("{column} = {}", new(column)))
            .collect();
        let mut statement = Statement::new(format!(
            "INSERT INTO {} (pipeline, topic, record_partition, start_offset, end_offset, host, written_at, retried) VALUES \
             {} {conflict} {}",
            self.dialect.quote(TABLE),
            vec![row; lines.len()].join(", "),
            set.join(", "),
        ));
        for (partition, interval, retried) in lines {
            statement.arguments.extend([
                Argument::Text(self.pipeline.clone()),
                Argument::Text(self.topic.clone()),
                Argument::Integer(partition.0.into()),
                Argument::Integer(interval.start().0),
                Argument::Integer(interval.end().0),
                Argument::Text(self.host.clone()),
                Argument::Text(retried.clone()),
            ]);
        }
        statement
    }
}

/// A step says where a line is before and after a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Movement {
    before: Option<Offset>,
    after: Option<Offset>,
}

/// The lines that a transaction hangs on: those that it changes. Where it changes none, all: a fold that writes its groups
/// again must still be the one that wrote them.
fn asked(before: &Written, after: &Written) -> BTreeMap<Partition, Movement> {
    let partitions = after.intervals.iter().map(|(partition, interval)| {
        (partition, Movement { before: before.intervals.end(partition), after: Some(interval.end()) })
    });
    let count = |retries: i64| Some(Offset(retries)).filter(|count| count.0 > 0);
    let retries = (RETRIES, Movement { before: count(before.retries), after: count(after.retries) });
    let all: BTreeMap<_, _> = partitions.chain([retries]).collect();
    let changed: BTreeMap<_, _> =
        all.iter().filter(|(_, step)| step.before != step.after).map(|(p, step)| (*p, *step)).collect();
    if changed.is_empty() { all } else { changed }
}

fn retried_text(retried: &[LetterId]) -> String {
    // A list of texts and numbers has no form that could fail.
    if retried.is_empty() { String::new() } else { serde_json::to_string(retried).unwrap_or_default() }
}

/// Says how far the rows are, of a pipeline that reads this topic.
///
/// # Errors
/// The pipeline's lines are of another topic only, or a line isn't ours.
pub(crate) fn written(lines: &[CheckpointRow], pipeline: &str, topic: &str) -> Result<Written, SinkError> {
    let mut written = Written::default();
    if let Some(other) = lines.first().filter(|_| lines.iter().all(|line| line.topic != topic)) {
        return Err(SinkError::Unusable(format!(
            "`{TABLE}` has the pipeline `{pipeline}` at the topic `{}`, not at `{topic}`; undo the change, name the pipeline \
             otherwise, or start its rows over with DELETE FROM {TABLE} WHERE pipeline = '{pipeline}'",
            other.topic
        )));
    }
    for line in lines.iter().filter(|line| line.topic == topic) {
        if line.partition == RETRIES {
            written.retries = line.interval.end().0;
            if !line.retried.is_empty() {
                written.retried = serde_json::from_str(&line.retried).map_err(|error| {
                    SinkError::Unusable(format!(
                        "`retried` in `{TABLE}` of pipeline `{pipeline}` can't be read: {error}"
                    ))
                })?;
            }
        } else {
            // Each partition is there once, and a first interval always fits.
            let _ = written.intervals.extend(line.partition, line.interval);
        }
    }
    Ok(written)
}

/// A row of the statements that select.
pub(crate) fn line<'r, R>(row: &'r R) -> Result<CheckpointRow, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let unfit = |what: String| sqlx::Error::Decode(format!("`{TABLE}`: {what}").into());
    let (number, start, end): (i64, i64, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let partition = i32::try_from(number).map_err(|_| unfit(format!("{number} is no partition")))?;
    let interval = Interval::new(Offset(start), Offset(end))
        .ok_or_else(|| unfit(format!("partition {partition} ends at {end}, before it starts at {start}")))?;
    Ok(CheckpointRow {
        topic: row.try_get(0)?,
        partition: Partition(partition),
        interval,
        host: row.try_get(4)?,
        written_at: row.try_get(5)?,
        retried: row.try_get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::Target;

    fn sql() -> CheckpointSql {
        let target = Target { table: "t".into(), key: vec![], create: false, ..Target::default() };
        let [pipeline, topic, host] = ["p", "t", "me"].map(str::to_owned);
        CheckpointSql::new(Dialect::Sqlite, &Ledger { target, pipeline, topic, letters: None, host })
    }

    fn written(ends: &[i64], retries: i64) -> Written {
        let mut written = Written { retries, ..Written::default() };
        for (partition, end) in (0..).zip(ends) {
            let interval = Interval::new(Offset(0), Offset(*end)).unwrap();
            written.intervals.extend(Partition(partition), interval).unwrap();
        }
        written
    }

    /// Returns the lines of a database to which these intervals were written.
    fn lines(written: &Written, host: &str) -> Vec<CheckpointRow> {
        let line = |(partition, interval)| CheckpointRow {
            topic: "t".into(),
            partition,
            interval,
            host: host.to_owned(),
            written_at: "2026-01-31 12:00:00".into(),
            retried: String::new(),
        };
        let retries = Interval::new(Offset(0), Offset(written.retries)).filter(|interval| !interval.is_empty());
        written.intervals.iter().chain(retries.map(|interval| (RETRIES, interval))).map(line).collect()
    }

    proptest! {
        #[test]
        fn a_transaction_fits_where_it_begins_is_known_where_it_ended_and_is_refused_elsewhere(
            steps in prop::collection::vec((0i64..3, 0i64..3), 1..4), retries in (0i64..2, 0i64..2),
            elsewhere in prop::collection::vec(0i64..6, 1..4), host in prop::sample::select(vec!["me", "somebody"]),
        ) {
            let mine = host == "me";
            let before: Vec<i64> = steps.iter().map(|(start, _)| *start).collect();
            let after: Vec<i64> = steps.iter().map(|(start, more)| start + more).collect();
            let (before, after) = (written(&before, retries.0), written(&after, retries.0 + retries.1));
            prop_assert_eq!(sql().compare(&lines(&before, host), &before, &after), Ok(TransactionPoint::Before));
            match sql().compare(&lines(&after, host), &before, &after) {
                Ok(found) => prop_assert_eq!(found, if before == after { TransactionPoint::Before } else { TransactionPoint::After }),
                Err(misfit) => prop_assert!(!mine && before != after && misfit.contains(host), "{misfit}"),
            }
            // Of partitions that the transaction doesn't change nothing is asked: they may be another host's.
            let there = written(&elsewhere, retries.0);
            let at = |w: &Written, p| if p == RETRIES { Some(Offset(w.retries)).filter(|n| n.0 > 0) } else { w.intervals.end(p) };
            let asked = asked(&before, &after);
            let fits = |w: &Written| asked.keys().all(|p| at(&there, *p) == at(w, *p));
            let fit = sql().compare(&lines(&there, host), &before, &after).is_ok();
            prop_assert_eq!(fit, fits(&before) || mine && fits(&after));
        }

        #[test]
        fn what_is_stored_is_what_was_written(ends in prop::collection::vec(0i64..100, 0..5), retries in 0i64..3) {
            let there = written(&ends, retries);
            prop_assert_eq!(super::written(&lines(&there, "me"), "p", "t").unwrap(), there);
        }
    }

    #[test]
    fn a_refusal_names_both_numbers_and_who_wrote() {
        let there = lines(&written(&[7], 0), "somebody");
        let refusal = sql().compare(&there, &written(&[3], 0), &written(&[5], 0)).unwrap_err();
        for part in
            ["partition 0 of topic `t`", "up to 7", "begin at 3", "somebody wrote that at 2026-01-31", "this is me"]
        {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn lines_of_another_topic_alone_are_refused() {
        assert!(super::written(&lines(&written(&[7], 0), "me"), "p", "other").is_err());
    }

    #[test]
    fn nothing_is_stored_where_nothing_changed() {
        let there = written(&[1, 2], 1);
        assert!(sql().store(&there, &there).is_empty());
        assert_eq!(sql().store(&there, &written(&[1, 3], 1)).len(), 1);
    }
}
