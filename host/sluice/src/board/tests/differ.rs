//! What viewers are sent: whatever pictures a viewer missed, it ends with the newest one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use crate::board::file::{self, Found};
use crate::board::health::{Health, State};
use crate::board::shown::{Change, Content, Part, Seen, Shown, ShownPanel};

const PANELS: usize = 3;

/// A picture of a board with a few panels.
fn picture() -> Shown {
    let text = "[[panel]]\ntitle = \"x\"\n".repeat(PANELS);
    let found = Found { text: Ok(text.into_bytes()), beside: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let (board, _) = file::parse(Path::new("b.toml"), found, &Default::default());
    let board = Arc::new(board.unwrap());
    let panels = board.panels.iter().map(|panel| ShownPanel {
        content: Part::of(Content::empty(panel)),
        content_version: 0,
        health: health(0),
        health_version: 0,
        queried_at: None,
        asked_at: None,
    });
    Shown { version: 0, board_version: 0, panels: panels.collect(), board }
}

fn health(data_at: i64) -> Arc<Part<Health>> {
    let pipelines = Vec::new();
    Part::of(Health { state: State::Ok, why: String::new(), data_at: Some(data_at), stale_after_ms: 1, pipelines })
}

#[derive(Debug, Clone)]
enum Step {
    Content(usize),
    Health(usize),
    File,
    /// The viewer has room for what is new.
    Looks,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..PANELS).prop_map(Step::Content),
        (0..PANELS).prop_map(Step::Health),
        Just(Step::File),
        Just(Step::Looks),
    ];
    prop::collection::vec(step, 1..60)
}

impl Step {
    fn change(&self, shown: &mut Shown, number: u64) {
        shown.version = number;
        match self {
            Step::Content(index) => {
                let panel = &mut shown.panels[*index];
                panel.content = Part::of(panel.content.with_error(format!("{number}\nsecond line")));
                (panel.content_version, panel.queried_at) = (number, Some(i64::try_from(number).unwrap()));
            }
            Step::Health(index) => {
                let panel = &mut shown.panels[*index];
                (panel.health, panel.health_version) = (health(i64::try_from(number).unwrap()), number);
            }
            Step::File => {
                let board = file::Board { refresh: Duration::from_secs(number), ..(*shown.board).clone() };
                (shown.board, shown.board_version) = (Arc::new(board), number);
            }
            Step::Looks => {}
        }
    }
}

/// What a page does with events.
#[derive(Default)]
struct Page {
    seen: Option<Seen>,
    picture: Value,
}

impl Page {
    fn look(&mut self, shown: &Shown) {
        let changes = shown.changes(self.seen.as_ref());
        for event in shown.events(&changes, 7).split_terminator("\n\n") {
            let lines: Vec<&str> = event.lines().collect();
            let [name, id, data] = lines[..] else { panic!("{event}") };
            assert_eq!(id, format!("id: {}", shown.version));
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["now"], 7);
            match name {
                "event: board" => self.picture = data,
                "event: panel" => {
                    let index = usize::try_from(data["index"].as_u64().unwrap()).unwrap();
                    self.picture["panels"][index] = data["panel"].clone();
                }
                "event: health" => {
                    for panel in data["panels"].as_array().unwrap() {
                        let index = usize::try_from(panel["index"].as_u64().unwrap()).unwrap();
                        self.picture["panels"][index]["health"] = panel["health"].clone();
                        self.picture["panels"][index]["queried_at"] = panel["queried_at"].clone();
                    }
                }
                other => panic!("{other}"),
            }
        }
        self.seen = Some(shown.seen());
    }
}

proptest! {
    #[test]
    fn a_page_ends_with_the_newest_picture_however_many_it_missed(steps in steps()) {
        let (mut shown, mut page) = (picture(), Page::default());
        page.look(&shown);
        for (number, step) in (1..).zip(&steps) {
            step.change(&mut shown, number);
            if matches!(step, Step::Looks) {
                page.look(&shown);
                let newest: Value = serde_json::from_str(&shown.json(7)).unwrap();
                prop_assert_eq!(&page.picture, &newest);
                prop_assert_eq!(shown.changes(page.seen.as_ref()), vec![]);
            }
        }
    }

    #[test]
    fn only_what_changed_is_sent(index in 0..PANELS) {
        let mut shown = picture();
        let seen = shown.seen();
        Step::Content(index).change(&mut shown, 1);
        prop_assert_eq!(shown.changes(Some(&seen)), vec![Change::Panel(index)]);
        let seen = shown.seen();
        Step::Health(index).change(&mut shown, 2);
        prop_assert_eq!(shown.changes(Some(&seen)), vec![Change::Health(vec![index])]);
    }
}
