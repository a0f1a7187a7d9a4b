//! `SLUICE_LOG`: which lines are written.

use std::env::VarError;

use tracing_subscriber::EnvFilter;

use crate::config::nearest;

/// The variable.
const VARIABLE: &str = "SLUICE_LOG";

/// Levels of the log unless the variable is set. The library of the checkpoints' tree logs each file that it writes, so only its
/// warnings are shown.
const DEFAULT: &str = "info,lsm_tree=warn";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Words that people write for a level, with the level that they mean.
const MEANT: [(&str, &str); 9] = [
    ("none", "off"),
    ("silent", "off"),
    ("quiet", "off"),
    ("fatal", "error"),
    ("critical", "error"),
    ("warning", "warn"),
    ("notice", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
];

/// Returns the levels that the environment sets, or the default.
///
/// # Errors
///
/// The problem of the variable, and what would be right.
pub fn of_environment() -> Result<EnvFilter, String> {
    match std::env::var(VARIABLE) {
        Ok(text) => read(&text),
        Err(VarError::NotPresent) => Ok(default()),
        Err(VarError::NotUnicode(_)) => Err(wrong("text that isn't UTF-8", None)),
    }
}

/// Returns the levels that apply unless others are set.
pub fn default() -> EnvFilter {
    EnvFilter::new(DEFAULT)
}

/// Reads levels, strictly: a word that is no level is a target to [`EnvFilter`], of which there would be no line, and no other either.
fn read(text: &str) -> Result<EnvFilter, String> {
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    if directives.iter().all(|directive| directive.is_empty()) {
        return Err(wrong("empty", None));
    }
    // A span's fields may have commas and signs of equality of their own.
    if !text.contains('[') {
        for directive in &directives {
            let level = directive.rsplit_once('=').map_or(*directive, |(_, level)| level.trim());
            if !directive.is_empty() && !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
                return Err(wrong(&format!("{text:?}"), Some(level)));
            }
        }
    }
    let joined = directives.iter().map(|directive| directive.replace(' ', "")).collect::<Vec<_>>().join(",");
    EnvFilter::try_new(joined).map_err(|error| wrong(&format!("{text:?} ({error})"), None))
}

fn wrong(found: &str, level: Option<&str>) -> String {
    let meant = |level: &str| {
        let synonym = MEANT.iter().find(|(word, _)| word.eq_ignore_ascii_case(level)).map(|(_, meant)| *meant);
        synonym.or_else(|| nearest::nearest(level, &LEVELS))
    };
    let hint = level.and_then(meant).map(|meant| format!(" (did you mean {meant:?}?)")).unwrap_or_default();
    let level = level.map(|level| format!(", and {level:?} is no level{hint}")).unwrap_or_default();
    format!(
        "{VARIABLE} is {found}{level}: set it to {}, or to such a level for a part of the host, as in \"info,sluice=debug\"; or \
         unset it, which means {DEFAULT:?}",
        nearest::one_of(&LEVELS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_for_all_and_for_parts_are_taken() {
        for text in
            ["info", "WARN", "off", "info,sluice=debug", "info, lsm_tree=warn,", "warn,kafka=TRACE", "x[y{z=1}]=info"]
        {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_level_is_refused_with_what_would_be_right() {
        for (text, hint) in [
            ("verbose", "mean \"debug\""),
            ("WARNING", "mean \"warn\""),
            ("inof", "mean \"info\""),
            ("sluice=warning", "mean \"warn\""),
            ("info,debgu", "mean \"debug\""),
            ("sluice", "such a level for a part"),
            ("7", "is no level"),
            ("", "SLUICE_LOG is empty"),
            (" ", "SLUICE_LOG is empty"),
            (",", "SLUICE_LOG is empty"),
        ] {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(error.contains(hint) && error.contains("one of \"off\""), "{text}: {error}");
        }
    }
}
