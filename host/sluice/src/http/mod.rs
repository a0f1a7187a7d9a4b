//! What the host's servers share: the admin API's and the board's.

pub mod accept;
pub mod addressed;

pub use accept::{ASK_WITHIN, Limits, accept};
