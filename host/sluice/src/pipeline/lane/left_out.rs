//! What a lane leaves out, and takes in again.

use std::time::Instant;

use sluice_connectors::sink::Rows;
use sluice_core::batch::Batch;
use sluice_core::chain::{Outcome, OutputRows};
use sluice_core::dead_letter::{Cause, RetriedRecords};
use sluice_core::decode::AtFault;
use sluice_core::fold::Emitted;
use sluice_core::records::Records;
use sluice_core::rejected::{self, RejectedRow, Stage};

use super::{End, Lane, Step, now_micros};
use crate::pipeline::constraint::{self, shown_row};
use crate::pipeline::letters::Retry;
use crate::pipeline::made::Made;

/// How many records are taken in again in one call. Fewer: more calls of operators. More: letters whose records are all at fault
/// still, and that only with a limit of time, would disable the operator.
const RETRIED_AT_ONCE: usize = 8;

impl Lane {
    /// Takes in records that were left out before. Those that are at fault again become letters again, whatever others do: the
    /// pipeline would stop at them at each start.
    pub(super) fn retry(&mut self, retry: Retry) -> Step {
        let (record, row) = self.chain.at_fault();
        self.chain.when_bad(AtFault::IsLeftOut, AtFault::IsLeftOut);
        let stops = std::mem::take(&mut self.stops);
        let batch_rows = std::mem::replace(&mut self.batch_rows, RETRIED_AT_ONCE);
        let step = RetriedRecords::by_topic(&retry.letters).try_for_each(|records| self.retry_records(&records));
        (self.stops, self.batch_rows) = (stops, batch_rows);
        self.chain.when_bad(record, row);
        self.progress.retried.1.push(retry.done);
        step
    }

    /// If the lane ends in the middle, those before are retried and the others aren't.
    fn retry_records(&mut self, records: &RetriedRecords<'_>) -> Step {
        let mut start = 0;
        while start < records.len() {
            let outcome = self.process(records, start)?;
            self.progress.retried.0.extend((start..outcome.next).map(|record| records.id(record)));
            start = outcome.next;
            self.account(records, outcome)?;
        }
        Ok(())
    }

    /// Keeps the rows of the records of which the tables take all.
    pub(super) fn deliver(&mut self, records: &dyn Records, output: OutputRows) {
        let refused = self.refused(&output);
        refused.iter().for_each(|rejected| self.reject(records, rejected));
        let OutputRows { rows, columns, origins } = output;
        let batch = Batch { rows, columns: columns.into_iter().map(Some).collect(), origins };
        let Batch { rows, columns, origins } = rejected::without_rejected(batch, &refused);
        let rows = Rows { rows, columns: columns.into_iter().flatten().collect() };
        let whole = self.progress.rejects.keeps_letters();
        self.pending.push(Made::of_records(records, rows, &origins, whole));
    }

    /// The records of which the tables refuse a row.
    fn refused(&self, output: &OutputRows) -> Vec<RejectedRow> {
        let refused = self.constraints.refused(&output.columns).into_iter().map(|refused| RejectedRow {
            record: output.origins.record(refused.row),
            stage: Stage::Sink,
            reason: refused.reason,
        });
        let mut refused = refused.collect();
        rejected::one_for_each_record(&mut refused);
        refused
    }

    pub(super) fn reject(&mut self, records: &dyn Records, rejected: &RejectedRow) {
        let operators = self.operators();
        let operator = self.chain.operator(rejected.stage).and_then(|name| operators.get(name)).cloned();
        let cause = Cause {
            stage: rejected.stage,
            reason: &rejected.reason,
            operator: operator.as_deref(),
            time: now_micros(),
        };
        self.progress.rejects.record(&self.status, records, rejected.record, cause, Instant::now());
    }

    /// The first record that ends the lane because the tables refuse a row of it.
    pub(super) fn stopping(&self, outcome: &Outcome) -> Option<RejectedRow> {
        let output = outcome.output.as_ref().filter(|_| self.stops)?;
        self.refused(output).into_iter().next()
    }

    /// The groups that the tables take.
    pub(super) fn fitting(&mut self, emitted: Emitted, now: Instant) -> Result<Made, End> {
        let Emitted { rows, columns } = emitted;
        let refused = self.constraints.refused(&columns);
        let keys = self.chain.fold().map_or(0, |fold| fold.form().keys.len());
        if refused.is_empty() {
            return Ok(Made::of_groups(Rows { rows, columns }, keys));
        }
        for refused in &refused {
            let key = shown_row(&columns[..keys.min(columns.len())], refused.row);
            if self.stops {
                // What was sealed is not written: it must not count as flushed either.
                self.progress.torn = true;
                return Err(End::Fault(format!("sink: the group ({key}): {}", refused.reason)));
            }
            let cause = Cause { stage: Stage::Sink, reason: &refused.reason, operator: None, time: now_micros() };
            self.progress.rejects.group(&self.status, &key, cause, now);
        }
        let (columns, kept) = constraint::without(&columns, rows, &refused).map_err(End::Fault)?;
        Ok(Made::of_groups(Rows { rows: kept.len(), columns }, keys))
    }
}
