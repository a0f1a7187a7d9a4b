//! The values that several sections share: names, paths, addresses, durations, sizes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_core::Kind;

use super::quantity;
use super::reader::{Item, Section};

/// The longest name of a pipeline or operator. Names become parts of file names, which end at 255 bytes, with room for a
/// digest and an ending.
pub const MAX_NAME: usize = 100;

/// The longest topic or consumer group: Kafka's limit for topics.
const MAX_TOPIC: usize = 249;

/// The longest table or column name: MySQL's limit.
const MAX_IDENTIFIER: usize = 64;

/// Returns true if the text may name a pipeline or an operator: it becomes part of file names.
pub fn is_name(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(letters) && !text.starts_with('-')
}

/// Description of the names that [`is_name`] accepts, for messages.
pub const NAME: &str = "a name of letters, digits, _ and - (at most 100)";

/// A topic or consumer group; Kafka's rule for topics, without names that a directory hides, since the embedded log makes
/// directories of them.
pub fn topic(item: &Item<'_>, what: &str) -> Option<String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let want = format!("{what} of letters, digits, _, - and ., which is never first (at most {MAX_TOPIC})");
    item.parse(&want, |text| {
        let fits = (1..=MAX_TOPIC).contains(&text.len()) && text.chars().all(letters);
        (fits && !text.starts_with('.')).then(|| text.to_owned())
    })
}

/// A table. HBase's namespaces end with a colon, MySQL's databases with a dot; nothing here can leave a directory of CSV files.
pub fn table(item: &Item<'_>) -> Option<String> {
    let letters = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':');
    let want = format!(
        "a table's name of letters, digits, _, -, $ and : (at most {MAX_IDENTIFIER}), for MySQL after database and dot if need be"
    );
    let fits = |part: &str| (1..=MAX_IDENTIFIER).contains(&part.chars().count()) && part.chars().all(letters);
    item.parse(&want, |text| text.split('.').all(fits).then(|| text.to_owned()))
}

/// Description of the names that [`is_column`] accepts, for messages.
pub const COLUMN: &str = "a column's name of 1 to 64 characters, without quotes and without spaces at its ends";

/// Returns true if the text may name a column. It accepts every name that a table's column can have.
pub fn is_column(text: &str) -> bool {
    let unfit = |c: char| c.is_control() || c == '"' || c == '`';
    (1..=MAX_IDENTIFIER).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(unfit)
}

/// A directory or file, relative to `root`.
pub fn path(item: &Item<'_>, root: &Path, want: &str) -> Option<PathBuf> {
    item.parse(want, |text| (!text.is_empty() && !text.chars().any(char::is_control)).then(|| root.join(text)))
}

/// The only key of a connection that is a directory.
pub fn directory(section: &Section<'_>, root: &Path) -> Option<PathBuf> {
    let want = r#"a directory such as "data""#;
    section.required("directory", want, |item| path(&item, root, want))
}

/// A kind of column, one of `fitting` or one of other parameters.
pub fn kind(item: &Item<'_>, fitting: &[Kind]) -> Option<Kind> {
    let text = item.raw().as_str().unwrap_or_default();
    let named = fitting.iter().find(|kind| text.trim_start().starts_with(kind.name()) && kind.has_parameters());
    if let Some(kind) = named {
        return item.parse(kind.spelling(), |text| text.parse().ok());
    }
    let choices: Vec<_> = fitting.iter().map(|kind| (kind.spelling(), *kind)).collect();
    item.choice(&choices)
}

/// A duration within bounds, both included.
pub fn duration(item: &Item<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let duration = item.parse(quantity::DURATION, quantity::duration)?;
    if (least..=most).contains(&duration) {
        return Some(duration);
    }
    let (least, most) = (quantity::show_duration(least), quantity::show_duration(most));
    item.wrong(format!("a duration from \"{least}\" to \"{most}\""));
    None
}

/// A size in bytes within bounds, both included.
pub fn size(item: &Item<'_>, least: u64, most: u64) -> Option<u64> {
    let size = item.parse(quantity::SIZE, quantity::size)?;
    if (least..=most).contains(&size) {
        return Some(size);
    }
    let (least, most) = (quantity::show_size(least), quantity::show_size(most));
    item.wrong(format!("a size from \"{least}\" to \"{most}\""));
    None
}

/// Returns true if the text is `host:port`, with an IPv6 address in brackets.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_fits = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !host.is_empty() && host.chars().all(letters)
        }
    };
    host_fits && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}
