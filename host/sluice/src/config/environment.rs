//! `${VAR}` in strings.

/// Source of environment variables: the process's environment, or a test's table. It returns none for a variable that is not set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reason why a `${…}` could not be replaced.
#[derive(Debug, PartialEq, Eq)]
pub enum Unexpanded {
    /// The variable of this name isn't set.
    NotSet(String),
    /// The variable has no name, or no closing brace. The text isn't kept: it may be part of a password.
    Malformed,
}

/// Replaces each `${VAR}` in `text` by the variable's value and each `$${` by a literal `${`. The error lists every part that
/// could not be replaced. A value isn't expanded again, so a variable can't pull in another one.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, Vec<Unexpanded>> {
    let mut expanded = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            problems.push(Unexpanded::Malformed);
            rest = after;
            continue;
        };
        match env(name) {
            Some(value) => expanded.push_str(&value),
            None => problems.push(Unexpanded::NotSet(name.to_owned())),
        }
        rest = behind;
    }
    expanded.push_str(rest);
    if problems.is_empty() { Ok(expanded) } else { Err(problems) }
}

fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "USER" => Some("ann".to_owned()),
            "NESTED" => Some("${USER}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_and_escapes_kept() {
        for (text, expanded) in [
            ("", ""),
            ("plain $ and $$ and }", "plain $ and $$ and }"),
            ("${USER}", "ann"),
            ("<${USER}${USER}>", "<annann>"),
            ("$${USER}", "${USER}"),
            ("$$${USER}", "$${USER}"),
            ("${NESTED}", "${USER}"),
            ("é${USER}é", "éanné"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn everything_that_cannot_be_replaced_is_named_at_once() {
        let problems = expand("${A} ${USER} ${B-C} ${_D9} ${", &env);
        let not_set = |name: &str| Unexpanded::NotSet(name.to_owned());
        let (malformed, again) = (Unexpanded::Malformed, Unexpanded::Malformed);
        assert_eq!(problems, Err(vec![not_set("A"), malformed, not_set("_D9"), again]));
    }
}
