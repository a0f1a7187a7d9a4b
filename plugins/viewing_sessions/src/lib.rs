//! Viewing sessions of each user: how many rooms they entered one after another, and for how long they watched.
//!
//! ```sql
//! SELECT user_id, window_start, window_end, COUNT(*) AS entries
//! , TIMESTAMPDIFF(SECOND, MIN(arrive_time), MAX(GREATEST(arrive_time, leave_time))) AS seconds
//! FROM SESSION(live_streaming_log PARTITION BY user_id, DESCRIPTOR(arrive_time), INTERVAL '1' MINUTE)
//! GROUP BY user_id, window_start, window_end
//! ```
//!
//! The session is the pipeline's window on `arrive_time`; the host joins sessions that grow together with `merge`. An entry
//! without a user or a time is rejected: it is in nobody's session, or in none.

use sluice_sdk::{Fault, Fold, Reject, Timestamp, Transform, cast, row};

const MICROS_PER_SECOND: i64 = 1_000_000;

row! {
    /// What is read of an entry.
    pub struct Entry<'a> { user_id: i64, arrive_time: &'a str, leave_time: Option<&'a str> }
}

row! {
    /// An entry as a visit from one time to another.
    pub struct Visit { user_id: i64, arrive_time: Timestamp, left: Timestamp }
}

row! {
    /// What a session grows by.
    pub struct Seen { arrive_time: Timestamp, left: Timestamp }
}

row! {
    /// A session so far.
    pub struct Session { entries: i64, first: Option<Timestamp>, last: Option<Timestamp> }
}

row! {
    /// What the table shows of a session.
    pub struct Shown { entries: i64, seconds: i64 }
}

/// The operator.
#[derive(Debug, Default)]
pub struct ViewingSessions;

impl Transform for ViewingSessions {
    type In<'a> = Entry<'a>;
    type Out<'a> = Visit;

    fn row(&self, entry: Entry<'_>) -> Result<Visit, Reject> {
        let arrive_time = cast!(entry.arrive_time as Timestamp)?;
        let left = cast!(entry.leave_time as Timestamp)?.unwrap_or(arrive_time);
        Ok(Visit { user_id: entry.user_id, arrive_time, left: left.max(arrive_time) })
    }
}

impl Fold for ViewingSessions {
    const KEYS: &'static [&'static str] = &["user_id"];
    const STATE_VERSION: u32 = 1;
    type Value<'a> = Seen;
    type State = Session;
    type Output = Shown;

    fn init(&self) -> Session {
        Session { entries: 0, first: None, last: None }
    }

    fn add(&self, session: &mut Session, seen: Seen) -> Result<(), Fault> {
        self.merge(session, Session { entries: 1, first: Some(seen.arrive_time), last: Some(seen.left) })
    }

    fn merge(&self, session: &mut Session, other: Session) -> Result<(), Fault> {
        session.entries += other.entries;
        session.first = session.first.into_iter().chain(other.first).min();
        session.last = session.last.max(other.last);
        Ok(())
    }

    fn emit(&self, session: Session) -> Result<Shown, Fault> {
        let lasted = session.first.zip(session.last).map_or(0, |(first, last)| last.micros() - first.micros());
        Ok(Shown { entries: session.entries, seconds: lasted / MICROS_PER_SECOND })
    }
}

sluice_sdk::aggregator!(ViewingSessions);

#[cfg(test)]
mod tests {
    use sluice_sdk::testing::{Null, Table, Trial, table};

    use super::*;

    fn entries() -> Table {
        table! {
            user_id: i64, arrive_time: &str, leave_time: &str;
            [1, "2021-08-16 09:46:00", "2021-08-16 09:46:30"],
            [2, "2021-08-16 09:46:00", Null],
            [1, "2021-08-16 09:45:00", "2021-08-16 09:45:01"],
            [1, "2021-08-16 09:46:10.9", "2021-08-16 09:46:00"],
            [Null, "2021-08-16 09:46:10", Null],
            [1, Null, "2021-08-16 09:46:00"],
            [1, "2021-08-16 09:46:10", "soon"],
        }
    }

    #[test]
    fn a_session_is_as_long_as_from_the_first_arrival_to_the_last_leave_in_whatever_order() -> Result<(), String> {
        let expected = table! { user_id: i64, entries: i64, seconds: i64; [1, 3, 90], [2, 1, 0] };
        assert_eq!(Trial::<ViewingSessions>::open("{}")?.aggregate(&entries())?.rows, expected);
        Ok(())
    }

    #[test]
    fn an_entry_without_a_user_or_a_time_is_rejected() -> Result<(), String> {
        let rejected = Trial::<ViewingSessions>::open("{}")?.aggregate(&entries())?.rejected;
        assert_eq!(rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [4, 5, 6]);
        Ok(())
    }

    #[test]
    fn sessions_that_grow_together_are_the_session_of_all_their_entries() -> Result<(), String> {
        Trial::<ViewingSessions>::open("{}")?.check_laws(&entries())
    }
}
