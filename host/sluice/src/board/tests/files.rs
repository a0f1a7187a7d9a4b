//! Boards' files as people write them, and what comes of them.

use std::sync::Arc;

use tempfile::TempDir;

use super::service;
use crate::board::Directory;
use crate::board::file::{Board, Chart, Words};

/// A panel without a fault.
const GOOD: &str =
    "[[panel]]\ntitle = \"Good\"\nconnection = \"livedb\"\nchart = \"bar\"\nsql = \"SELECT a, n FROM good\"\n";

/// A directory of boards with one file.
struct Boards {
    directory: Directory,
    root: TempDir,
}

impl Boards {
    fn with(text: &str) -> Boards {
        let root = tempfile::tempdir().unwrap();
        let config = service(root.path(), &[("b.toml", text)]);
        let mut directory = Directory::new(config.board.as_ref().unwrap(), &config.connections);
        assert!(directory.look());
        Boards { directory, root }
    }

    fn write(&mut self, text: &str) -> bool {
        std::fs::write(self.root.path().join("boards/b.toml"), text).unwrap();
        self.directory.look()
    }

    fn board(&self) -> Arc<Board> {
        Arc::clone(&self.directory.boards()["b"])
    }
}

fn board(text: &str) -> Arc<Board> {
    Boards::with(text).board()
}

/// Where a message is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Board,
    Panel,
}

#[test]
fn whatever_is_wrong_with_a_file_stands_in_its_place_and_the_other_panels_live_on() {
    let panel = |lines: &str| format!("{GOOD}[[panel]]\ntitle = \"Odd\"\n{lines}");
    let whole = |rest: &str| panel(&format!("connection = \"livedb\"\nchart = \"bar\"\n{rest}"));
    let sql = "sql = \"SELECT 1\"\n";
    for (text, place, line, words) in [
        (format!("refrsh = \"3s\"\n{GOOD}"), Place::Board, 1, "did you mean \"refresh\"?"),
        (format!("refresh = \"10ms\"\n{GOOD}"), Place::Board, 1, "a duration from \"1s\""),
        (format!("zone = \"Asia/Shangai\"\n{GOOD}"), Place::Board, 1, "a time zone such as \"Asia/Shanghai\""),
        (format!("map = \"../secret.json\"\n{GOOD}"), Place::Board, 1, "a GeoJSON file beside the board"),
        (format!("map = \"none.json\"\n{GOOD}"), Place::Board, 1, "can't be read"),
        (format!("title = {{ zn = \"x\" }}\n{GOOD}"), Place::Board, 1, "did you mean \"zh\"?"),
        (
            panel("connection = \"livebd\"\nchart = \"bar\"\nsql = \"SELECT 1\"\n"),
            Place::Panel,
            8,
            "did you mean \"livedb\"?",
        ),
        (
            panel("connection = \"events\"\nchart = \"bar\"\nsql = \"SELECT 1\"\n"),
            Place::Panel,
            8,
            "a connection to log",
        ),
        (
            panel("connection = \"livedb\"\nchart = \"bra\"\nsql = \"SELECT 1\"\n"),
            Place::Panel,
            9,
            "did you mean \"bar\"?",
        ),
        (panel("connection = \"livedb\"\nchart = \"bar\"\n"), Place::Panel, 6, "panel[1].sql: found nothing"),
        (whole("sql = \"DELETE FROM good\"\n"), Place::Panel, 10, "it begins with DELETE"),
        (whole("sql = \"SELECT 1; SELECT 2\"\n"), Place::Panel, 10, "several statements"),
        (whole("sql = \"SELECT :hours_ago\"\n"), Place::Panel, 10, "did you mean \"hours_ago_N\"?"),
        (whole(&format!("{sql}thresholds = {{ warn = \"x\", alarm = 1 }}\n")), Place::Panel, 11, "want a number"),
        (whole(&format!("{sql}stale_afer = \"1m\"\n")), Place::Panel, 11, "did you mean \"stale_after\"?"),
        (whole(&format!("{sql}limit = 0\n")), Place::Panel, 11, "from 1 to 10000"),
        (whole(&format!("{sql}value = []\n")), Place::Panel, 11, "an empty array"),
        (whole(&format!("{sql}unit = \"\"\n")), Place::Panel, 11, "1 to 120 characters"),
        (whole(&format!("{sql}pipelines = [\"a/b\"]\n")), Place::Panel, 11, "a name of letters"),
    ] {
        let board = board(&text);
        let (error, panels) = match place {
            Place::Board => (board.error.clone(), &board.panels[..]),
            Place::Panel => (board.panels[1].question.clone().err(), &board.panels[..1]),
        };
        let error = error.unwrap_or_else(|| panic!("{text}"));
        assert!(error.starts_with(&format!("b.toml:{line}: ")) && error.contains(words), "{text}: {error}");
        assert_eq!(board.error.is_some(), place == Place::Board, "{text}");
        assert!(panels.iter().all(|panel| panel.question.is_ok()), "{text}: {panels:?}");
        assert_eq!(panels[0].title, Words::same("Good"));
    }
}

#[test]
fn a_file_that_is_no_toml_any_more_says_so_above_what_it_was() {
    let mut boards = Boards::with(GOOD);
    assert!(boards.write("title = \n"));
    let board = boards.board();
    assert!(board.error.as_ref().unwrap().contains("b.toml:1: found a syntax error"), "{:?}", board.error);
    assert!(board.panels[0].question.is_ok());
    assert!(boards.write(GOOD) && boards.board().error.is_none());
    assert!(!boards.write(GOOD), "nothing changed");
    std::fs::remove_file(boards.root.path().join("boards/b.toml")).unwrap();
    assert!(boards.directory.look() && boards.directory.boards().is_empty());
    assert!(self::board("title = \n").error.is_some(), "also one that never was one");
}

#[test]
fn a_panel_takes_five_lines_and_all_else_has_a_default() {
    let board = board(GOOD);
    let panel = &board.panels[0];
    assert_eq!((board.error.as_deref(), panel.chart, board.refresh.as_secs()), (None, Chart::Bar, 3));
    assert_eq!((panel.stale_after.as_secs(), panel.question.as_ref().unwrap().rows), (30, 1_000));
    assert!(panel.question.as_ref().unwrap().words.contains("good"));
}

#[test]
fn a_map_is_read_and_read_again_when_it_changes() {
    let mut boards = Boards::with(&format!("map = \"m.json\"\n{GOOD}"));
    assert!(boards.board().error.is_some());
    let map =
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"x"},"geometry":null}]}"#;
    std::fs::write(boards.root.path().join("boards/m.json"), map).unwrap();
    assert!(boards.directory.look());
    assert_eq!(boards.board().map.as_deref(), Some(map.as_bytes()));
    for no_map in ["{}", "[", r#"{"type":"FeatureCollection","features":[{"properties":{}}]}"#] {
        std::fs::write(boards.root.path().join("boards/m.json"), no_map).unwrap();
        assert!(boards.directory.look());
        assert!(boards.board().error.as_ref().unwrap().contains("which is no map"), "{no_map}");
    }
}

#[test]
fn no_variable_of_the_environment_is_put_in() {
    let board = board(&GOOD.replace("SELECT a", "SELECT '${HOME}'"));
    assert!(board.panels[0].question.as_ref().unwrap_err().contains("isn't set"));
}
