//! A screen: one board that is asked for its viewers together, for as long as there are any.
//!
//! ```text
//! viewers ──watch──┐
//!                  ├─▶ task: each panel's question once in each interval ──▶ Shown, the newest only ──▶ viewers
//! file, pipelines ─┘
//! ```
//!
//! Without viewers nothing is asked. A question that takes longer than the interval isn't asked again meanwhile.

use std::sync::Arc;
use std::time::Duration;

use sluice_clock::Stopwatch;
use sluice_connectors::query::QueryRows;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::asker::Asker;
use super::file::{Board, Question};
use super::health::{self, Health};
use super::observer::{Pipelines, now_ms};
use super::shown::{Content, Part, Shown, ShownPanel};

/// The longest that a page waits for answers that are newer than the interval; then it gets what there is. Shorter: a first look is
/// empty. Longer: people wait before an empty page.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time between two words of a health that changed only in its age. Shorter: viewers are sent what they reckon themselves. Longer: ages
/// that are right look stale.
const AGES: Duration = Duration::from_secs(3);

/// A board that is shown.
pub struct Screen {
    file: watch::Sender<Arc<Board>>,
    shown: watch::Sender<Arc<Shown>>,
    wanted: Notify,
}

impl Screen {
    /// Makes the screen of a board. It is dark until its task runs.
    pub fn new(board: Arc<Board>, connections: &Asker, pipelines: &Pipelines) -> Screen {
        let panels = Panel::all(&board, &[], 0, connections, pipelines);
        let shown = Shown {
            version: 0,
            board_version: 0,
            panels: panels.iter().map(Panel::shown).collect(),
            board: Arc::clone(&board),
        };
        Screen { file: watch::Sender::new(board), shown: watch::Sender::new(Arc::new(shown)), wanted: Notify::new() }
    }

    /// Shows what the file says now.
    pub fn change_to(&self, board: &Arc<Board>) {
        self.file.send_if_modified(|file| {
            let is_other = **file != **board;
            if is_other {
                *file = Arc::clone(board);
            }
            is_other
        });
    }

    /// Follows what is shown: the receiver is a viewer until it is dropped.
    pub fn watch(&self) -> watch::Receiver<Arc<Shown>> {
        let viewer = self.shown.subscribe();
        self.wanted.notify_one();
        viewer
    }

    /// What is shown, not older than the interval if the databases answer in time.
    pub async fn look(&self) -> Arc<Shown> {
        let mut viewer = self.watch();
        let refresh = i64::try_from(self.file.borrow().refresh.as_millis()).unwrap_or(i64::MAX);
        let since = now_ms().saturating_sub(refresh);
        let fresh = viewer.wait_for(|shown| shown.is_since(since));
        // What there is, then.
        drop(tokio::time::timeout(PATIENCE, fresh).await);
        Arc::clone(&viewer.borrow())
    }

    /// The board as its file says.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.file.borrow())
    }

    /// Asks and shows, for as long as anybody has the screen.
    pub async fn run(self: Arc<Screen>, asker: Arc<Asker>, pipelines: watch::Receiver<Pipelines>) {
        let (file, board) = (self.file.subscribe(), self.board());
        let panels = Panel::all(&board, &[], 1, &asker, &pipelines.borrow());
        Task {
            screen: self,
            asker,
            pipelines,
            file,
            board,
            board_version: 1,
            number: 1,
            panels,
            answers: JoinSet::new(),
            aged: Stopwatch::start(),
        }
        .run()
        .await;
    }
}

/// Work of a screen.
struct Task {
    screen: Arc<Screen>,
    asker: Arc<Asker>,
    pipelines: watch::Receiver<Pipelines>,
    file: watch::Receiver<Arc<Board>>,
    board: Arc<Board>,
    board_version: u64,
    /// The last number that a part or a picture got.
    number: u64,
    panels: Vec<Panel>,
    /// Answers that are awaited: of a version of the board, and of a panel.
    answers: JoinSet<(u64, usize, Result<QueryRows, String>)>,
    aged: Stopwatch,
}

/// A panel that is asked for.
struct Panel {
    shown: ShownPanel,
    /// Runs since the last question was asked.
    asked: Option<Stopwatch>,
    asking: bool,
}

impl Panel {
    /// The panels of a board: those that ask what one of the panels `before` asked keep its answer.
    fn all(
        board: &Board,
        before: &[(Option<Question>, Panel)],
        number: u64,
        asker: &Asker,
        pipelines: &Pipelines,
    ) -> Vec<Panel> {
        let now = now_ms();
        let panel = |panel: &super::file::Panel| {
            let mut content = Content::empty(panel);
            let same = before
                .iter()
                .find(|(question, _)| question.is_some() && question.as_ref() == panel.question.as_ref().ok());
            let (mut queried_at, mut asked_at) = (None, None);
            if let Some((_, before)) = same {
                let old = &before.shown.content;
                (content.rows, content.columns, content.truncated) =
                    (old.rows.clone(), old.columns.clone(), old.truncated);
                (queried_at, asked_at) = (before.shown.queried_at, before.shown.asked_at);
            }
            let health = health::of(panel, asker.connections(), pipelines, queried_at, now);
            let shown = ShownPanel {
                content: Part::of(content),
                content_version: number,
                health: Part::of(health),
                health_version: number,
                queried_at,
                asked_at,
            };
            // Asked at once: the file may say otherwise what the columns are.
            Panel { shown, asked: None, asking: false }
        };
        board.panels.iter().map(panel).collect()
    }

    fn shown(&self) -> ShownPanel {
        self.shown.clone()
    }
}

impl Task {
    async fn run(mut self) {
        self.publish();
        loop {
            let viewed = self.screen.shown.receiver_count() > 0;
            let wait = if viewed { self.ask() } else { Duration::MAX };
            let mut news = false;
            tokio::select! {
                () = self.screen.wanted.notified() => news = self.look_at_health(),
                () = tokio::time::sleep(wait.min(Duration::from_secs(86_400))) => {}
                Ok(()) = self.file.changed() => {
                    self.change();
                    news = true;
                }
                Ok(()) = self.pipelines.changed(), if viewed => news = self.look_at_health(),
                Some(answer) = self.answers.join_next(), if !self.answers.is_empty() => {
                    if let Ok((version, index, answer)) = answer {
                        news = version == self.board_version && self.take(index, answer);
                    }
                }
            }
            if news {
                self.publish();
            }
        }
    }

    /// Asks every panel that is due; answers the time until the next one is.
    fn ask(&mut self) -> Duration {
        let mut wait = Duration::MAX;
        for (index, panel) in self.panels.iter_mut().enumerate() {
            let Some(Ok(question)) = self.board.panels.get(index).map(|panel| panel.question.as_ref()) else {
                continue;
            };
            let since = panel.asked.map(Stopwatch::elapsed);
            let left = since.map_or(Duration::ZERO, |since| self.board.refresh.saturating_sub(since));
            if panel.asking {
                continue;
            }
            if left.is_zero() {
                (panel.asking, panel.asked) = (true, Some(Stopwatch::start()));
                let (asker, question, zone, version) =
                    (Arc::clone(&self.asker), question.clone(), self.board.zone.clone(), self.board_version);
                self.answers.spawn(async move { (version, index, asker.ask(&question, &zone).await) });
                wait = wait.min(self.board.refresh);
            } else {
                wait = wait.min(left);
            }
        }
        wait
    }

    /// Takes an answer; says whether there is news.
    fn take(&mut self, index: usize, answer: Result<QueryRows, String>) -> bool {
        let Some((panel, of)) = self.panels.get_mut(index).zip(self.board.panels.get(index)) else { return false };
        let now = now_ms();
        panel.asking = false;
        panel.shown.asked_at = Some(now);
        let content = match answer {
            Ok(rows) => {
                panel.shown.queried_at = Some(now);
                Content::with_rows(of, rows)
            }
            Err(error) => panel.shown.content.with_error(error),
        };
        if content != **panel.shown.content {
            self.number += 1;
            panel.shown.content = Part::of(content);
            panel.shown.content_version = self.number;
        }
        // Whoever waits for an answer hears of it, also if it is the same.
        true
    }

    /// Looks at the health of all panels; says whether there is news.
    fn look_at_health(&mut self) -> bool {
        let ages = self.aged.elapsed() >= AGES;
        if ages {
            self.aged = Stopwatch::start();
        }
        let (pipelines, now) = (Arc::clone(&self.pipelines.borrow()), now_ms());
        let mut news = false;
        for (panel, of) in self.panels.iter_mut().zip(&self.board.panels) {
            let health: Health = health::of(of, self.asker.connections(), &pipelines, panel.shown.queried_at, now);
            if ages || !health.is_as(&panel.shown.health) {
                self.number += 1;
                panel.shown.health = Part::of(health);
                panel.shown.health_version = self.number;
                news = true;
            }
        }
        news
    }

    /// Takes over what the file says now.
    fn change(&mut self) {
        let board = Arc::clone(&self.file.borrow_and_update());
        let questions = self.board.panels.iter().map(|panel| panel.question.as_ref().ok().cloned());
        let before: Vec<_> = questions.zip(std::mem::take(&mut self.panels)).collect();
        self.number += 1;
        self.board_version = self.number;
        self.panels = Panel::all(&board, &before, self.number, &self.asker, &self.pipelines.borrow());
        self.board = board;
    }

    fn publish(&mut self) {
        self.number += 1;
        let panels = self.panels.iter().map(Panel::shown).collect();
        let shown =
            Shown { version: self.number, board: Arc::clone(&self.board), board_version: self.board_version, panels };
        self.screen.shown.send_replace(Arc::new(shown));
    }
}
