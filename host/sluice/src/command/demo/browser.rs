//! The browser, where there is one to open.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// Prints the page's address, and opens it where a person sits before a screen.
pub fn show(page: &str) {
    // Whoever reads nothing has a browser all the same.
    drop(writeln!(std::io::stdout(), "the board: {page}"));
    let Some(opener) = opener() else { return };
    let mut command = Command::new(opener);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It ends once the browser has the address; the thread takes note of that.
    let opened = command
        .spawn()
        .and_then(|mut child| std::thread::Builder::new().name("browser".to_owned()).spawn(move || drop(child.wait())));
    if let Err(error) = opened {
        tracing::debug!("no browser was opened: {error}");
    }
}

/// The program that opens a page; none without a terminal or without a screen.
fn opener() -> Option<&'static str> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    if cfg!(target_os = "macos") {
        return Some("open");
    }
    let screen =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    screen.then_some("xdg-open")
}
