//! Start of a run: at its checkpoint, if what it reads and runs still fits, and in agreement with its rows.
//!
//! With `delivery = "transaction"`, rows and consumed intervals are in one transaction of the table's database.
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

use std::sync::Arc;

use super::progress::Ends;
use crate::chain::{Chain, ProcessError};
use crate::checkpoint::{Checkpoint, CheckpointStore, StateForm, StoreError};
use crate::dead_letter::LetterId;
use crate::deploy::Operators;
use crate::fold::{Backing, Fold, Keeping, fit};
use crate::identity::Identity;
use crate::interval::{Interval, Offset, Partition};
use crate::port::Written;

/// The facts of a run, beyond its chain.
#[derive(Debug, Clone)]
pub struct Resumption {
    /// The pipeline's name, under which its states are stored.
    pub pipeline: String,
    /// The topic that it reads.
    pub topic: String,
    /// `connection.table` of each sink.
    pub sinks: Vec<String>,
    /// The connection whose database has the intervals beside the rows, if one has.
    pub transaction: Option<String>,
    /// The bounds of what a fold keeps.
    pub keeping: Keeping,
}

/// The reason why a run can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The store has no answer for now.
    #[error("{0}")]
    Away(String),
    /// The checkpoint is of something else than what is to run: the difference, as the end of a sentence about the checkpoint.
    #[error("{0}")]
    Misfit(String),
    /// The stored checkpoint can't be read, or something in the host is at fault.
    #[error("{0}")]
    Wrong(String),
}

impl Resumption {
    /// Returns the checkpoint to go on from, in agreement with the rows.
    pub fn reconcile(&self, head: Option<Checkpoint>, written: &Written) -> Option<Checkpoint> {
        let Some(connection) = &self.transaction else { return head };
        match head {
            Some(head) if head.form.is_some() => Some(with_states(head, written)),
            Some(head) => Some(without_states(head, connection, written)),
            None if written.intervals.ends().is_empty() => None,
            None => {
                let head = Checkpoint { topic: self.topic.clone(), ..Checkpoint::default() };
                Some(without_states(head, connection, written))
            }
        }
    }

    /// Gives the chain its groups back; answers the checkpoint that the run goes on from. Operators or sinks other than the
    /// checkpoint's write every group again, also where a crash came before that was done. `positions` are where the source reads
    /// on, and `identity` is what its topic is.
    pub fn resume(
        &self,
        store: &Arc<dyn CheckpointStore>,
        head: Option<Checkpoint>,
        chain: &mut Chain,
        operators: Operators,
        (positions, identity): (Ends, &Identity),
    ) -> Result<Checkpoint, ResumeError> {
        // Nothing was stored, even if the database says where reading begins.
        let empty = head.as_ref().is_none_or(|head| head.commits == 0);
        let form = chain.fold().map(|fold| fold.form().clone());
        let first = || Checkpoint { topic: self.topic.clone(), ..Checkpoint::default() };
        let mut head = head.unwrap_or_else(first);
        if empty {
            head.form.clone_from(&form);
        }
        let stored: Vec<StateForm> = head.form.iter().chain(&head.older).cloned().collect();
        check_forms(form.as_ref(), &stored).map_err(ResumeError::Misfit)?;
        let changed = head.operators != operators;
        let show_all = head.refreshing || !empty && (changed || head.sinks != self.sinks);
        if let Some(fold) = chain.fold_mut() {
            fold.keep(self.keeping, Backing::new(Arc::clone(store), &self.pipeline, empty));
            fold.set_older(&stored);
            fold.set_committed(head.commits);
        }
        chain.resume(&head.event_times).map_err(|error| match error {
            ProcessError::Store(StoreError::Unavailable(reason)) => ResumeError::Away(reason),
            error => ResumeError::Wrong(error.to_string()),
        })?;
        if let Some(fold) = chain.fold_mut().filter(|_| show_all) {
            fold.touch_all();
        }
        head.generation += u64::from(changed);
        (head.operators, head.sinks) = (operators, self.sinks.clone());
        identity.keep_in(&mut head);
        head.transaction.clone_from(&self.transaction);
        // Upserts of single records may come again; states, and rows of a transaction, have each record once.
        let may_read_again = form.is_none() && self.transaction.is_none();
        for (partition, offset) in positions {
            if let Some(windows) = chain.fold_mut().and_then(Fold::windows) {
                windows.watermark().expect(partition);
            }
            if may_read_again {
                head.intervals.resume_again(partition, offset);
                continue;
            }
            head.intervals.resume(partition, offset).map_err(|misfit| {
                ResumeError::Wrong(format!("{misfit}; this is a defect of the source's connector"))
            })?;
        }
        Ok(head)
    }
}

/// Returns the letters that a run removes before it begins, by the checkpoint that it goes on from: those of these records, which were
/// taken in again, and those of records from these offsets on, which are read again. Partitions that other hosts read have no offset here.
pub fn stale_letters(head: &Checkpoint, read: impl Fn(Partition) -> bool) -> (&[LetterId], Ends) {
    let ends = head.intervals.ends().into_iter().filter(|(partition, _)| read(*partition)).collect();
    (&head.retried, ends)
}

/// Returns the offsets of rows that a fold has no states of, if there are any: it must not count from nothing.
pub fn rows_without_states(head: Option<&Checkpoint>, written: &Written) -> Option<Ends> {
    let stateless = head.is_none_or(|head| head.commits == 0);
    // The first transaction only keeps where reading begins.
    let has_rows = written.intervals.iter().any(|(_, interval)| !interval.is_empty());
    (stateless && has_rows).then(|| written.intervals.ends())
}

/// Says whether a fold of this form can go on with states of those forms, if its operator migrates them.
pub fn check_forms(new: Option<&StateForm>, stored: &[StateForm]) -> Result<(), String> {
    match (new, stored) {
        (None, []) => Ok(()),
        (Some(_), []) => Err("is of a transformer, and the pipeline now ends in an aggregator".to_owned()),
        (None, _) => Err("has an aggregator's states, and the pipeline now has none".to_owned()),
        (Some(new), stored) => stored
            .iter()
            .try_for_each(|old| fit(new, old).map(drop))
            .map_err(|difference| format!("doesn't fit the operator: {difference}")),
    }
}

/// Goes on from the states, since they are here. Rows that lack some of what they hold are written again.
fn with_states(mut head: Checkpoint, written: &Written) -> Checkpoint {
    let lacks = |(partition, end): (&Partition, &Offset)| written.intervals.end(*partition).is_none_or(|at| at < *end);
    head.refreshing |= head.intervals.ends().iter().any(lacks);
    head
}

/// Goes on from the rows, since they are all there is.
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

/// Returns the offsets that the rows of a fold are at, of the partitions in which they are ahead of its states.
pub fn rows_ahead(head: &Checkpoint, written: &Written) -> Ends {
    let is_ahead = |(partition, end): &(Partition, Offset)| head.intervals.end(*partition).is_some_and(|at| at < *end);
    written.intervals.ends().into_iter().filter(is_ahead).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::super::lane::tests as lane_tests;
    use super::*;
    use crate::checkpoint::memory::MemoryStore;
    use crate::interval::Intervals;

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

    fn resumption(transaction: Option<&str>) -> Resumption {
        Resumption {
            pipeline: "p".to_owned(),
            topic: "t".to_owned(),
            sinks: vec!["db.s".to_owned()],
            transaction: transaction.map(str::to_owned),
            keeping: Keeping::default(),
        }
    }

    fn written(bounds: &[(i32, (i64, i64))]) -> Written {
        let intervals = intervals(&bounds.iter().copied().collect());
        Written { intervals, retries: 1, retried: vec![LetterId::of_group("a")] }
    }

    fn head(bounds: &[(i32, (i64, i64))], form: Option<StateForm>) -> Checkpoint {
        let intervals = intervals(&bounds.iter().copied().collect());
        Checkpoint { topic: "t".to_owned(), intervals, form, commits: 1, ..Checkpoint::default() }
    }

    fn form(version: u32) -> StateForm {
        StateForm { keys: vec![], version, columns: vec![], window: None }
    }

    #[test]
    fn with_a_transaction_reading_goes_on_from_the_states_or_else_from_the_rows_and_without_one_from_the_checkpoint() {
        let rows = written(&[(0, (0, 4))]);
        let here = |form| Some(head(&[(0, (0, 7))], form));
        assert_eq!(resumption(None).reconcile(here(None), &rows), here(None));
        assert_eq!(resumption(None).reconcile(None, &rows), None);
        let beside = resumption(Some("db"));
        let states = Checkpoint { refreshing: true, ..head(&[(0, (0, 7))], Some(form(1))) };
        assert_eq!(beside.reconcile(here(Some(form(1))), &rows), Some(states), "its rows lack some");
        let from_rows = |commits| Checkpoint { retried: rows.retried.clone(), commits, ..head(&[(0, (0, 4))], None) };
        assert_eq!(beside.reconcile(here(None), &rows), Some(from_rows(1)));
        assert_eq!(beside.reconcile(None, &rows), Some(from_rows(0)));
        assert_eq!(beside.reconcile(None, &Written::default()), None, "there is nothing at all");
    }

    #[test]
    fn rows_of_which_a_fold_has_no_states_are_said_and_where_reading_began_is_none() {
        let rows = written(&[(0, (3, 4)), (1, (2, 0))]);
        let committed = head(&[], None);
        let never = Checkpoint { commits: 0, ..committed.clone() };
        let ends = Some(rows.intervals.ends());
        assert_eq!(rows_without_states(None, &rows), ends);
        assert_eq!(rows_without_states(Some(&never), &rows), ends);
        assert_eq!(rows_without_states(Some(&committed), &rows), None);
        assert_eq!(rows_without_states(None, &written(&[(0, (3, 0)), (1, (2, 0))])), None);
    }

    #[test]
    fn stale_letters_are_those_taken_in_again_and_those_of_what_is_read_again_of_the_own_partitions() {
        let retried = vec![LetterId::of_group("a")];
        let head = Checkpoint { retried: retried.clone(), ..head(&[(0, (0, 7)), (1, (0, 9))], None) };
        let expected = (retried.as_slice(), Ends::from([(Partition(1), Offset(9))]));
        assert_eq!(stale_letters(&head, |partition| partition == Partition(1)), expected);
    }

    #[test]
    fn a_fold_goes_on_with_its_states_and_neither_with_nor_without_those_of_another_kind_of_pipeline() {
        assert_eq!(check_forms(None, &[]), Ok(()));
        assert_eq!(check_forms(Some(&form(2)), &[form(2), form(1)]), Ok(()));
        let other = StateForm { keys: vec![crate::schema::Field::new("k", crate::schema::Kind::Int64)], ..form(2) };
        for (new, stored, says) in [
            (Some(form(1)), vec![], "the pipeline now ends in an aggregator"),
            (None, vec![form(1)], "the pipeline now has none"),
            (Some(form(2)), vec![form(2), other], "doesn't fit the operator: its keys are"),
        ] {
            let misfit = check_forms(new.as_ref(), &stored).unwrap_err();
            assert!(misfit.contains(says), "{misfit}");
        }
    }

    /// The head that a run begins from, and whether it shows every group again.
    fn resumed(head: Option<Checkpoint>, mut chain: Chain, operators: &str) -> (Checkpoint, bool) {
        let store: Arc<dyn CheckpointStore> = Arc::new(MemoryStore::default());
        let operators = Operators::from([("sum".to_owned(), operators.to_owned())]);
        let positions = Ends::from([(Partition(0), Offset(9))]);
        let beside = resumption(Some("db"));
        let identity = Identity::read("topic=1");
        let head = beside.resume(&store, head, &mut chain, operators, (positions, &identity)).unwrap();
        (head, chain.fold().is_some_and(Fold::is_showing))
    }

    #[test]
    fn a_run_begins_from_a_checkpoint_of_its_operators_sinks_form_and_topic_at_the_positions_of_its_source() {
        for chain in [lane_tests::rows, lane_tests::sums] {
            let (first, shows) = resumed(None, chain(), "1");
            let form = chain().fold().map(|fold| fold.form().clone());
            assert_eq!((first.topic.as_str(), &first.form, shows), ("t", &form, false));
            assert_eq!((first.generation, first.commits, first.sinks.clone()), (1, 0, vec!["db.s".to_owned()]));
            assert_eq!(
                (first.transaction.as_deref(), Identity::of_source(&first)),
                (Some("db"), Identity::read("topic=1"))
            );
            assert_eq!(first.intervals.ends(), Ends::from([(Partition(0), Offset(9))]));
            // A mark, say, or what the database knows: nothing was stored.
            let unknown = Checkpoint { form: None, ..first.clone() };
            assert_eq!(resumed(Some(unknown), chain(), "1"), (first, false));
        }
    }

    #[test]
    fn every_group_is_shown_again_to_other_sinks_or_by_other_operators_or_if_that_was_not_done_and_else_none() {
        let (first, _) = resumed(None, lane_tests::sums(), "1");
        let stored = Checkpoint { commits: 3, ..first };
        let mut elsewhere = stored.clone();
        elsewhere.sinks = vec!["db.other".to_owned()];
        let halfway = Checkpoint { refreshing: true, ..stored.clone() };
        let never = Checkpoint { commits: 0, ..elsewhere.clone() };
        for (head, operators, generation, shows) in [
            (&stored, "1", 1, false),
            (&stored, "2", 2, true),
            (&elsewhere, "1", 1, true),
            (&halfway, "1", 1, true),
            (&never, "1", 1, false),
        ] {
            let (head, shown) = resumed(Some(head.clone()), lane_tests::sums(), operators);
            assert_eq!((head.generation, shown), (generation, shows));
        }
    }
}
