//! A site with a board, its host, and a browser that looks at it.

use std::fs;

use serde_json::Value;
use sluice_e2e::{Browser, Host, PATIENCE, Screen, Site, World, eventually, root};

use crate::records;

/// The board under test is the repository's one.
pub const BOARD: &str = "live_streaming";

/// A host with records of the last hours, and a browser.
pub struct Stage {
    /// Dropped first: what it asks for is still there.
    pub browser: Browser,
    pub host: Host,
    pub site: Site,
    /// The board's pages are under it.
    pub address: String,
}

impl Stage {
    /// Starts all, on this many records of each kind.
    pub fn new(world: World, number: usize) -> Stage {
        let site = Site::new(world, 1);
        fs::create_dir(site.path("boards")).unwrap();
        put_board(&site, |_| {});
        listen(&site, 0);
        records::send(&site, number);
        let mut host = Host::start(&site);
        host.wait_until_read(PATIENCE);
        let address = address(&site);
        Stage { browser: Browser::start(), host, site, address }
    }

    /// Opens the board, and waits until its panels are there.
    pub fn open_board(&self, query: &str) {
        self.browser.look_with(Screen::WALL);
        self.browser.open(&format!("{}/boards/{BOARD}?{query}", self.address));
        self.browser.wait_until("document.querySelectorAll('.panel').length === 6");
    }

    /// Waits until the panel is in this state.
    pub fn await_state(&self, panel: usize, state: &str) {
        self.browser.wait(&format!("document.querySelectorAll('.panel')[{panel}].dataset.state"), |found| {
            if found == state { Ok(()) } else { Err(found.to_string()) }
        });
    }

    /// The text of an element of the panel.
    pub fn text_of(&self, panel: usize, selector: &str) -> String {
        let found = self
            .browser
            .value(&format!("document.querySelectorAll('.panel')[{panel}].querySelector('{selector}').textContent"));
        found.as_str().expect("a text").to_owned()
    }
}

/// Puts the repository's board there, after `edit`; its times are those of the records, which are UTC.
pub fn put_board(site: &Site, edit: impl FnOnce(&mut toml::Table)) {
    let text = fs::read_to_string(root().join("boards").join(format!("{BOARD}.toml"))).unwrap();
    let mut board: toml::Table = text.parse().unwrap();
    board.insert("zone".into(), "UTC".into());
    board.insert("refresh".into(), "1s".into());
    edit(&mut board);
    site.write(&site.path(&format!("boards/{BOARD}.toml")), toml::to_string(&board).unwrap().as_bytes());
}

/// The board listens on this port; 0 takes one that is free.
pub fn listen(site: &Site, port: u16) {
    site.configure(|config| {
        let board = format!("listen = \"127.0.0.1:{port}\"\nboards = \"boards\"");
        config.insert("board".into(), toml::Value::Table(board.parse().unwrap()));
    });
}

/// Where the board's pages are.
pub fn address(site: &Site) -> String {
    let said = eventually("the host says where its board is", PATIENCE, || {
        fs::read_to_string(site.path("state/board.address")).map_err(|e| e.to_string())
    });
    format!("http://{}", said.trim())
}

/// Rows of a panel as its table shows them, without what separates thousands.
pub fn rows_of(shown: &Value, panel: usize) -> Vec<Vec<String>> {
    let rows = shown[panel]["table"].as_array().unwrap_or_else(|| panic!("no table {panel}: {shown}"));
    let cell = |cell: &Value| cell.as_str().unwrap_or_default().replace(',', "").replace('−', "-");
    rows.iter().map(|row| row.as_array().expect("a row").iter().map(cell).collect()).collect()
}
