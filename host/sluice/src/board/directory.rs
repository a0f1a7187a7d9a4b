//! The directory of boards: what its files say now, and what is wrong with them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::file::{self, Board, Found};
use crate::changes::Changes;
use crate::config::{self, BoardServer, Problem, value};
use crate::connection::ByName;

/// The most boards. Fewer: teams share one. More: whoever lists them finds none.
const MAX_BOARDS: usize = 64;

/// The largest file that is read beside a board. A byte more than any use of one takes, which then says so.
const MAX_BESIDE: u64 = (2 << 20) + 1;

/// Boards by their names.
pub type Boards = BTreeMap<String, Arc<Board>>;

/// Watches a directory of boards.
pub struct Directory {
    path: PathBuf,
    connections: ByName,
    boards: Boards,
    /// What each file, and the files that it names, said when it was last read.
    read: BTreeMap<PathBuf, [u8; 32]>,
    /// What is wrong with the directory, as it was last said.
    wrong: Option<String>,
}

impl Directory {
    /// Makes the directory of these settings, whose boards ask these connections; its files are not read yet.
    pub fn new(settings: &BoardServer, connections: &ByName) -> Directory {
        Directory {
            path: settings.boards.clone(),
            connections: connections.clone(),
            boards: Boards::new(),
            read: BTreeMap::new(),
            wrong: None,
        }
    }

    /// The boards as they were last read.
    pub fn boards(&self) -> &Boards {
        &self.boards
    }

    /// Reads all files, and says whether any board is other than before. Blocks.
    pub fn look(&mut self) -> bool {
        let mut files = match config::pipeline_files(&self.path) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.say_wrong(format!(
                    "{} can't be listed ({error}); the boards stay as they are",
                    self.path.display()
                ));
                return false;
            }
        };
        if files.len() > MAX_BOARDS {
            self.say_wrong(format!(
                "{} has more than {MAX_BOARDS} boards: the others aren't shown",
                self.path.display()
            ));
            files.truncate(MAX_BOARDS);
        } else {
            self.wrong = None;
        }
        let before = self.boards.len();
        self.read.retain(|file, _| files.contains(file));
        self.boards.retain(|name, _| files.iter().any(|file| stem(file) == Some(name)));
        let mut changed = self.boards.len() < before;
        for file in files {
            changed |= self.look_at(&file);
        }
        changed
    }

    fn look_at(&mut self, path: &Path) -> bool {
        let text = config::read_file(path);
        let mut digest = Sha256::new();
        digest.update(text.as_deref().unwrap_or_default());
        digest.update(map_of(path, text.as_deref().unwrap_or_default()));
        digest.update(format!("{:?}", text.as_ref().err()));
        let digest: [u8; 32] = digest.finalize().into();
        if self.read.insert(path.to_owned(), digest) == Some(digest) {
            return false;
        }
        let Some(name) = stem(path).filter(|name| value::is_name(name)).map(str::to_owned) else {
            let want = format!("{} before .toml, since it names the board", value::NAME);
            tracing::error!("board: {}", Problem::of_file(path, "this file name", want));
            return false;
        };
        let (board, problems) = file::parse(path, Found { text, beside: &beside }, &self.connections);
        for problem in &problems {
            tracing::error!(board = name, "{problem}");
        }
        let board = board.unwrap_or_else(|| self.unread(&name, path, &problems));
        self.boards.insert(name, Arc::new(board));
        true
    }

    /// The board of a file that is none any more: what it was, with what is wrong.
    fn unread(&self, name: &str, path: &Path, problems: &[Problem]) -> Board {
        let broken = file::broken(path, problems);
        match self.boards.get(name) {
            Some(before) => Board { error: broken.error, ..(**before).clone() },
            None => broken,
        }
    }

    fn say_wrong(&mut self, wrong: String) {
        if self.wrong.as_ref() != Some(&wrong) {
            tracing::error!("boards: {wrong}");
            self.wrong = Some(wrong);
        }
    }
}

/// Every problem of the boards' files.
pub fn problems(settings: &BoardServer, connections: &ByName) -> Vec<Problem> {
    let files = match config::pipeline_files(&settings.boards) {
        Ok(files) => files,
        Err(error) => {
            let found = format!("no directory that can be listed ({error})");
            return vec![Problem::of_file(&settings.boards, found, "the directory of boards that [board] names")];
        }
    };
    let problems = |path: &PathBuf| {
        let found = Found { text: config::read_file(path), beside: &beside };
        file::parse(path, found, connections).1
    };
    files.iter().flat_map(problems).collect()
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem().and_then(|stem| stem.to_str())
}

/// What the file holds that a board names as its map, if it names one: the board is another one when that changes.
fn map_of(path: &Path, text: &[u8]) -> Vec<u8> {
    let table = str::from_utf8(text).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let map = table.as_ref().and_then(|table| table.get("map")?.as_str()).map(Path::new);
    let map = map.filter(|map| map.file_name() == Some(map.as_os_str()));
    map.and_then(|map| beside(&path.with_file_name(map)).ok()).unwrap_or_default()
}

fn beside(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BESIDE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Watches until nobody listens any more; publishes the boards as they change.
pub async fn watch(mut directory: Directory, publish: watch::Sender<Boards>) {
    let mut changes = Changes::in_directory(&directory.path);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let changed = directory.look();
            (directory, changed)
        });
        // A panic in there goes on here, for whoever keeps this alive.
        let (back, changed) = match looked.await {
            Ok(looked) => looked,
            Err(died) => match died.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends.
                Err(_) => return,
            },
        };
        directory = back;
        if changed {
            publish.send_replace(directory.boards().clone());
        }
        tokio::select! {
            () = publish.closed() => return,
            () = changes.next() => {}
        }
    }
}
