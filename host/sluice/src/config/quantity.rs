//! Durations and sizes as people write them: `"1m30s"`, `"64MiB"`.

use std::time::Duration;

/// Description of a duration, for messages.
pub const DURATION: &str = r#"a duration such as "2s", "500ms" or "1m""#;

/// Description of a size, for messages.
pub const SIZE: &str = r#"a size such as "64MiB", "512KiB" or "1GiB""#;

const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const BYTES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A duration: whole numbers with the units d, h, m, s, ms, the larger ones first, each at most once, without spaces.
pub fn duration(text: &str) -> Option<Duration> {
    let mut left = &TIMES[..];
    let mut millis: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, behind) = number_and_unit(rest)?;
        let at = left.iter().position(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.checked_mul(left[at].1)?)?;
        left = &left[at + 1..];
        rest = behind;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// A size in bytes: a whole number with one of the units B, KiB, MiB, GiB, without spaces.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit, "") = number_and_unit(text)? else { return None };
    let (_, factor) = BYTES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// The way [`size`] would read it, in the largest unit that gives a whole number.
pub fn show_size(bytes: u64) -> String {
    let whole = BYTES.iter().find(|(_, factor)| bytes.is_multiple_of(*factor) && bytes >= *factor);
    let (unit, factor) = whole.copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// The way [`duration`] would read it, to the millisecond.
pub fn show_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut shown = String::new();
    for (unit, factor) in TIMES {
        if millis >= factor {
            shown.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// The number and the unit that a text begins with, and the rest.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let (unit, rest) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
    Some((number.parse().ok()?, unit, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_of_other_forms_are_refused() {
        let wrong = [
            "",
            "2",
            "s",
            "2 s",
            "2 sec",
            "1.5s",
            "-1s",
            "1s1s",
            "1s1m",
            "2S",
            "s2",
            "1m30",
            "+1s",
            "99999999999999999999s",
            "999999999999999999d",
            "١s",
        ];
        for text in wrong {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn sizes_of_other_forms_are_refused() {
        for text in ["", "64", "MiB", "64 MiB", "64MB", "64mib", "1GiB1MiB", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(size("64MiB"), Some(64 << 20));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(n in 0..u64::MAX) {
            prop_assert_eq!(size(&show_size(n)), Some(n));
            let time = Duration::from_millis(n);
            prop_assert_eq!(duration(&show_duration(time)), Some(time));
        }
    }
}
