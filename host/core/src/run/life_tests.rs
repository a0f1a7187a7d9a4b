//! Laws of a pipeline's life, whatever its servers, its operators and its people do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::deploy::{Operators, Outcome};
use crate::disabled::FIRST_WAIT;
use crate::interval::{Interval, Intervals, Offset, Partition};

const PATIENCE: Duration = Duration::from_secs(10);

fn version(number: u8) -> Operators {
    [("sum".to_owned(), format!("{number:02}"))].into()
}

fn reason() -> String {
    "reason".to_owned()
}

fn at(place: i64) -> Intervals {
    let mut intervals = Intervals::default();
    intervals.extend(Partition(0), Interval::new(Offset(0), Offset(place)).unwrap()).unwrap();
    intervals
}

fn run_end(end: End) -> RunEnd {
    RunEnd { end, given_up: None, passed: None, head: None, waited: None }
}

/// Every end but the one of a run that was told to end.
fn bad_ends() -> [End; 5] {
    [End::Fault(reason()), End::Disabled(reason()), End::Died(reason()), End::Moved(reason()), End::Replaced(reason())]
}

/// A host that performs what a life says, where all goes well unless a test says otherwise.
struct Host {
    life: Life,
    now: Now,
    /// The version that is deployed, and the one that the checkpoint is of.
    newest: u8,
    good: Option<(u64, Operators)>,
    /// The end of what the checkpoint covers.
    place: i64,
    reports: Vec<LifeReport>,
}

impl Host {
    fn new(backfill: Option<Duration>) -> Host {
        let life = Life::new(LifeSettings { backfill, seed: 7 });
        let now = Now { since: Duration::from_secs(3_600), micros: 0 };
        Host { life, now, newest: 1, good: Some((1, version(1))), place: 0, reports: Vec::new() }
    }

    /// A host that runs for ever, with a run open.
    fn running() -> Host {
        let mut host = Host::new(None);
        host.until_run();
        host
    }

    /// A host whose version 2 is on trial.
    fn on_trial() -> Host {
        let mut host = Host::running();
        let rollout = &mut host.life.rollout;
        for event in [deploy::Event::Wanted(version(2)), deploy::Event::Prepared, deploy::Event::CutOver] {
            rollout.on(event, 0);
        }
        assert!(rollout.is_on_trial());
        host.newest = 2;
        host
    }

    fn on(&mut self, event: LifeEvent) {
        let opens = event == LifeEvent::Opened && matches!(self.life.next_effect(), LifeEffect::Open(_));
        self.life.on(event, self.now);
        if opens {
            self.life.rollout.on(deploy::Event::Opened(1), 0);
        }
        self.reports.extend(self.life.reports());
    }

    fn ends(&mut self, end: End) {
        assert_eq!(self.life.next_effect(), LifeEffect::Run);
        self.on(LifeEvent::Ended(run_end(end)));
    }

    fn candidates(&self) -> Candidates {
        Candidates { unread: None, newest: Ok(version(self.newest)), good: self.good.clone(), shunned: None }
    }

    /// The answer to an effect if all goes well.
    fn well(&self, effect: &LifeEffect) -> LifeEvent {
        match effect {
            LifeEffect::Wait(Wait { at_most: Some(_), .. }) => LifeEvent::Waited,
            LifeEffect::Wait(_) => LifeEvent::Came,
            LifeEffect::Look => LifeEvent::Looked(Ok(self.candidates())),
            LifeEffect::Open(_) => LifeEvent::Opened,
            LifeEffect::Run => LifeEvent::Ended(run_end(End::Done)),
            LifeEffect::Forget => LifeEvent::Forgotten(Ok(())),
            LifeEffect::Locate => LifeEvent::Located(Some(at(self.place))),
            LifeEffect::Record { .. }
            | LifeEffect::Settle
            | LifeEffect::Resync
            | LifeEffect::Leave
            | LifeEffect::End(_) => LifeEvent::Done,
        }
    }

    /// Performs the next effect, which goes well.
    fn step(&mut self) -> LifeEffect {
        let effect = self.life.next_effect();
        if let LifeEffect::Wait(Wait { at_most: Some(wait), .. }) = &effect {
            self.now.since += *wait;
        }
        self.on(self.well(&effect));
        effect
    }

    /// Performs effects that go well until this one is the next; answers those.
    fn until(&mut self, is: impl Fn(&LifeEffect) -> bool) -> Vec<LifeEffect> {
        let mut performed = Vec::new();
        while !is(&self.life.next_effect()) {
            assert!(performed.len() < 20, "{performed:?}");
            performed.push(self.step());
        }
        performed
    }

    fn until_open(&mut self) -> Vec<LifeEffect> {
        self.until(|effect| matches!(effect, LifeEffect::Open(_)))
    }

    fn until_run(&mut self) -> Vec<LifeEffect> {
        self.until(|effect| *effect == LifeEffect::Run)
    }

    fn until_wait(&mut self) -> Wait {
        self.until(|effect| matches!(effect, LifeEffect::Wait(_) | LifeEffect::End(_)));
        let LifeEffect::Wait(wait) = self.life.next_effect() else { panic!("{:?}", self.life.next_effect()) };
        wait
    }

    fn until_end(&mut self) -> Ended {
        self.until(|effect| matches!(effect, LifeEffect::End(_)));
        let LifeEffect::End(ended) = self.life.next_effect() else { unreachable!() };
        ended
    }

    fn state(&self) -> Option<(PipelineState, Option<String>)> {
        self.reports.iter().rev().find_map(LifeReport::state)
    }
}

/// Says whether a run is being looked for, opened, or open.
fn opens(effect: &LifeEffect) -> bool {
    matches!(effect, LifeEffect::Look | LifeEffect::Open(_) | LifeEffect::Run)
}

fn waits(effects: &[LifeEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, LifeEffect::Wait(_)))
}

#[test]
fn a_pipeline_opens_what_the_checkpoint_is_of_once_the_newest_are_known_or_a_second_is_over() {
    for known in [LifeEvent::Came, LifeEvent::Waited, LifeEvent::Gone] {
        let mut host = Host::new(None);
        host.newest = 2;
        let wait = Wait { awaited: Awaited::Known, at_most: Some(COMPILING), orders: false };
        assert_eq!(host.life.next_effect(), LifeEffect::Wait(wait));
        host.on(known);
        assert_eq!(host.until_run(), [LifeEffect::Look, LifeEffect::Open(version(1))]);
        assert!(host.reports.is_empty());
    }
}

#[test]
fn at_one_place_the_waits_double_whatever_ends_a_run_and_begin_anew_where_it_gets_further() {
    for end in [End::Fault(reason()), End::Disabled(reason()), End::Died(reason()), End::Replaced(reason())] {
        let mut host = Host::running();
        let seconds = [7, 7, 7, 7, 7, 7, 7, 7, 8, 8].map(|place| {
            host.place = place;
            host.ends(end.clone());
            let wait = host.until_wait();
            host.until_run();
            wait.at_most.unwrap().as_secs()
        });
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 1, 2], "{end:?}");
    }
}

#[test]
fn what_can_not_be_opened_waits_as_long_as_what_can_not_run() {
    for trouble in [Trouble::wrong("no table"), Trouble::Operator(reason())] {
        let mut host = Host::new(None);
        let seconds = [(); 3].map(|()| {
            host.until_open();
            host.on(LifeEvent::NotOpened(trouble.clone()));
            host.until_wait().at_most.unwrap().as_secs()
        });
        assert_eq!(seconds, [1, 2, 4], "{trouble:?}");
    }
}

#[test]
fn another_file_of_a_disabled_operator_ends_the_wait_and_the_next_is_a_first_one() {
    let mut host = Host::running();
    for _ in 0..3 {
        host.until_run();
        host.ends(End::Disabled(reason()));
    }
    assert_eq!(host.until_wait().awaited, Awaited::OtherOperators);
    host.on(LifeEvent::Came);
    assert!(!waits(&host.until_run()));
    host.ends(End::Disabled(reason()));
    assert_eq!(host.until_wait().at_most, Some(FIRST_WAIT));
}

#[test]
fn whatever_is_deployed_ends_the_wait_of_a_stop_and_the_next_is_longer() {
    let mut host = Host::running();
    host.ends(End::Fault(reason()));
    assert_eq!(host.until_wait().awaited, Awaited::Deployment);
    host.on(LifeEvent::Came);
    assert!(!waits(&host.until_run()));
    host.ends(End::Fault(reason()));
    assert_eq!(host.until_wait().at_most, Some(2 * FIRST_WAIT));
}

#[test]
fn a_stop_is_news_for_another_reason_or_at_another_place() {
    let mut host = Host::running();
    let news = [("no table", 1), ("no table", 1), ("no column", 1), ("no column", 2)].map(|(reason, place)| {
        host.until_run();
        host.place = place;
        host.ends(End::Fault(reason.to_owned()));
        host.until_wait();
        let Some(LifeReport::Stopped { news, .. }) = host.reports.pop() else { panic!("{:?}", host.reports) };
        news
    });
    assert_eq!(news, [true, false, true, true]);
}

#[test]
fn whoever_rests_has_left_the_group_and_whoever_begins_anew_has_not() {
    for end in bad_ends() {
        let mut host = Host::running();
        host.ends(end.clone());
        let leaves = host.until_open().contains(&LifeEffect::Leave);
        assert_eq!(leaves, end.fault().is_some(), "{end:?}");
    }
}

#[test]
fn a_moved_run_is_followed_at_once_holds_meanwhile_and_never_counts_as_a_fault() {
    for backfill in [None, Some(PATIENCE)] {
        let mut host = Host::new(backfill);
        for _ in 0..5 {
            host.until_run();
            host.ends(End::Moved("moved".to_owned()));
            let performed = host.until_run();
            assert!(performed.contains(&LifeEffect::Settle) && !waits(&performed), "{performed:?}");
            assert_eq!(host.state(), Some((PipelineState::Holding, Some("moved".to_owned()))));
        }
        assert!(
            backfill.is_some() || {
                host.ends(End::Fault(reason()));
                host.until_wait().at_most == Some(FIRST_WAIT)
            }
        );
    }
}

#[test]
fn while_a_server_is_away_one_that_ran_holds_and_one_that_has_not_waits() {
    let away = || LifeEvent::NotOpened(Trouble::Away("away".to_owned()));
    let mut host = Host::new(None);
    host.until_open();
    host.on(away());
    assert_eq!(host.state(), Some((PipelineState::Waiting, Some("away".to_owned()))));
    host.until_run();
    host.ends(End::Moved(reason()));
    host.until_open();
    host.on(away());
    assert_eq!(host.state(), Some((PipelineState::Holding, Some("away".to_owned()))));
    host.until_run();
    host.ends(End::Fault(reason()));
    host.until_open();
    host.on(away());
    assert_eq!(host.state(), Some((PipelineState::Waiting, Some("away".to_owned()))), "it has run since");
}

#[test]
fn a_server_that_is_away_is_asked_again_after_waits_that_grow_and_begin_anew_with_each_opening() {
    let mut host = Host::new(None);
    let tries = |host: &mut Host| {
        [(); 9].map(|()| {
            host.until_open();
            host.on(LifeEvent::NotOpened(Trouble::Away(reason())));
            host.until_wait().at_most.unwrap()
        })
    };
    for _ in 0..2 {
        let waits = tries(&mut host);
        assert!(waits[0] <= Duration::from_millis(100) && waits[8] > Duration::from_secs(1), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(2)), "{waits:?}");
        host.on(LifeEvent::Obeyed);
    }
}

#[test]
fn a_backfill_gives_up_a_server_that_was_away_for_its_patience_and_another_pipeline_never_does() {
    for (backfill, gives_up) in [(None, false), (Some(PATIENCE), true)] {
        let mut host = Host::new(backfill);
        host.until_open();
        let begun = host.now.since;
        for _ in 0..100 {
            host.until(|effect| !matches!(effect, LifeEffect::Wait(_) | LifeEffect::Look));
            if !matches!(host.life.next_effect(), LifeEffect::Open(_)) {
                break;
            }
            host.on(LifeEvent::NotOpened(Trouble::Away("away".to_owned())));
        }
        assert_eq!(matches!(host.life.next_effect(), LifeEffect::Wait(_)), !gives_up);
        if gives_up {
            let waited = host.now.since - begun;
            assert!(waited >= PATIENCE && waited < PATIENCE + Duration::from_secs(2), "{waited:?}");
            assert_eq!(host.until_end(), Ended::Fault("away; given up after 10s, as --patience says".to_owned()));
        }
    }
}

#[test]
fn the_patience_of_a_backfill_goes_on_from_the_wait_of_a_run_that_moved_and_begins_anew_after_compiling() {
    let away = || LifeEvent::NotOpened(Trouble::Away(reason()));
    let mut host = Host::new(Some(PATIENCE));
    host.until_run();
    let waited = Some(PATIENCE - Duration::from_millis(1));
    host.on(LifeEvent::Ended(RunEnd { waited, ..run_end(End::Moved(reason())) }));
    host.until(|effect| *effect == LifeEffect::Look);
    let unread = Candidates { unread: Some("sum".to_owned()), ..host.candidates() };
    host.on(LifeEvent::Looked(Ok(unread.clone())));
    // It waits for long.
    host.now.since += Duration::from_secs(600);
    host.on(LifeEvent::Waited);
    host.on(LifeEvent::Came);
    host.until_open();
    host.on(away());
    assert_eq!(host.until_wait().awaited, Awaited::Time, "the compiler is no server that is away");

    let mut host = Host::new(Some(PATIENCE));
    host.until_run();
    host.on(LifeEvent::Ended(RunEnd { waited, ..run_end(End::Moved(reason())) }));
    host.until_open();
    host.now.since += Duration::from_millis(1);
    host.on(away());
    assert!(matches!(host.until_end(), Ended::Fault(_)));
}

#[test]
fn a_backfill_waits_until_the_newest_operators_are_compiled_and_others_run_what_there_is() {
    for (backfill, waits) in [(Some(PATIENCE), true), (None, false)] {
        let mut host = Host::new(backfill);
        host.until(|effect| *effect == LifeEffect::Look);
        let unread = Candidates { unread: Some("sum".to_owned()), ..host.candidates() };
        host.on(LifeEvent::Looked(Ok(unread)));
        assert_eq!(matches!(host.life.next_effect(), LifeEffect::Wait(_)), waits);
    }
}

#[test]
fn an_operator_that_takes_long_to_be_looked_at_is_said_after_a_second_and_no_more_once_it_is() {
    let mut host = Host::new(None);
    host.good = None;
    host.until(|effect| *effect == LifeEffect::Look);
    let unread = Candidates { unread: Some("sum".to_owned()), newest: Err(reason()), ..host.candidates() };
    host.on(LifeEvent::Looked(Ok(unread)));
    assert_eq!(host.until_wait().at_most, Some(COMPILING));
    assert_eq!(host.state(), None);
    host.on(LifeEvent::Waited);
    assert_eq!(host.until_wait().at_most, None);
    assert_eq!(
        host.state(),
        Some((PipelineState::Waiting, Some("operator `sum` is being read and compiled".to_owned())))
    );
    host.on(LifeEvent::Came);
    assert_eq!(host.state(), Some((PipelineState::Waiting, None)));
    host.until_run();
}

#[test]
fn a_pipeline_without_operators_waits_for_a_deployment() {
    let mut host = Host::new(None);
    host.good = None;
    host.until(|effect| *effect == LifeEffect::Look);
    host.on(LifeEvent::Looked(Ok(Candidates { newest: Err("it is refused".to_owned()), ..host.candidates() })));
    assert_eq!(host.until_wait(), Wait { awaited: Awaited::Deployment, at_most: None, orders: true });
    assert_eq!(host.state(), Some((PipelineState::Waiting, Some("it is refused".to_owned()))));
    host.on(LifeEvent::Came);
    host.until_run();
}

#[test]
fn operators_of_the_checkpoint_that_are_gone_or_can_not_be_opened_are_followed_by_the_newest() {
    for not in [LifeEvent::NotKept(reason()), LifeEvent::NotOpened(Trouble::wrong("no column"))] {
        let mut host = Host::new(None);
        host.newest = 2;
        host.until_open();
        assert_eq!(host.life.next_effect(), LifeEffect::Open(version(1)));
        host.on(not);
        assert!(!waits(&host.until_open()));
        assert_eq!(host.life.next_effect(), LifeEffect::Open(version(2)));
        assert_eq!(host.reports.len(), 1);
    }
}

#[test]
fn where_no_operators_are_kept_the_pipeline_waits_for_some() {
    let mut host = Host::new(None);
    host.until_open();
    // The newest and the checkpoint's are one: it is tried again once, as what a run before had left may have been meant.
    host.on(LifeEvent::NotKept(reason()));
    assert_eq!(host.until_wait().awaited, Awaited::Deployment);
    assert_eq!(host.state(), Some((PipelineState::Waiting, Some("no generation can be run".to_owned()))));
}

#[test]
fn every_fault_of_a_backfill_ends_it_and_says_why() {
    type Step = fn(&mut Host);
    let faults: [(&str, Step); 9] = [
        ("no table", |host| host.on(LifeEvent::NotOpened(Trouble::wrong("no table")))),
        ("reason", |host| host.on(LifeEvent::NotOpened(Trouble::Operator(reason())))),
        ("others have it", |host| host.on(LifeEvent::NotOpened(Trouble::Held("others have it".to_owned())))),
        ("refused", |host| {
            host.on(LifeEvent::NotKept(reason()));
            host.newest = 3;
        }),
        ("reason", |host| {
            host.until_run();
            host.ends(End::Fault(reason()));
        }),
        ("reason", |host| {
            host.until_run();
            host.ends(End::Disabled(reason()));
        }),
        ("its lane died", |host| {
            host.until_run();
            host.ends(End::Died("its lane died".to_owned()));
        }),
        ("its supervisor died: reason", |host| host.on(LifeEvent::Died(reason()))),
        ("a server was away", |host| {
            host.until_run();
            let given_up = Some("a server was away".to_owned());
            host.on(LifeEvent::Ended(RunEnd { given_up, ..run_end(End::Done) }));
        }),
    ];
    for (fault, cause) in faults {
        let mut host = Host::new(Some(PATIENCE));
        host.until_open();
        cause(&mut host);
        if fault == "refused" {
            host = Host::new(Some(PATIENCE));
            host.until(|effect| *effect == LifeEffect::Look);
            let none = Candidates { newest: Err(fault.to_owned()), good: None, ..host.candidates() };
            host.on(LifeEvent::Looked(Ok(none)));
        }
        let performed = host.until(|effect| matches!(effect, LifeEffect::End(_)));
        assert!(!performed.iter().any(|effect| opens(effect) || matches!(effect, LifeEffect::Wait(_))), "{fault}");
        let LifeEffect::End(Ended::Fault(reason)) = host.life.next_effect() else { panic!("{fault}") };
        assert!(reason.starts_with(fault), "{reason}");
    }
}

#[test]
fn a_run_that_can_not_begin_waits_as_long_as_any_other_fault() {
    // Others would follow operators that can't be opened.
    for newest in [1, 2] {
        let mut host = Host::new(None);
        host.newest = newest;
        let seconds = [(); 3].map(|()| {
            host.until_open();
            // Of a run that has not begun, the rollout isn't told.
            host.life.on(LifeEvent::Opened, host.now);
            host.on(LifeEvent::NotBegun("no thread for the lane".to_owned()));
            host.until_wait().at_most.unwrap().as_secs()
        });
        assert_eq!(seconds, [1, 2, 4]);
    }
}

#[test]
fn a_history_that_can_not_be_read_any_more_waits_as_long_as_any_other_fault() {
    let mut host = Host::new(None);
    host.until_open();
    host.on(LifeEvent::NotOpened(Trouble::Away(reason())));
    let seconds = [(); 3].map(|()| {
        host.until(|effect| *effect == LifeEffect::Look);
        host.on(LifeEvent::Looked(Err(Trouble::wrong("damaged"))));
        host.until_wait().at_most.unwrap().as_secs()
    });
    assert_eq!(seconds, [1, 2, 4]);
}

#[test]
fn a_backfill_that_gives_up_tries_no_other_operators() {
    for trouble in [Trouble::Held(reason()), Trouble::Away(reason())] {
        let mut host = Host::new(Some(Duration::ZERO));
        host.newest = 2;
        host.until_open();
        host.on(LifeEvent::NotOpened(trouble.clone()));
        let performed = host.until(|effect| matches!(effect, LifeEffect::End(_)));
        assert!(!performed.iter().any(opens), "{trouble}: {performed:?}");
        assert!(matches!(host.until_end(), Ended::Fault(_)), "{trouble}");
    }
}

#[test]
fn other_hosts_are_waited_for_without_an_end_and_without_a_wait_that_grows() {
    let mut host = Host::new(None);
    for _ in 0..5 {
        host.until_open();
        host.on(LifeEvent::NotOpened(Trouble::Held("others have it".to_owned())));
        let turn = Awaited::Turn("others have it".to_owned());
        assert_eq!(host.until_wait(), Wait { awaited: turn, at_most: None, orders: true });
        assert_eq!(host.state(), Some((PipelineState::Holding, Some("others have it".to_owned()))));
        host.now.since += Duration::from_secs(3_600);
        host.on(LifeEvent::Came);
    }
    host.until_run();
    host.ends(End::Fault(reason()));
    assert_eq!(host.until_wait().at_most, Some(FIRST_WAIT));
}

#[test]
fn what_is_done_finishes_and_leaves_the_group() {
    let mut host = Host::running();
    host.ends(End::Done);
    let performed = host.until(|effect| matches!(effect, LifeEffect::End(_)));
    assert_eq!(performed, [LifeEffect::Record { deployments: vec![], flushed: true }, LifeEffect::Leave]);
    assert_eq!((host.until_end(), host.state()), (Ended::Well, Some((PipelineState::Finished, None))));
}

#[test]
fn a_fault_on_trial_is_recorded_as_rolled_back_and_the_checkpoints_generation_is_opened_at_once() {
    for end in [End::Fault(reason()), End::Disabled(reason()), End::Died(reason())] {
        let mut host = Host::on_trial();
        host.ends(end.clone());
        let LifeEffect::Record { deployments, flushed: false } = host.life.next_effect() else { panic!("{end:?}") };
        let rolled_back = (Outcome::RolledBack, version(2), Some(reason()));
        let said = deployments.into_iter().map(|said| (said.outcome, said.operators, said.reason));
        assert_eq!(said.collect::<Vec<_>>(), [rolled_back]);
        let performed = host.until_run();
        assert!(!waits(&performed) && !performed.contains(&LifeEffect::Leave), "{performed:?}");
        assert_eq!(performed.last(), Some(&LifeEffect::Open(version(1))));
        // Nor does it count as a fault of the checkpoint's generation.
        host.ends(End::Fault(reason()));
        assert_eq!(host.until_wait().at_most, Some(FIRST_WAIT), "{end:?}");
    }
}

#[test]
fn a_trial_that_had_passed_before_the_fault_is_applied_and_the_fault_stops_the_pipeline() {
    let passed = [(Some(version(2)), None), (None, Some((2, version(2))))];
    for (passed, head) in passed {
        let mut host = Host::on_trial();
        host.on(LifeEvent::Ended(RunEnd { passed, head, ..run_end(End::Fault(reason())) }));
        let LifeEffect::Record { deployments, .. } = host.life.next_effect() else { panic!() };
        assert_eq!(deployments.iter().map(|said| said.outcome).collect::<Vec<_>>(), [Outcome::Applied]);
        host.until_wait();
        assert_eq!(host.state(), Some((PipelineState::Stopped, Some(reason()))));
    }
}

#[test]
fn groups_that_are_to_be_written_again_are_once_the_run_has_ended_and_another_begins_at_once() {
    for end in bad_ends().into_iter().chain([End::Done]) {
        let mut host = Host::running();
        host.on(LifeEvent::Resync);
        assert_eq!(host.life.next_effect(), LifeEffect::Run);
        host.ends(end.clone());
        let performed = host.until_run();
        assert!(performed.contains(&LifeEffect::Resync) && !waits(&performed), "{end:?}: {performed:?}");
        host.ends(End::Done);
        assert_eq!(host.until_end(), Ended::Well, "once");
    }
}

#[test]
fn groups_are_written_again_once_the_run_of_a_supervisor_that_died_has_ended() {
    let mut host = Host::running();
    host.on(LifeEvent::Resync);
    host.on(LifeEvent::Died(reason()));
    let performed = host.until(|effect| *effect == LifeEffect::Look);
    let place = |wanted: &dyn Fn(&LifeEffect) -> bool| performed.iter().position(wanted);
    let ended = place(&|effect| matches!(effect, LifeEffect::Wait(Wait { awaited: Awaited::OldRun, .. })));
    let resynced = place(&|effect| *effect == LifeEffect::Resync);
    assert!(resynced.is_some() && resynced > ended, "{performed:?}");
    host.until_run();
    host.ends(End::Fault(reason()));
    host.until_wait();
    assert_eq!(host.state(), Some((PipelineState::Stopped, Some(reason()))), "once");
}

#[test]
fn states_are_forgotten_once_the_run_that_refused_others_has_ended_well_and_another_begins_at_once() {
    let mut host = Host::running();
    host.on(LifeEvent::StatesRefused);
    host.ends(End::Done);
    let LifeEffect::Record { flushed: false, .. } = host.life.next_effect() else { panic!() };
    host.newest = 2;
    host.good = None;
    let performed = host.until_run();
    assert!(performed.contains(&LifeEffect::Forget) && !waits(&performed), "{performed:?}");
    assert_eq!(performed.last(), Some(&LifeEffect::Open(version(2))));
    host.ends(End::Done);
    assert_eq!(host.until_end(), Ended::Well, "once");
}

#[test]
fn states_are_forgotten_by_no_later_run_than_the_one_that_refused_others() {
    for end in [End::Moved(reason()), End::Replaced(reason())] {
        let mut host = Host::running();
        host.on(LifeEvent::StatesRefused);
        host.ends(end.clone());
        // By now those that refused them may be gone.
        host.until_run();
        host.on(LifeEvent::Ending);
        host.ends(End::Done);
        let performed = host.until(|effect| matches!(effect, LifeEffect::End(_)));
        assert!(!performed.contains(&LifeEffect::Forget), "{end:?}: {performed:?}");
    }
}

#[test]
fn states_that_can_not_be_forgotten_stop_the_pipeline() {
    let mut host = Host::running();
    host.on(LifeEvent::StatesRefused);
    host.ends(End::Done);
    host.until(|effect| *effect == LifeEffect::Forget);
    host.on(LifeEvent::Forgotten(Err("disk full".to_owned())));
    host.until_wait();
    assert_eq!(host.state(), Some((PipelineState::Stopped, Some("disk full".to_owned()))));
}

#[test]
fn an_order_ends_every_wait_that_people_see_and_has_it_tried_at_once() {
    let waiting: [fn(&mut Host); 6] = [
        |host| host.on(LifeEvent::NotOpened(Trouble::Away(reason()))),
        |host| host.on(LifeEvent::NotOpened(Trouble::Held(reason()))),
        |host| host.on(LifeEvent::NotOpened(Trouble::wrong("no table"))),
        |host| host.on(LifeEvent::NotOpened(Trouble::Operator(reason()))),
        |host| host.on(LifeEvent::NotKept(reason())),
        |host| host.on(LifeEvent::Died(reason())),
    ];
    for (case, wait) in waiting.into_iter().enumerate() {
        let mut host = Host::new(None);
        host.until_open();
        wait(&mut host);
        assert!(host.until_wait().orders, "{case}");
        host.on(LifeEvent::Obeyed);
        let performed = host.until_run();
        // Whoever died waits for what it left.
        assert_eq!(waits(&performed), case == 5, "{case}: {performed:?}");
    }
}

#[test]
fn whoever_nobody_deploys_to_any_more_is_at_fault_where_it_waits_for_a_deployment() {
    let waiting: [fn(&mut Host); 2] =
        [|host| host.ends(End::Fault(reason())), |host| host.ends(End::Disabled(reason()))];
    for wait in waiting {
        let mut host = Host::running();
        wait(&mut host);
        host.until_wait();
        host.on(LifeEvent::Gone);
        assert_eq!(host.until_end(), Ended::Fault(reason()));
    }
}

#[test]
fn whoever_is_at_fault_as_it_is_to_end_says_so_and_whoever_is_disabled_ends_well() {
    let ended = |end| {
        let mut host = Host::running();
        host.on(LifeEvent::Ending);
        host.ends(end);
        host.until_end()
    };
    for end in [End::Fault(reason()), End::Replaced(reason())] {
        assert_eq!(ended(end), Ended::Fault(reason()));
    }
    for end in [End::Done, End::Disabled(reason()), End::Died(reason()), End::Moved(reason())] {
        assert_eq!(ended(end), Ended::Well);
    }
}

/// Choice of a seed: which answer of those that may come, and after how long.
type Choice = (u8, u64);

fn choices(most: usize) -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec((any::<u8>(), 0..3_000u64), 0..most)
}

fn any_trouble(choice: u8) -> Trouble {
    match choice % 4 {
        0 => Trouble::Away(reason()),
        1 => Trouble::Held(reason()),
        2 => Trouble::Operator(reason()),
        _ => Trouble::wrong("no table"),
    }
}

fn any_end(choice: u8) -> LifeEvent {
    let end = bad_ends().into_iter().chain([End::Done]).nth(usize::from(choice % 6)).unwrap();
    let given_up = (choice.is_multiple_of(7)).then(reason);
    let passed = (choice.is_multiple_of(5)).then(|| version(2));
    LifeEvent::Ended(RunEnd { given_up, passed, ..run_end(end) })
}

/// Any answer that an effect may have.
fn any_answer(host: &Host, effect: &LifeEffect, choice: u8) -> LifeEvent {
    match (effect, choice % 8) {
        (LifeEffect::Wait(_), 0) => LifeEvent::Gone,
        (LifeEffect::Wait(_), 1 | 2) => LifeEvent::Came,
        (LifeEffect::Wait(wait), 3) if wait.orders => LifeEvent::Obeyed,
        (LifeEffect::Look, 0) => LifeEvent::Looked(Err(any_trouble(choice / 8))),
        (LifeEffect::Look, 1) => {
            let unread = Some("sum".to_owned());
            LifeEvent::Looked(Ok(Candidates { unread, newest: Err(reason()), good: None, shunned: None }))
        }
        (LifeEffect::Look, 2) => LifeEvent::Looked(Ok(Candidates { newest: Err(reason()), ..host.candidates() })),
        (LifeEffect::Look, 3) => LifeEvent::Looked(Ok(Candidates { newest: Ok(version(2)), ..host.candidates() })),
        (LifeEffect::Open(_), 0..3) => LifeEvent::NotOpened(any_trouble(choice / 8)),
        (LifeEffect::Open(_), 3) => LifeEvent::NotKept(reason()),
        (LifeEffect::Run, 0) => LifeEvent::Resync,
        (LifeEffect::Run, 1) => LifeEvent::StatesRefused,
        (LifeEffect::Run, 2) => LifeEvent::NotBegun(reason()),
        (LifeEffect::Run, _) => any_end(choice / 8),
        (LifeEffect::Forget, 0) => LifeEvent::Forgotten(Err(reason())),
        (LifeEffect::Locate, _) => LifeEvent::Located((!choice.is_multiple_of(3)).then(|| at(i64::from(choice % 2)))),
        (effect, _) => host.well(effect),
    }
}

/// Lets happen what the seed says; every third run tries other operators.
fn walk(host: &mut Host, choices: &[Choice], mut saw: impl FnMut(&LifeEffect, &LifeEvent)) {
    for (choice, millis) in choices {
        let effect = host.life.next_effect();
        let event = any_answer(host, &effect, *choice);
        host.now.since += Duration::from_millis(*millis);
        saw(&effect, &event);
        host.on(event.clone());
        if event == LifeEvent::Opened && choice % 3 == 0 {
            for event in [deploy::Event::Wanted(version(2)), deploy::Event::Prepared, deploy::Event::CutOver] {
                host.life.rollout.on(event, 0);
            }
        }
    }
}

fn backfills() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of(Just(PATIENCE))
}

proptest! {
    #[test]
    fn whoever_is_asked_to_end_ends_from_every_state_without_opening_again(
        backfill in backfills(), before in choices(60), after in choices(20),
    ) {
        let mut host = Host::new(backfill);
        walk(&mut host, &before, |_, _| {});
        let ran = host.life.is_running();
        host.on(LifeEvent::Ending);
        let mut opened = false;
        // While its run is open, an answer may be no end of it.
        walk(&mut host, &after, |effect, event| {
            opened |= matches!(effect, LifeEffect::Look | LifeEffect::Open(_)) || *event == LifeEvent::Opened;
        });
        let performed = host.until(|effect| matches!(effect, LifeEffect::End(_)));
        prop_assert!(!opened && !performed.iter().any(|effect| matches!(effect, LifeEffect::Look | LifeEffect::Open(_))));
        prop_assert!(ran || !performed.contains(&LifeEffect::Run));
    }

    #[test]
    fn a_supervisor_that_died_opens_nothing_before_its_run_has_ended(
        backfill in backfills(), before in choices(60), after in choices(60),
    ) {
        let mut host = Host::new(backfill);
        walk(&mut host, &before, |_, _| {});
        host.on(LifeEvent::Died(reason()));
        if matches!(host.life.next_effect(), LifeEffect::End(_)) {
            return Ok(());
        }
        prop_assert!(host.life.rollout.is_closed());
        let (mut ended, mut before_that) = (false, false);
        walk(&mut host, &after, |effect, event| {
            before_that |= !ended && opens(effect);
            let is_awaited = matches!(effect, LifeEffect::Wait(Wait { awaited: Awaited::OldRun, .. }));
            ended |= is_awaited && *event == LifeEvent::Came;
        });
        prop_assert!(!before_that);
    }

    #[test]
    fn every_run_is_opened_first_and_recorded_right_after_and_every_end_comes_after_the_group_was_left(
        backfill in backfills(), choices in choices(120),
    ) {
        let mut host = Host::new(backfill);
        let mut last: Option<(LifeEffect, LifeEvent)> = None;
        let mut broken = Vec::new();
        walk(&mut host, &choices, |effect, event| {
            let is_good = match (&last, effect) {
                (Some((before, answer)), LifeEffect::Run) => {
                    *answer == LifeEvent::Opened || *before == LifeEffect::Run
                }
                (None, LifeEffect::Run) => false,
                (Some((_, answer)), LifeEffect::Record { .. }) => matches!(answer, LifeEvent::Ended(_)),
                (Some((before, _)), LifeEffect::End(_)) => {
                    matches!(before, LifeEffect::Leave | LifeEffect::End(_))
                }
                (Some((_, LifeEvent::Ended(_))), _) => false,
                _ => true,
            };
            if !is_good {
                broken.push((last.clone(), effect.clone()));
            }
            last = Some((effect.clone(), event.clone()));
        });
        prop_assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn a_pipeline_that_is_neither_done_nor_asked_to_end_nor_a_backfill_goes_on(choices in choices(120)) {
        let mut host = Host::new(None);
        let mut may_end = false;
        walk(&mut host, &choices, |_, event| {
            let done = |run: &RunEnd| run.end == End::Done && run.given_up.is_none();
            may_end |= *event == LifeEvent::Gone || matches!(event, LifeEvent::Ended(run) if done(run));
        });
        prop_assert!(may_end || !matches!(host.life.next_effect(), LifeEffect::End(_)));
    }

    #[test]
    fn a_backfill_at_fault_never_rests(choices in choices(120)) {
        let mut host = Host::new(Some(PATIENCE));
        let mut rests = BTreeSet::new();
        walk(&mut host, &choices, |effect, _| {
            if let LifeEffect::Wait(Wait { awaited: Awaited::OtherOperators, .. }) = effect {
                rests.insert("disabled");
            }
        });
        let says = |report: &LifeReport| matches!(report.state(), Some((PipelineState::Stopped | PipelineState::Disabled, _)));
        if host.reports.iter().any(says) {
            prop_assert!(matches!(host.until_end(), Ended::Fault(_)));
        }
        prop_assert!(rests.is_empty());
    }

    #[test]
    fn an_answer_that_does_not_belong_to_the_effect_under_way_changes_nothing(
        backfill in backfills(), before in choices(60), choice in any::<u8>(),
    ) {
        let mut host = Host::new(backfill);
        walk(&mut host, &before, |_, _| {});
        let effect = host.life.next_effect();
        let others = [
            (LifeEffect::Look, LifeEvent::Looked(Ok(host.candidates()))),
            (LifeEffect::Open(version(1)), LifeEvent::Opened),
            (LifeEffect::Open(version(1)), LifeEvent::NotOpened(any_trouble(choice))),
            (LifeEffect::Run, any_end(choice)),
            (LifeEffect::Run, LifeEvent::Resync),
            (LifeEffect::Forget, LifeEvent::Forgotten(Ok(()))),
            (LifeEffect::Locate, LifeEvent::Located(Some(at(1)))),
        ];
        for (belongs_to, event) in others {
            if std::mem::discriminant(&belongs_to) != std::mem::discriminant(&effect) {
                host.on(event.clone());
                prop_assert_eq!(host.life.next_effect(), effect.clone(), "{:?}", event);
            }
        }
    }

    #[test]
    fn two_lives_of_one_seed_are_one(backfill in backfills(), choices in choices(120)) {
        let effects = || {
            let (mut host, mut effects) = (Host::new(backfill), Vec::new());
            walk(&mut host, &choices, |effect, _| effects.push(effect.clone()));
            (effects, host.reports)
        };
        prop_assert_eq!(effects(), effects());
    }
}
