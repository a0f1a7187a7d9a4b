//! The machine against a host that does what it says, and whose operators are good, bad or refused.

use proptest::prelude::*;

use super::*;

fn version(number: u8) -> Operators {
    Operators::from([("sum".to_owned(), format!("{number:02}"))])
}

fn effects(rollout: &mut Rollout, event: Event) -> Vec<Effect> {
    rollout.on(event, 0)
}

/// Returns the event of a run that was opened. It numbers generations as the host does: operators other than the checkpoint's are
/// the next generation.
fn opened(rollout: &Rollout) -> Event {
    let (generation, good) = rollout.running().map_or((0, None), |(generation, good)| (generation, Some(good)));
    Event::Opened(generation + u64::from(good != rollout.opening()))
}

fn open(rollout: &mut Rollout) -> Vec<Effect> {
    let event = opened(rollout);
    effects(rollout, event)
}

/// Makes a rollout that runs the first generation, of version 1.
fn running() -> Rollout {
    let mut rollout = Rollout::new(None, None);
    assert_eq!(effects(&mut rollout, Event::Start), []);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(1))), [Effect::Open(version(1))]);
    assert_eq!(open(&mut rollout), []);
    assert_eq!(rollout.running(), Some((1, &version(1))));
    rollout
}

/// Makes a rollout that runs version 2 on trial.
fn on_trial() -> Rollout {
    let mut rollout = running();
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [Effect::Prepare(version(2))]);
    assert_eq!(effects(&mut rollout, Event::Prepared), [Effect::CutOver { operators: version(2), trial: true }]);
    assert_eq!(effects(&mut rollout, Event::CutOver), []);
    assert_eq!(rollout.running(), Some((2, &version(2))));
    rollout
}

fn said(effects: &[Effect]) -> Vec<(Outcome, u64, Option<&str>)> {
    fn deployment(effect: &Effect) -> Option<(Outcome, u64, Option<&str>)> {
        let Effect::Say(said) = effect else { return None };
        Some((said.outcome, said.generation, said.reason.as_deref()))
    }
    effects.iter().filter_map(deployment).collect()
}

#[test]
fn a_trial_that_passes_is_applied_as_the_next_generation() {
    let mut rollout = on_trial();
    let effects = effects(&mut rollout, Event::Passed(version(2)));
    assert_eq!(said(&effects), [(Outcome::Applied, 2, None)]);
    assert_eq!((rollout.running(), rollout.is_on_trial()), (Some((2, &version(2))), false));
}

#[test]
fn a_trial_that_fails_is_rolled_back_and_not_tried_again_until_something_else_was_wanted() {
    let mut rollout = on_trial();
    let rolled_back = effects(&mut rollout, Event::Ended(Err("it traps".to_owned())));
    assert_eq!(said(&rolled_back), [(Outcome::RolledBack, 2, Some("it traps"))]);
    assert_eq!(rolled_back[1], Effect::Open(version(1)));
    assert_eq!(rollout.shunned(), Some(&version(2)));
    assert_eq!(open(&mut rollout), []);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [], "the same file again");
    assert_eq!(effects(&mut rollout, Event::Wanted(version(1))), []);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [Effect::Prepare(version(2))]);
}

#[test]
fn after_a_restart_the_checkpoints_generation_runs_first_and_what_was_rolled_back_stays_so() {
    let mut rollout = Rollout::new(Some((4, version(1))), Some(version(2)));
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [Effect::Open(version(1))]);
    assert_eq!(open(&mut rollout), []);
    assert_eq!(rollout.running(), Some((4, &version(1))));
    let next = effects(&mut rollout, Event::Wanted(version(3)));
    assert_eq!(next, [Effect::Prepare(version(3))]);
}

#[test]
fn a_trial_that_passed_just_before_it_was_gone_back_from_is_no_fault() {
    let mut rollout = on_trial();
    assert_eq!(effects(&mut rollout, Event::Asked(version(1))), [Effect::Close]);
    effects(&mut rollout, Event::Passed(version(2)));
    effects(&mut rollout, Event::Wanted(version(3)));
    assert_eq!(effects(&mut rollout, Event::Ended(Ok(()))), []);
    assert_eq!(effects(&mut rollout, Event::Start), [Effect::Open(version(1))]);
    assert_eq!(
        effects(&mut rollout, Event::NotOpened),
        [Effect::Open(version(2))],
        "and nothing newer without a trial"
    );
}

#[test]
fn what_a_person_wants_during_a_trial_goes_on_from_the_checkpoint_whichever_it_is() {
    let mut rollout = running();
    effects(&mut rollout, Event::Wanted(version(2)));
    effects(&mut rollout, Event::Prepared);
    effects(&mut rollout, Event::CutOver);
    effects(&mut rollout, Event::Passed(version(2)));
    effects(&mut rollout, Event::Wanted(version(3)));
    effects(&mut rollout, Event::Prepared);
    effects(&mut rollout, Event::CutOver);
    assert_eq!(
        effects(&mut rollout, Event::Asked(version(1))),
        [Effect::Close],
        "not the good one, and not on trial's states"
    );
    let rolled_back = effects(&mut rollout, Event::Ended(Ok(())));
    assert!(rolled_back.contains(&Effect::Open(version(1))));
}

#[test]
fn a_newer_one_takes_a_trial_over_and_the_way_back_stays_the_same() {
    let mut rollout = on_trial();
    assert_eq!(effects(&mut rollout, Event::Wanted(version(3))), [Effect::Prepare(version(3))]);
    assert_eq!(effects(&mut rollout, Event::Prepared), [Effect::CutOver { operators: version(3), trial: true }]);
    assert_eq!(effects(&mut rollout, Event::CutOver), []);
    let rolled_back = effects(&mut rollout, Event::Ended(Err("it traps".to_owned())));
    assert!(rolled_back.contains(&Effect::Open(version(1))));
    assert_eq!(rollout.shunned(), Some(&version(3)));
}

#[test]
fn a_trial_that_passed_just_before_a_newer_one_took_over_is_the_way_back() {
    let mut rollout = on_trial();
    effects(&mut rollout, Event::Wanted(version(3)));
    effects(&mut rollout, Event::Prepared);
    effects(&mut rollout, Event::CutOver);
    assert_eq!(said(&effects(&mut rollout, Event::Passed(version(2)))), [(Outcome::Applied, 2, None)]);
    assert_eq!(rollout.running(), Some((3, &version(3))));
    assert!(effects(&mut rollout, Event::Ended(Err(String::new()))).contains(&Effect::Open(version(2))));
}

#[test]
fn putting_the_good_one_back_ends_a_trial() {
    let mut rollout = on_trial();
    assert_eq!(effects(&mut rollout, Event::Wanted(version(1))), [Effect::Close]);
    let rolled_back = effects(&mut rollout, Event::Ended(Ok(())));
    assert_eq!(said(&rolled_back), [(Outcome::RolledBack, 2, Some("the one before it is wanted again"))]);
    assert_eq!(rollout.shunned(), None);
    assert!(rolled_back.contains(&Effect::Open(version(1))));
}

#[test]
fn one_that_stops_at_a_fault_makes_way_for_a_newer_one_and_without_one_is_tried_again() {
    let mut rollout = running();
    assert_eq!(effects(&mut rollout, Event::Ended(Err("it traps".to_owned()))), []);
    assert!(rollout.is_closed());
    assert_eq!(effects(&mut rollout, Event::Again), [Effect::Open(version(1))]);
    assert_eq!(effects(&mut rollout, Event::NotOpened), []);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [Effect::Open(version(2))]);
    assert_eq!(open(&mut rollout), [], "without a trial: there is nothing to go back to");
    assert_eq!(rollout.running(), Some((2, &version(2))));
}

#[test]
fn where_the_good_one_can_not_be_opened_the_newest_is() {
    let mut rollout = Rollout::new(Some((4, version(1))), None);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), [Effect::Open(version(1))]);
    assert_eq!(effects(&mut rollout, Event::NotOpened), [Effect::Open(version(2))]);
    assert_eq!(open(&mut rollout), []);
    assert_eq!(rollout.running(), Some((5, &version(2))));
}

#[test]
fn what_a_person_asks_for_runs_without_a_trial_and_what_was_newest_does_not_come_back_by_itself() {
    let mut rollout = running();
    effects(&mut rollout, Event::Wanted(version(2)));
    effects(&mut rollout, Event::Prepared);
    effects(&mut rollout, Event::CutOver);
    effects(&mut rollout, Event::Passed(version(2)));
    let asked = effects(&mut rollout, Event::Asked(version(1)));
    assert_eq!(asked, [Effect::Prepare(version(1))]);
    assert_eq!(effects(&mut rollout, Event::Prepared), [Effect::CutOver { operators: version(1), trial: false }]);
    effects(&mut rollout, Event::CutOver);
    assert_eq!(said(&effects(&mut rollout, Event::Passed(version(1)))), [(Outcome::Applied, 3, None)]);
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), []);
}

#[test]
fn a_pinned_pipeline_takes_nothing_by_itself() {
    let mut rollout = running();
    effects(&mut rollout, Event::Pinned(true));
    assert_eq!(effects(&mut rollout, Event::Wanted(version(2))), []);
    assert_eq!(effects(&mut rollout, Event::Pinned(false)), [Effect::Prepare(version(2))]);
}

/// Behaviour of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Good,
    /// Can't be prepared or opened.
    Refused,
    /// Fails on trial.
    Bad,
}

fn nature(operators: &Operators) -> Nature {
    match operators["sum"].parse::<u8>().unwrap() % 3 {
        0 => Nature::Refused,
        1 => Nature::Good,
        _ => Nature::Bad,
    }
}

/// Does what the machine says, in an order of the test's.
struct Shell {
    rollout: Rollout,
    /// Answers to effects that are still to come.
    due: Vec<Event>,
    /// The operators that the open run's records go through.
    open: Option<Operators>,
    prepared: Option<Operators>,
    good: Option<Operators>,
}

impl Shell {
    fn tell(&mut self, event: Event) {
        for effect in self.rollout.on(event, 0) {
            match effect {
                Effect::Open(operators) => {
                    assert_eq!(self.open, None, "one run at a time");
                    if nature(&operators) == Nature::Refused {
                        self.due.push(Event::NotOpened);
                    } else {
                        self.good = Some(operators.clone());
                        self.open = Some(operators);
                        self.due.push(opened(&self.rollout));
                    }
                }
                Effect::Prepare(operators) if nature(&operators) == Nature::Refused => {
                    self.due.push(Event::Refused);
                }
                Effect::Prepare(operators) => {
                    self.prepared = Some(operators);
                    self.due.push(Event::Prepared);
                }
                Effect::CutOver { trial, .. } => {
                    let operators = self.prepared.take().expect("what cuts over was prepared");
                    self.open = Some(operators.clone());
                    self.due.push(Event::CutOver);
                    if trial && nature(&operators) == Nature::Bad {
                        self.due.push(Event::Ended(Err("bad".to_owned())));
                    } else {
                        self.due.push(Event::Passed(operators));
                    }
                }
                Effect::Close => {
                    // What was on its way is overtaken by the end.
                    self.due = vec![Event::Ended(Ok(()))];
                }
                Effect::Say(deployment) => {
                    if deployment.outcome == Outcome::Applied {
                        self.good = Some(deployment.operators);
                    }
                }
            }
        }
    }

    fn step(&mut self) {
        let event = self.due.remove(0);
        if matches!(event, Event::Ended(_)) {
            self.open = None;
            self.due.clear();
        }
        self.tell(event);
    }
}

proptest! {
    #[test]
    fn whatever_is_dropped_when_the_newest_runs_in_the_end_unless_it_is_bad(
        drops in prop::collection::vec((1u8..30, 0usize..4), 1..12),
    ) {
        let mut shell =
            Shell { rollout: Rollout::new(None, None), due: vec![], open: None, prepared: None, good: None };
        shell.tell(Event::Start);
        shell.tell(Event::Wanted(version(1)));
        for (number, steps) in &drops {
            shell.tell(Event::Wanted(version(*number)));
            for _ in 0..*steps {
                if !shell.due.is_empty() {
                    shell.step();
                }
            }
        }
        let mut steps = 0;
        while !shell.due.is_empty() {
            shell.step();
            steps += 1;
            prop_assert!(steps < 100, "it comes to rest");
        }
        let newest = version(drops.last().unwrap().0);
        prop_assert!(shell.open.is_some());
        prop_assert_eq!(&shell.open, &shell.good, "what runs passed");
        if nature(&newest) == Nature::Good {
            prop_assert_eq!(shell.open, Some(newest));
        }
    }
}
