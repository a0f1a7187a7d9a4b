use std::time::Duration;

use sluice_connectors::letters::{Filter, Letter, LetterPlace};
use sluice_connectors::sink::SinkError;
use sluice_connectors::source::{Committer, SourceError};
use sluice_core::checkpoint::{Changes, Group, StoreError};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::identity::Identity;
use sluice_core::records::Records;
use tokio::sync::{Mutex, watch};

use super::*;

/// Part of a run that panics as soon as it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    Nobody,
    Lane,
    Checkpoint,
    Retrier,
}

/// A topic without records.
struct Quiet(Dies);

impl Source for Quiet {
    fn poll(&mut self, _: usize, max_wait: Duration) -> Result<Option<Box<dyn Records>>, SourceError> {
        assert_ne!(self.0, Dies::Lane, "in the lane");
        std::thread::sleep(max_wait);
        Ok(None)
    }

    fn ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        Ok(BTreeMap::new())
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        BTreeMap::new()
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn committed(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        Ok(BTreeMap::new())
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(NoGroup)
    }
}

struct NoGroup;

impl Committer for NoGroup {
    fn commit(&self, _: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A store that keeps nothing.
struct Nowhere(Dies);

impl CheckpointStore for Nowhere {
    fn head(&self, _: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }
    fn states(&self, _: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Ok(vec![None; keys.len()])
    }
    fn scan(&self, _: &str, _: Option<&[u8]>, _: usize) -> Result<Vec<Group>, StoreError> {
        Ok(Vec::new())
    }
    fn commit(&self, _: &str, _: &Checkpoint, _: &Changes) -> Result<(), StoreError> {
        assert_ne!(self.0, Dies::Checkpoint, "in the store");
        Ok(())
    }
    fn reset(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// A place without letters.
struct Empty(Dies);

#[async_trait::async_trait]
impl Letterbox for Empty {
    async fn write(&mut self, _: &str, _: &[DeadLetter]) -> Result<(), SinkError> {
        Ok(())
    }
    async fn remove(&mut self, _: &str, _: &[LetterId]) -> Result<(), SinkError> {
        Ok(())
    }
    async fn remove_from(&mut self, _: &str, _: &str, _: &BTreeMap<Partition, Offset>) -> Result<(), SinkError> {
        Ok(())
    }
    async fn find(&mut self, _: &Filter, _: Option<&LetterPlace>) -> Result<Vec<Letter>, SinkError> {
        assert_ne!(self.0, Dies::Retrier, "in the letters");
        Ok(Vec::new())
    }
    async fn read(&mut self, _: &LetterPlace) -> Result<Option<DeadLetter>, SinkError> {
        Ok(None)
    }
    async fn mark(&mut self, _: &Filter) -> Result<u64, SinkError> {
        Ok(0)
    }
    async fn discard(&mut self, _: &Filter) -> Result<u64, SinkError> {
        Ok(0)
    }
}

/// A run without steps and sinks, and what says that it has it all to itself.
async fn run(dies: Dies) -> (Run, watch::Sender<bool>, Arc<Mutex<Works>>, watch::Receiver<()>) {
    let letters = OpenLetters { letters: Box::new(Empty(dies)), name: "letters".to_owned() };
    let opened = Opened {
        source: Box::new(Quiet(dies)),
        chain: Chain::new(&[], sluice_core::decode::DecodeOptions::default(), Vec::new()).unwrap(),
        sinks: Vec::new(),
        until: None,
        letters: Some((letters, Box::new(Empty(dies)))),
        head: Checkpoint::default(),
        written: Written::default(),
        store: Arc::new(Nowhere(dies)),
    };
    let flush = FlushPolicy { rows: 1, interval: Duration::ZERO };
    let settings = Settings { flush, batch_rows: 1, stops: false };
    let (ending, ended) = watch::channel(false);
    let (works, gone) = watch::channel(());
    let alone = Arc::new(Mutex::new(works));
    let held = Arc::clone(&alone).lock_owned().await;
    let status = Arc::new(Status::new("quiet"));
    let giving_up = Arc::new(GivingUp::watch(&status, ended, None));
    let mut run = Run::start(opened, settings, &status, &giving_up, held).unwrap();
    run.begin_retries();
    (run, ending, alone, gone)
}

/// Waits until the run says that it is over, or broken, and ends it as a supervisor does.
async fn ended(mut run: Run) -> End {
    let end = match run.hear().await {
        Said::Ended(end) => end,
        Said::Broken => {
            run.stop();
            run.lane_end().await
        }
        Said::Passed(_) => unreachable!("nothing is on trial"),
    };
    run.finish(end).await.0
}

#[tokio::test]
async fn whatever_dies_of_a_run_ends_it_at_once_and_says_what_and_why() {
    for (dies, what) in [
        (Dies::Lane, "its lane died: assertion"),
        (Dies::Checkpoint, "its checkpoint was not made"),
        (Dies::Retrier, "what retries its letters died: assertion"),
    ] {
        let (run, _ending, alone, _) = run(dies).await;
        let End::Died(reason) = ended(run).await else { panic!("{dies:?} is no death") };
        assert!(reason.contains(what), "{dies:?}: {reason}");
        assert!(alone.try_lock().is_ok(), "{dies:?}: the next run may begin");
    }
}

#[tokio::test]
async fn a_run_that_nobody_controls_any_more_ends_and_until_then_no_other_one_begins() {
    let (run, _ending, alone, _) = run(Dies::Nobody).await;
    assert!(alone.try_lock().is_err());
    drop(run);
    drop(alone.lock().await);
}

#[tokio::test]
async fn a_pipeline_is_worked_for_until_all_of_its_run_has_ended_though_who_started_that_is_gone() {
    let (run, _ending, alone, mut gone) = run(Dies::Nobody).await;
    drop(alone);
    assert!(gone.has_changed().is_ok());
    drop(run);
    // Nothing is ever sent.
    while gone.changed().await.is_ok() {}
}
