//! Protection against panics: a panic is a defect, which ends the work that it happened in and nothing else.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Wait before work that died begins again. Shorter: work that dies at once takes a core and fills the log. Longer: the work
/// isn't done for that long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Makes a call, and returns its answer or the message of its panic. After a panic, whatever the call had borrowed must not be
/// used any more.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| said(panic.as_ref()))
}

/// Polls a future, and returns its answer or the message of its panic.
pub async fn caught_in<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Runs what the service can't be without until it ends by itself, and begins it anew when it dies.
pub async fn kept_alive<F: Future<Output = ()>>(what: &str, begin: impl Fn() -> F) {
    begun_anew(what, AGAIN_AFTER, begin).await;
}

async fn begun_anew<F: Future<Output = ()>>(what: &str, after: Duration, begin: impl Fn() -> F) {
    while let Err(panic) = caught_in(begin()).await {
        tracing::error!("{what} died and begins anew in {after:?}: {panic}; this is a defect");
        tokio::time::sleep(after).await;
    }
}

/// The words of a panic.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_words_of_a_panic_are_the_error() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> i32 { panic!("one") }), Err("one".to_owned()));
        assert_eq!(caught(|| -> i32 { panic!("{} and {}", 1, 2) }), Err("1 and 2".to_owned()));
    }

    #[tokio::test]
    async fn a_future_that_panics_after_a_wait_is_caught() {
        let answer = caught_in(async {
            tokio::task::yield_now().await;
            assert!(std::env::args().count() > 1_000, "in the middle");
        });
        assert_eq!(answer.await, Err("in the middle".to_owned()));
        assert_eq!(caught_in(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn what_dies_begins_anew_until_it_ends_by_itself() {
        let begun = AtomicUsize::new(0);
        begun_anew("it", Duration::ZERO, || async {
            assert!(begun.fetch_add(1, Ordering::Relaxed) >= 3, "not yet");
        })
        .await;
        assert_eq!(begun.load(Ordering::Relaxed), 4);
    }
}
