//! `window = { … }` of an operator's step: how a fold's groups are cut by time.

use std::time::Duration;

use sluice_core::window::{Emit, Late, Length, Window, WindowOptions};

use super::nearest::one_of;
use super::reader::{Item, Section};
use super::value;

/// Description of a window, for messages.
pub const WINDOW: &str = r#"a table such as { time = "create_time", tumbling = "10m" }"#;

/// The longest window, gap, lateness or keeping: a leap year. Groups stay in memory for as long.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The shortest window or gap: below, a window is a row for nearly each record.
const SHORTEST: Duration = Duration::from_secs(1);

/// Bounds of `idle_after`, the time without anything to read after which a partition no longer holds the watermark back. Shorter:
/// a broker's hiccup makes rows late. Longer: windows of a topic with a silent partition may as well never close.
const IDLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// Default of `lateness`: the usual delay between the rows of several producers.
const DEFAULT_LATENESS: Duration = Duration::from_secs(10);

/// Default of `idle_after`: longer than a consumer group's rebalance and a producer's retries.
const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(60);

/// Default of `keep_for`: long enough for a device that was offline on its owner's way to work.
const DEFAULT_KEEP_FOR: Duration = Duration::from_secs(3_600);

const KINDS: [&str; 3] = ["tumbling", "hopping", "session"];

/// A windowed fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepWindow {
    /// The timestamp column: of the operator's transform, or else of the rows that come to the step.
    pub time: String,
    /// Options of the fold's windows.
    pub options: WindowOptions,
}

/// Treatment of late rows, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Drop,
    DeadLetter,
    Update,
}

/// Reads the window of a step.
pub fn read(section: &Section<'_>) -> Option<StepWindow> {
    let time = section.required("time", "the timestamp column whose values say when a row is", |item| {
        item.parse(value::COLUMN, |text| value::is_column(text).then(|| text.to_owned()))
    });
    let kinds = KINDS.map(|kind| section.optional(kind));
    let session = kinds[2].is_some();
    let window = window(section, kinds);
    let lateness = section.or("lateness", DEFAULT_LATENESS, |item| value::duration(&item, Duration::ZERO, LONGEST));
    let idle_after = section.or("idle_after", DEFAULT_IDLE_AFTER, |item| value::duration(&item, IDLE.0, IDLE.1));
    let emit = emit(section, session);
    let late = late(section, session);
    let options =
        WindowOptions { window: window?, lateness: lateness?, idle_after: idle_after?, emit: emit?, late: late? };
    Some(StepWindow { time: time?, options })
}

fn window(section: &Section<'_>, kinds: [Option<Item<'_>>; 3]) -> Option<Window> {
    let found = kinds.iter().flatten().count();
    if found != 1 {
        let found = if found == 0 { "none of them" } else { "more than one of them" };
        section.item().problem(found, one_of(&KINDS));
        return None;
    }
    let [tumbling, hopping, session] = kinds;
    let tumbling = tumbling.map(|item| Some(Window::Tumbling { size: length(&item)? }));
    let hopping = hopping.map(|item| item.table(r#"a table such as { size = "1h", every = "10m" }"#, self::hopping));
    let session = session.map(|item| {
        item.table(r#"a table such as { gap = "30m" }"#, |section| {
            Some(Window::Session {
                gap: section.required("gap", "the time without rows that ends a session", |item| length(&item))?,
            })
        })
    });
    tumbling.or(hopping).or(session).flatten()
}

fn hopping(section: &Section<'_>) -> Option<Window> {
    let size = section.required("size", "the length of each window", |item| length(&item));
    let every = section.required("every", "the time between the starts of two windows", |item| length(&item));
    let window = Window::hopping(size?, every?);
    window.map_err(|want| section.item().problem("sizes that don't fit", want)).ok()
}

fn length(item: &Item<'_>) -> Option<Length> {
    // Between the bounds every duration is a length.
    Length::try_from(value::duration(item, SHORTEST, LONGEST)?).ok()
}

/// Reads `emit`. A session's bounds change as it grows, and a table's row can't be taken back: so its row is written once it is
/// over.
fn emit(section: &Section<'_>, session: bool) -> Option<Emit> {
    let choices = [("closed", Emit::Closed), ("changes", Emit::Changes)];
    if session {
        return section.or("emit", Emit::Closed, |item| item.choice(&choices[..1]));
    }
    section.or("emit", Emit::Changes, |item| item.choice(&choices))
}

fn late(section: &Section<'_>, session: bool) -> Option<Late> {
    let choices = [("drop", Policy::Drop), ("dead_letter", Policy::DeadLetter), ("update", Policy::Update)];
    let fitting = if session { &choices[..2] } else { &choices[..] };
    let policy = section.or("late", Policy::DeadLetter, |item| item.choice(fitting));
    if policy == Some(Policy::Update) {
        let keep_for = section.or("keep_for", DEFAULT_KEEP_FOR, |item| value::duration(&item, SHORTEST, LONGEST));
        return Some(Late::Update { keep_for: keep_for? });
    }
    if let Some(item) = section.optional("keep_for") {
        item.problem("a time to keep states that nothing updates", r#"no `keep_for`, or late = "update""#);
        return None;
    }
    Some(if policy? == Policy::Drop { Late::Drop } else { Late::Reject })
}
