//! Sessions that grow together.

use std::collections::HashMap;

use super::Span;

/// The open sessions of each key. Those of one key never overlap.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Box<[u8]>, Vec<Span>>,
}

/// What rows do to the sessions of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The key's sessions from now on, the earliest first.
    pub sessions: Vec<Span>,
    /// Sessions there were, and what each is part of now; those that stay as they are aren't listed.
    pub moves: Vec<(Span, Span)>,
}

impl Sessions {
    /// What becomes of the sessions of this key with rows that open these spans. Changes nothing.
    ///
    /// Spans that share a moment are one session, so the answer depends on neither the order nor the cut of the rows.
    pub fn join(&self, key: &[u8], mut spans: Vec<Span>) -> Joined {
        let before = self.open.get(key).map_or(&[][..], Vec::as_slice);
        spans.extend_from_slice(before);
        spans.sort_unstable();
        let mut sessions: Vec<Span> = Vec::new();
        for span in spans {
            match sessions.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => sessions.push(span),
            }
        }
        let moved = |span: &Span| Some((*span, session_at(&sessions, span.start)?));
        let moves = before.iter().filter_map(moved).filter(|(from, to)| from != to).collect();
        Joined { sessions, moves }
    }

    /// The key has this session, which overlaps none that it has.
    pub fn open(&mut self, key: &[u8], session: Span) {
        match self.open.get_mut(key) {
            Some(open) => {
                open.push(session);
                // States are merged in this order, whenever each session was opened.
                open.sort_unstable();
            }
            None => drop(self.open.insert(key.into(), vec![session])),
        }
    }

    /// The key no longer has this session: it is over, or part of a larger one.
    pub fn close(&mut self, key: &[u8], session: Span) {
        if let Some(open) = self.open.get_mut(key) {
            open.retain(|span| *span != session);
            if open.is_empty() {
                self.open.remove(key);
            }
        }
    }
}

impl Joined {
    /// The session that a span is part of which was joined.
    pub fn session_of(&self, span: Span) -> Span {
        session_at(&self.sessions, span.start).unwrap_or(span)
    }
}

/// Of sessions that don't overlap, the earliest first, the one that this moment is in.
fn session_at(sessions: &[Span], time: i64) -> Option<Span> {
    let after = sessions.partition_point(|session| session.start <= time);
    sessions[..after].last().copied().filter(|session| time < session.end)
}
