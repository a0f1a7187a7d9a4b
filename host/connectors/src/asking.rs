//! Questions to a file system that may never answer, as one whose network is gone.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time that a file system may take to answer before that is said and everything else goes on. Shorter: a slow disk is complained
/// of. Longer: nobody knows why nothing happens.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Question that is asked on a thread of its own, which waits for ever if need be.
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
        match self.0.recv_timeout(by.saturating_duration_since(sluice_clock::now())) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("who asked it died; this is a defect")),
        }
    }
}

/// Paths of which somebody has waited in vain, and a thread still does. Nobody asks of them again before that thread has its answer:
/// a file system that never answers would take a thread for every try.
static HANGING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Answers about a path, from a thread that waits for the file system.
pub struct Answers<T> {
    path: PathBuf,
    answers: Receiver<T>,
    over: Arc<AtomicBool>,
}

impl<T: Send + 'static> Answers<T> {
    /// Asks about the path. Whatever the work gives is an answer; it ends by itself once nobody listens.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if a thread still waits for this path.
    pub fn begin(path: &Path, work: impl FnOnce(&SyncSender<T>) + Send + 'static) -> io::Result<Answers<T>> {
        if hanging().contains(path) {
            return Err(no_answer());
        }
        let (give, answers) = sync_channel(1);
        let begun = Answers { path: path.to_owned(), answers, over: Arc::default() };
        let end = End { path: path.to_owned(), over: Arc::clone(&begun.over) };
        std::thread::Builder::new().name("file system".to_owned()).spawn(move || {
            let _end = end;
            work(&give);
        })?;
        Ok(begun)
    }

    /// The next answer, within this time.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if there is none.
    pub fn next(&self, patience: Duration) -> io::Result<T> {
        match self.answers.recv_timeout(patience) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("who asked it died; this is a defect")),
            Err(RecvTimeoutError::Timeout) => {
                let mut hanging = hanging();
                if !self.over.load(Ordering::Relaxed) {
                    hanging.insert(self.path.clone());
                }
                Err(no_answer())
            }
        }
    }
}

/// Guard that reports the end of a thread that asks, in whatever way it ends.
struct End {
    path: PathBuf,
    over: Arc<AtomicBool>,
}

impl Drop for End {
    fn drop(&mut self) {
        // Under the lock, so that nobody says that it hangs after this.
        let mut hanging = hanging();
        self.over.store(true, Ordering::Relaxed);
        hanging.remove(&self.path);
    }
}

fn hanging() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer about a path within [`PATIENCE`].
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if there is none, and the question's own.
pub fn ask<T: Send + 'static>(
    path: &Path,
    question: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let asked = path.to_owned();
    Answers::begin(path, move |give| {
        // Who asked may have gone.
        let _ = give.send(question(&asked));
    })?
    .next(PATIENCE)?
}

/// The error of a question that waits.
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
        assert_eq!(ask(Path::new("7"), |path| Ok(path.to_owned())).unwrap(), Path::new("7"));
    }

    #[test]
    fn a_path_that_hangs_is_not_asked_again_until_it_answers() {
        let path = Path::new("hangs");
        let (release, held) = channel::<()>();
        let first = Answers::begin(path, move |give| give.send(held.recv().is_err()).unwrap()).unwrap();
        let second = ask(path, |_| Ok(2));
        assert_eq!(second.unwrap(), 2, "nobody has waited in vain yet");
        assert_eq!(first.next(Duration::ZERO).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(ask(path, |_| Ok(3)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(ask(Path::new("other"), |_| Ok(4)).unwrap(), 4);
        drop(release);
        assert!(first.next(PATIENCE).unwrap());
        // The thread's end comes a moment after its answer.
        while hanging().contains(path) {
            std::thread::yield_now();
        }
        assert_eq!(ask(path, |_| Ok(5)).unwrap(), 5);
    }
}
