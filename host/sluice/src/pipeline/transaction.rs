//! `delivery = "transaction"`: rows and consumed intervals in one transaction of the table's database.
//!
//! Then two places say how far a pipeline is: the database (of the rows), and the checkpoint store here (of the states). A flush
//! commits to the database first, so a crash in between leaves the database one flush ahead. Which of the two a start believes
//! depends on what the pipeline keeps:
//!
//! | the pipeline ends in | goes on from | where the two differ                                                                   |
//! |----------------------|--------------|----------------------------------------------------------------------------------------|
//! | a transformer        | the database | the checkpoint follows: ahead, after a crash, or as the state directory is new; behind, as the database was restored: records are read again, and their rows, which are gone, are written |
//! | an aggregator        | the checkpoint | rows ahead: records are read again into the states they were in, and nothing is written before the rows' place is passed; rows behind, as the database was restored: every group is written again |
//!
//! | start finds                                          | and then                                                       |
//! |------------------------------------------------------|----------------------------------------------------------------|
//! | no intervals in the database, and there never were    | goes on from the checkpoint, if there is one, and tells the database |
//! | none any more (it is empty, or another)               | reads again from where the pipeline began                       |
//! | intervals, and no checkpoint of an aggregator          | refuses: states of those rows are elsewhere                     |
//! | intervals of another topic only                        | refuses                                                         |
//!
//! Other sinks of the pipeline are written before the transaction, under their keys: what a crash in between has them see twice
//! changes nothing. Dead letters go into the transaction where they are in the same database, else before it. The ids of retried
//! letters are in it: the checkpoint store may be a flush behind, and a record must not be driven through twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::sink::SinkError;
use sluice_connectors::source::{Source, SourceError};
use sluice_connectors::transaction::{TABLE, Transaction, Written};
use sluice_core::chain::Chain;
use sluice_core::checkpoint::Checkpoint;
use sluice_core::{Interval, Offset, Partition};

use super::assemble::Trouble;
use super::flush::{Flush, FlushError, Flusher, OpenSink, Patience, Table, Unwritten};
use super::poison::Searches;
use super::status::Status;
use crate::config::{Delivery, Pipeline, Sink};
use crate::connections::Connections;

/// Where each partition goes on.
type Ends = BTreeMap<Partition, Offset>;

/// Why a sink without a key can't take these rows, if it can't.
pub fn keyless(sink: &Sink, folds: bool) -> Option<String> {
    let refused = sink.delivery == Delivery::Transaction && sink.key.is_empty() && folds;
    refused.then(|| format!("the rows of an aggregator change, and the sink of table `{}` has no key", sink.table))
}

/// How far the pipeline's rows are, as the database has it.
pub async fn written(pipeline: &Pipeline, connections: &Arc<Connections>) -> Result<Written, Trouble> {
    let Some(sink) = pipeline.transaction() else { return Ok(Written::default()) };
    connections.written(pipeline, sink).await.map_err(|error| match error {
        SinkError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    })
}

/// The checkpoint to go on from, in agreement with the rows.
pub fn reconcile(
    pipeline: &Pipeline,
    head: Option<Checkpoint>,
    written: &Written,
) -> Result<Option<Checkpoint>, Trouble> {
    let Some(sink) = pipeline.transaction() else { return Ok(head) };
    match head {
        Some(head) if head.form.is_some() => Ok(Some(with_states(head, written))),
        Some(head) => {
            let before = head.intervals.ends();
            let head = without_states(head, &sink.connection, written);
            say(pipeline, sink, &before, &head.intervals.ends());
            Ok(Some(head))
        }
        None if written.intervals.ends().is_empty() => Ok(None),
        None => {
            let head = Checkpoint { topic: pipeline.source.topic.clone(), ..Checkpoint::default() };
            Ok(Some(without_states(head, &sink.connection, written)))
        }
    }
}

/// States are here, so reading goes on from them. Rows that lack some of what they hold are written again.
fn with_states(mut head: Checkpoint, written: &Written) -> Checkpoint {
    let lacks = |(partition, end): (&Partition, &Offset)| written.intervals.end(*partition).is_none_or(|at| at < *end);
    head.refreshing |= head.intervals.ends().iter().any(lacks);
    head
}

/// The rows are all there is, so reading goes on from them.
fn without_states(mut head: Checkpoint, connection: &str, written: &Written) -> Checkpoint {
    let told = head.transaction.as_deref() == Some(connection);
    if written.intervals.ends().is_empty() && !told {
        return head;
    }
    let mut intervals = written.intervals.clone();
    for (partition, interval) in head.intervals.iter().filter(|(partition, _)| intervals_lack(written, *partition)) {
        // Rows that the database had and doesn't have any more begin where reading did.
        let nothing = Interval::new(interval.start(), interval.start()).unwrap_or(interval);
        // The first interval of a partition always fits.
        let _ = intervals.extend(partition, if told { nothing } else { interval });
    }
    head.intervals = intervals;
    head.retried.clone_from(&written.retried);
    head
}

fn intervals_lack(written: &Written, partition: Partition) -> bool {
    written.intervals.end(partition).is_none()
}

fn say(pipeline: &Pipeline, sink: &Sink, before: &Ends, after: &Ends) {
    if before == after {
        return;
    }
    let behind = before.iter().any(|(partition, end)| after.get(partition).is_some_and(|at| at < end));
    let (before, after) = (shown(before), shown(after));
    let place = format!("{}.{}", sink.connection, sink.table);
    if behind {
        tracing::warn!(
            pipeline = pipeline.name,
            "the rows in {place} are up to {after}, the checkpoint here ends at {before}: going on from the rows, so records \
             are read again; was the database restored?"
        );
    } else {
        tracing::info!(
            pipeline = pipeline.name,
            "the rows in {place} are up to {after}, the checkpoint here ends at {before}: going on from the rows"
        );
    }
}

/// Partitions and offsets as people read them.
fn shown(ends: &Ends) -> String {
    let ends: Vec<_> = ends.iter().map(|(partition, end)| format!("{partition}:{end}")).collect();
    if ends.is_empty() { "nothing".to_owned() } else { ends.join(" ") }
}

/// Refuses to count from nothing where rows say that there were states. `head` is the one that reading began from.
pub fn check_fold(
    pipeline: &Pipeline,
    head: Option<&Checkpoint>,
    chain: &Chain,
    written: &Written,
) -> Result<(), Trouble> {
    let stateless = head.is_none_or(|head| head.commits == 0);
    if chain.fold().is_none() || !stateless || written.intervals.ends().is_empty() {
        return Ok(());
    }
    let name = &pipeline.name;
    Err(Trouble::wrong(format!(
        "the rows are of records up to {}, as `{TABLE}` says, and there is no checkpoint here with the states that made them: \
         bring the state directory back, `sluice state import` them, or start over with DELETE FROM {TABLE} WHERE pipeline = \
         '{name}'",
        shown(&written.intervals.ends())
    )))
}

/// Refuses a topic that ends before the rows of a fold do: they would wait for records that never come. Blocks.
pub fn check_topic(head: Option<&Checkpoint>, written: &Written, source: &mut dyn Source) -> Result<(), SourceError> {
    let ahead = head.map(|head| rows_ahead(head, written)).unwrap_or_default();
    if ahead.is_empty() {
        return Ok(());
    }
    let ends = source.ends()?;
    match ahead.iter().find(|(partition, end)| ends.get(partition).is_none_or(|at| at < end)) {
        None => Ok(()),
        Some((partition, end)) => {
            let there = ends.get(partition).copied().unwrap_or(Offset(0));
            Err(SourceError::Unusable(format!(
                "partition {partition}: the rows are of records up to {end}, as `{TABLE}` says, and the topic ends at {there}; \
                 was it made anew? Then start over: name the pipeline otherwise, or remove its checkpoint and its lines in \
                 `{TABLE}`"
            )))
        }
    }
}

/// Where the rows of a fold are, of the partitions in which they are ahead of its states.
pub fn rows_ahead(head: &Checkpoint, written: &Written) -> Ends {
    let is_ahead = |(partition, end): &(Partition, Offset)| head.intervals.end(*partition).is_some_and(|at| at < *end);
    written.intervals.ends().into_iter().filter(is_ahead).collect()
}

impl Flusher {
    /// Whether dead letters are written with the rows.
    pub(super) fn transaction_takes_letters(&self) -> bool {
        let mut tables = self.sinks.iter().map(|sink| &sink.table);
        tables.any(|table| matches!(table, Table::Transactions(sink) if sink.takes_letters()))
    }

    /// Rows, letters and intervals, once; what the server refuses is left out of the flush. Without such a sink, nothing.
    pub(super) async fn commit_transaction(&mut self, flush: &mut Flush) -> Result<(), FlushError> {
        let is_one = |sink: &OpenSink| matches!(sink.table, Table::Transactions(_));
        let Some(sink) = self.sinks.iter().position(is_one) else { return Ok(()) };
        let mut searches = Searches::default();
        while let Some(words) = self.try_transaction(sink, flush, &mut searches).await? {
            // What one found goes with the next, or before it.
            tracing::debug!(pipeline = self.status.name(), "searched: {words}");
            if !self.transaction_takes_letters() {
                let letters = self.poison.letters();
                self.write_letters(&letters).await?;
            }
        }
        Ok(())
    }

    /// Answers the server's words, once what it refuses is left out.
    async fn try_transaction(
        &mut self,
        sink: usize,
        flush: &mut Flush,
        searches: &mut Searches,
    ) -> Result<Option<String>, FlushError> {
        let open = &mut self.sinks[sink];
        let takes_letters = matches!(&open.table, Table::Transactions(sink) if sink.takes_letters());
        if takes_letters {
            flush.letters.extend(self.poison.letters());
        }
        let rows = open.rows(flush)?.rows;
        let after = after(&self.written, &flush.head);
        let name = open.name.clone();
        let mut patience = Patience::new(&name, open.retries, &self.status, &mut self.ending);
        loop {
            let Table::Transactions(table) = &mut open.table else { return Ok(None) };
            let letters = if takes_letters { flush.letters.as_slice() } else { &[] };
            let transaction = Transaction { rows: &rows, letters, before: &self.written, after: &after };
            let error = match table.commit(&transaction).await {
                Ok(()) => {
                    self.status.add_dead_letters(letters.len());
                    break;
                }
                Err(SinkError::Rows(words)) => {
                    let status: &Status = &self.status;
                    match open.search(flush, words.clone(), searches, (&mut self.poison, status)).await {
                        Ok(()) => return Ok(Some(words)),
                        Err(Unwritten::Over(error)) => return Err(error),
                        Err(Unwritten::Sink(error)) => error,
                    }
                }
                Err(error) => error,
            };
            patience.wait(error, rows.rows).await?;
        }
        patience.end();
        self.written = after;
        Ok(None)
    }
}

/// How far the rows are once the flush of this head is written.
fn after(written: &Written, head: &Checkpoint) -> Written {
    Written {
        intervals: head.intervals.clone(),
        retries: written.retries + i64::from(!head.retried.is_empty()),
        retried: head.retried.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::interval::Intervals;

    use super::*;

    fn intervals(bounds: &BTreeMap<i32, (i64, i64)>) -> Intervals {
        let mut intervals = Intervals::default();
        for (partition, (start, more)) in bounds {
            let interval = Interval::new(Offset(*start), Offset(start + more)).unwrap();
            intervals.extend(Partition(*partition), interval).unwrap();
        }
        intervals
    }

    fn bounds() -> impl Strategy<Value = BTreeMap<i32, (i64, i64)>> {
        prop::collection::btree_map(0i32..4, (0i64..10, 0i64..10), 0..4)
    }

    proptest! {
        #[test]
        fn without_states_reading_never_begins_after_rows_that_are_missing_nor_before_rows_that_are_there(
            here in bounds(), there in bounds(), told in any::<bool>(),
        ) {
            let head = Checkpoint {
                intervals: intervals(&here),
                transaction: told.then(|| "db".to_owned()),
                ..Checkpoint::default()
            };
            let written = Written { intervals: intervals(&there), ..Written::default() };
            let ends = without_states(head.clone(), "db", &written).intervals.ends();
            for (partition, interval) in written.intervals.iter() {
                prop_assert_eq!(ends[&partition], interval.end());
            }
            for (partition, interval) in head.intervals.iter().filter(|(p, _)| written.intervals.end(*p).is_none()) {
                prop_assert_eq!(ends[&partition], if told { interval.start() } else { interval.end() });
            }
        }

        #[test]
        fn a_fold_writes_its_groups_again_where_rows_lack_some_and_waits_where_they_are_ahead(
            here in bounds(), there in bounds(),
        ) {
            let head = Checkpoint { intervals: intervals(&here), ..Checkpoint::default() };
            let written = Written { intervals: intervals(&there), ..Written::default() };
            let lacks = here.iter().any(|(p, (start, more))| there.get(p).is_none_or(|(s, m)| s + m < start + more));
            prop_assert_eq!(with_states(head.clone(), &written).refreshing, lacks);
            for (partition, end) in rows_ahead(&head, &written) {
                prop_assert!(head.intervals.end(partition).unwrap() < end);
            }
            let is_ahead = |(p, (start, more)): (&i32, &(i64, i64))| there.get(p).is_some_and(|(s, m)| s + m > start + more);
            prop_assert_eq!(rows_ahead(&head, &written).is_empty(), !here.iter().any(is_ahead));
        }
    }

    #[test]
    fn retries_are_counted_and_the_last_ones_kept_until_the_next_transaction() {
        let retried = vec![sluice_core::dead_letter::LetterId::of_group("a")];
        let head = Checkpoint { retried: retried.clone(), ..Checkpoint::default() };
        let one = after(&Written::default(), &head);
        assert_eq!((one.retries, &one.retried), (1, &retried));
        let two = after(&one, &Checkpoint::default());
        assert_eq!((two.retries, two.retried), (1, vec![]));
    }
}
