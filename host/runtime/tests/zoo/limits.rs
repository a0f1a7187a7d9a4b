//! Operators that take more than they may have, or die: the host goes on, and so does the pipeline after a renewal.

#![allow(clippy::disallowed_methods, reason = "a limit of time is measured")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array};
use sluice_core::operator::{Interrupt, Operator, OperatorError};
use sluice_runtime::{CallTimer, Limits, OpenError, Runtime, RuntimeConfig};

use crate::guests::{TRANSFORMER, columns, config, fields, guest, limit, open_transformer, open_within, process, rows};

#[test]
fn a_trap_is_told_with_where_it_was_and_not_with_how_panics_work() {
    let trapped = process("trap").unwrap_err();
    let expected = |said: &str| said.contains("unreachable") && said.contains(", in `") && !said.contains("panic");
    assert!(matches!(&trapped, OperatorError::Trap(said) if expected(said)), "{trapped:?}");
}

#[test]
fn a_stack_that_ends_is_a_trap() {
    let trapped = process("recurse").unwrap_err();
    let expected = |said: &str| said.contains("stack") && said.contains("`guest_transformer::recurse`");
    assert!(matches!(&trapped, OperatorError::Trap(said) if expected(said)), "{trapped:?}");
}

#[test]
fn an_endless_call_is_stopped_soon_after_its_limit() {
    let limits = Limits { call_time: Duration::from_millis(50), ..Limits::default() };
    let mut instance = open_within("spin", &limits).unwrap();
    let start = Instant::now();
    assert!(limit(instance.process(columns(&rows()))).contains("50ms"));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_timer_hears_of_each_call_with_its_time_also_of_one_that_is_stopped() {
    let limits = Limits { call_time: Duration::from_millis(50), ..Limits::default() };
    let (heard, times) = std::sync::mpsc::channel();
    let timer: CallTimer = Arc::new(move |time| heard.send(time).unwrap());
    let mut instance = open_within("echo", &limits).unwrap();
    instance.timed_by(&timer);
    instance.process(columns(&rows())).unwrap();
    instance.process(columns(&rows())).unwrap();
    assert_eq!(times.try_iter().count(), 2);
    let mut instance = open_within("spin", &limits).unwrap();
    instance.timed_by(&timer);
    limit(instance.process(columns(&rows())));
    let times: Vec<Duration> = times.try_iter().collect();
    assert!(times.len() == 1 && times[0] >= Duration::from_millis(50), "{times:?}");
}

#[test]
fn a_call_that_is_interrupted_ends_at_once_whatever_time_it_has_and_others_are_made_once_that_is_over() {
    let limits = Limits { call_time: Duration::from_secs(3_600), ..Limits::default() };
    let mut instance = open_within("spin", &limits).unwrap();
    let interrupt = Interrupt::default();
    instance.interrupted_by(&interrupt);
    let raised = interrupt.clone();
    let raising = std::thread::spawn(move || {
        // So that it is raised in the middle of the call; before it does as well.
        std::thread::sleep(Duration::from_millis(30));
        raised.raise();
    });
    assert_eq!(instance.process(columns(&rows())).unwrap_err(), OperatorError::Interrupted);
    raising.join().unwrap();
    assert_eq!(instance.process(columns(&rows())).unwrap_err(), OperatorError::Interrupted, "none is begun meanwhile");
    interrupt.lower();
    instance.renew().unwrap();
    let limits = Limits { call_time: Duration::from_millis(50), ..Limits::default() };
    assert!(limit(open_within("spin", &limits).unwrap().process(columns(&rows()))).contains("50ms"));
}

#[test]
fn hoarded_memory_is_a_limit_and_names_it() {
    let limits = Limits { memory: 4 << 20, ..Limits::default() };
    let hoarded = limit(open_within("hoard", &limits).unwrap().process(columns(&rows())));
    assert!(hoarded.contains("may have 4194304"), "{hoarded}");
}

#[test]
fn an_operator_that_needs_more_than_its_memory_to_start_is_a_limit() {
    let error = open_within("echo", &Limits { memory: 64 << 10, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, OpenError::Limit(_)), "{error:?}");
}

#[test]
fn an_answer_of_too_many_bytes_is_a_limit_and_names_it() {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let answered = limit(open_within("answer too much", &limits).unwrap().process(columns(&rows())));
    assert!(answered.contains("1048576 bytes"), "{answered}");
}

#[test]
fn a_spent_instance_answers_why_until_it_is_renewed() {
    let limits = Limits { call_time: Duration::from_millis(20), memory: 4 << 20, ..Limits::default() };
    for behaviour in ["trap", "spin", "hoard", "cut the values", "recurse"] {
        let mut instance = open_within(behaviour, &limits).unwrap();
        let first = instance.process(columns(&rows())).unwrap_err();
        assert_eq!(instance.process(columns(&rows())).unwrap_err(), first, "{behaviour}");
        instance.renew().unwrap();
        let again = instance.process(columns(&rows())).unwrap_err();
        assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&first), "{behaviour}");
    }
}

#[test]
fn a_renewed_instance_goes_on_with_the_same_plan() {
    let mut instance = open_transformer("echo").unwrap();
    let plan = instance.transform_plan().clone();
    instance.renew().unwrap();
    assert_eq!(*instance.transform_plan(), plan);
    assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
}

#[test]
fn one_operators_trap_leaves_the_others_alone() {
    let mut good = open_transformer("echo").unwrap();
    process("trap").unwrap_err();
    assert_eq!(good.process(columns(&rows())).unwrap().columns, rows());
}

#[test]
fn an_operator_outlives_its_runtime_and_is_still_stopped() {
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let artifact = runtime.compile(&guest("transformer").component).unwrap();
    drop(runtime);
    let limits = Limits { call_time: Duration::from_millis(20), ..Limits::default() };
    let mut instance = artifact.open(&config("spin"), &fields(), &limits, "zoo").unwrap();
    limit(instance.process(columns(&rows())));
}

#[test]
fn a_full_pool_is_said_and_is_room_again_once_an_instance_goes() {
    let runtime = Runtime::new(RuntimeConfig { instances: 2, ..RuntimeConfig::default() }).unwrap();
    let artifact = runtime.compile(&guest("transformer").component).unwrap();
    let open = || artifact.open(&config("echo"), &fields(), &Limits::default(), "zoo");
    let kept = (open().unwrap(), open().unwrap());
    assert!(matches!(open(), Err(OpenError::NoRoom(_))));
    drop(kept.0);
    open().unwrap();
}

#[test]
fn all_instances_share_the_hosts_memory_and_the_one_that_asks_for_too_much_gives_back_what_it_had() {
    let runtime = Runtime::new(RuntimeConfig { memory: 8 << 20, ..RuntimeConfig::default() }).unwrap();
    let artifact = runtime.compile(&guest("transformer").component).unwrap();
    let open = |behaviour| artifact.open(&config(behaviour), &fields(), &Limits::default(), "zoo");
    let (mut good, mut greedy) = (open("echo").unwrap(), open("hoard").unwrap());
    for _ in 0..3 {
        let refused = greedy.process(columns(&rows())).unwrap_err();
        let names_it = |said: &str| said.contains("8388608") && said.contains("[limits] memory");
        assert!(matches!(&refused, OperatorError::NoRoom(said) if names_it(said)), "{refused:?}");
        assert_eq!(good.process(columns(&rows())).unwrap().columns, rows());
        greedy.renew().unwrap();
    }
    let mut more = Vec::new();
    let full = loop {
        match open("echo") {
            Ok(instance) => more.push(instance),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, OpenError::NoRoom(_)) && more.len() < 16, "{full:?} after {}", more.len());
    drop(more);
    open("echo").unwrap();
}

#[test]
fn instances_run_on_many_threads_at_once() {
    let run = || {
        for _ in 0..50 {
            let mut instance = TRANSFORMER.open(&config("echo"), &fields(), &Limits::default(), "zoo").unwrap();
            assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(run))));
}

/// A row that some behaviours are afraid of, and one that they aren't.
fn afraid(behaviour: &str) -> OperatorError {
    let limits = Limits { call_time: Duration::from_millis(20), memory: 4 << 20, ..Limits::default() };
    let mut instance = open_within(behaviour, &limits).unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![-7]));
    assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
    instance.process(columns(&[numbers, rows()[1].slice(0, 1)])).unwrap_err()
}

#[test]
fn an_operator_that_fails_on_a_row_does_the_others() {
    assert!(matches!(afraid("trap on a row"), OperatorError::Trap(_)));
    assert!(matches!(afraid("spin on a row"), OperatorError::Limit(_)));
    assert!(matches!(afraid("hoard on a row"), OperatorError::Limit(_)));
}

#[test]
fn what_an_instance_gathers_in_its_life_is_gone_after_a_renewal() {
    let limits = Limits { memory: 4 << 20, ..Limits::default() };
    for behaviour in ["trap after much good work", "leak", "remember"] {
        let mut instance = open_within(behaviour, &limits).unwrap();
        for _ in 0..3 {
            let mut first = None;
            let other = (0..100).find_map(|_| {
                let answer = instance.process(columns(&rows())).map(|produced| produced.columns);
                let other = first.as_ref().is_some_and(|first| *first != answer);
                first.get_or_insert_with(|| answer.clone());
                other.then_some(answer)
            });
            assert_eq!(first.unwrap().unwrap(), rows(), "{behaviour}");
            assert_eq!(other.unwrap().is_ok(), behaviour == "remember", "{behaviour}");
            instance.renew().unwrap();
        }
    }
}
