//! Questions to a file system that may never answer, as one whose network is gone.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a file system may take to answer before that is said and everything else goes on. Shorter: a slow disk is complained
/// of. Longer: nobody knows why nothing happens.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A question on a thread of its own, which waits for ever if need be.
pub struct Question<T>(Receiver<T>);

impl<T: Send + 'static> Question<T> {
    /// Asks it.
    pub fn ask(question: impl FnOnce() -> T + Send + 'static) -> io::Result<Question<T>> {
        let (answer, answered) = channel();
        std::thread::Builder::new().name("file system".to_owned()).spawn(move || {
            // Who asked may have gone.
            let _ = answer.send(question());
        })?;
        Ok(Question(answered))
    }

    /// The answer, if it is there by this time.
    pub fn answer(&self, by: Instant) -> io::Result<Option<T>> {
        match self.0.recv_timeout(by.saturating_duration_since(Instant::now())) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("who asked it died; this is a defect")),
        }
    }
}

/// The answer within [`PATIENCE`], or that there is none.
pub fn ask<T: Send + 'static>(question: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let answer = Question::ask(question)?.answer(Instant::now() + PATIENCE)?;
    answer.unwrap_or_else(|| Err(no_answer()))
}

/// What is said of a question that waits.
pub fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the file system hasn't answered for {PATIENCE:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_hangs_is_given_up_and_can_be_heard_later() {
        let (release, held) = channel::<()>();
        let question = Question::ask(move || held.recv().is_err()).unwrap();
        assert_eq!(question.answer(Instant::now()).unwrap(), None);
        drop(release);
        assert_eq!(question.answer(Instant::now() + PATIENCE).unwrap(), Some(true));
        assert_eq!(ask(|| Ok(7)).unwrap(), 7);
    }
}
