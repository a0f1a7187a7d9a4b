//! Supervisor's memory of what it tries again by itself, and of what it has reported: a try that fails as the one before is no
//! news.

use std::future::pending;
use std::time::Duration;

use sluice_core::deploy::Operators;
use tokio::time::Instant;

/// First wait before operators are tried again that were refused for what may be mended outside their files, as a column that a table
/// lacks. Shorter: each try costs a server some questions. Longer: the person who mends it waits.
const FIRST: Duration = Duration::from_secs(1);

/// Longest wait; each wait is twice the one before.
const LONGEST: Duration = Duration::from_secs(60);

/// A supervisor's memory of what was refused.
#[derive(Default)]
pub struct Again {
    /// Operators that were refused last, and the reason.
    refused: Option<(Operators, String)>,
    /// Number of times that files of the pipeline's operators had been put there.
    puts: u64,
    /// Time of the next try, and the wait that leads to it.
    next: Option<(Instant, Duration)>,
}

impl Again {
    /// Notes that these operators are refused, and plans another try if that may help. Returns true if the refusal is news.
    pub fn refused(&mut self, operators: &Operators, reason: &str, may_help: bool) -> bool {
        let same = self.refused.as_ref().is_some_and(|(before, _)| before == operators);
        let news = !same || self.refused.as_ref().is_none_or(|(_, before)| before != reason);
        let before = self.next.filter(|_| same).map(|(_, wait)| wait);
        let wait = before.map_or(FIRST, |wait| (wait * 2).min(LONGEST));
        self.next = may_help.then(|| (Instant::from_std(sluice_clock::now() + wait), wait));
        self.refused = Some((operators.clone(), reason.to_owned()));
        news
    }

    /// Returns true if files of the operators were put there again since the last call; `puts` is the number of times by now.
    pub fn are_put_again(&mut self, puts: u64) -> bool {
        std::mem::replace(&mut self.puts, puts) != puts
    }

    /// Forgets the last refusal.
    pub fn nothing_refused(&mut self) {
        (self.refused, self.next) = (None, None);
    }

    /// Returns at the time when the refused operators are to be tried again. Safe to drop and call again.
    pub async fn due(&self) {
        match self.next {
            Some((at, _)) => tokio::time::sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(digest: &str) -> Operators {
        [("gift_sum".to_owned(), digest.to_owned())].into()
    }

    #[test]
    fn those_that_are_refused_are_tried_again_later_each_time_and_others_soon() {
        let mut again = Again::default();
        let mut waits = Vec::new();
        for digest in ["a", "a", "a", "a", "a", "a", "a", "a", "b"] {
            again.refused(&operators(digest), "no column", true);
            waits.push(again.next.unwrap().1.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 1]);
        assert!(!again.refused(&operators("b"), "no column", false));
        assert!(again.refused(&operators("b"), "no table", false));
        assert_eq!(again.next, None, "what can't help isn't tried");
    }
}
