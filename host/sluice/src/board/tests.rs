//! Tests of the board: its files, what its viewers are sent, and how it answers whoever asks.

mod differ;
mod files;
mod served;

use std::path::Path;

use crate::config::{Config, load_service};

/// A directory with a service that has a connection of each sort, and these boards.
fn service(directory: &Path, boards: &[(&str, &str)]) -> Config {
    for name in ["pipelines", "boards"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    let text = "[board]\nlisten = \"127.0.0.1:0\"\n[connections]\nlivedb = { sqlite = { path = \"live.db\" } }\n\
                events = { log = { directory = \"events\" } }\nserver = { mysql = { url = \"mysql://u:s3cret@127.0.0.1:1/d\" } }\n";
    std::fs::write(directory.join("sluice.toml"), text).unwrap();
    for (name, text) in boards {
        std::fs::write(directory.join("boards").join(name), text).unwrap();
    }
    load_service(&directory.join("sluice.toml"), &|_| None).unwrap()
}
