//! Sessions that grow together.

use std::collections::HashMap;

use super::Span;

/// The open sessions of each key. Those of one key never overlap.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Box<[u8]>, Vec<Span>>,
}

/// Effect of new rows on the sessions of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The key's sessions from now on, the earliest first.
    pub sessions: Vec<Span>,
    /// Earlier sessions that changed, each with the session that it is part of now.
    pub moves: Vec<(Span, Span)>,
}

impl Sessions {
    /// Computes the sessions of this key after rows that open these spans are added. Changes nothing.
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

    /// Adds a session of this key. It must not overlap the key's other sessions.
    pub fn open(&mut self, key: &[u8], session: Span) {
        match self.open.get_mut(key) {
            // States are merged in this order, whenever each session was opened.
            Some(open) => open.insert(open.partition_point(|span| *span < session), session),
            None => drop(self.open.insert(key.into(), vec![session])),
        }
    }

    /// Removes a session of this key: it is over, or part of a larger one.
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
    /// Returns the session that contains a span which was joined.
    pub fn session_of(&self, span: Span) -> Span {
        session_at(&self.sessions, span.start).unwrap_or(span)
    }
}

/// Returns the session that contains this moment. The sessions must not overlap, and the earliest must come first.
fn session_at(sessions: &[Span], time: i64) -> Option<Span> {
    let after = sessions.partition_point(|session| session.start <= time);
    sessions[..after].last().copied().filter(|session| time < session.end)
}
