//! Finding the columns that an operator names among those that it is given.

use std::fmt;

use crate::contract::{Field, Kind};
use crate::row::Needed;

/// The columns of the input that a refusal lists. More than a person reads; an input of thousands of columns must not
/// make a page of a sentence.
const SHOWN_COLUMNS: usize = 40;

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Decimal(decimal) => return write!(f, "decimal({}, {})", decimal.precision, decimal.scale),
            Kind::Boolean => "boolean",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Utf8 => "utf8",
            Kind::Binary => "binary",
            Kind::Timestamp => "timestamp",
            Kind::Date => "date",
        })
    }
}

/// A kind as pipelines and messages write it.
pub(crate) struct KindName(pub(crate) Kind);

/// The input's columns, and what was looked for in vain: all of it is said at once.
pub(crate) struct Search<'a> {
    input: &'a [Field],
    problems: Vec<String>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(input: &'a [Field]) -> Self {
        Search { input, problems: Vec::new() }
    }

    /// The index of the column of this name. (Any index, if there is none: `finish` then refuses.)
    pub(crate) fn named(&mut self, name: &str) -> u32 {
        match self.input.iter().position(|field| field.name == name) {
            Some(index) => index as u32,
            None => {
                self.problem(format!("there is no column `{name}`"));
                0
            }
        }
    }

    /// The index of this column, which must be of its kind.
    pub(crate) fn needed(&mut self, needed: Needed) -> u32 {
        let Needed { name, kind } = needed;
        match self.input.iter().position(|field| field.name == name) {
            Some(index) => {
                let given = self.input[index].kind;
                if given != kind {
                    let (needed, given) = (KindName(kind), KindName(given));
                    self.problem(format!("column `{name}` must be {needed}, and it is {given}"));
                }
                index as u32
            }
            None => {
                self.problem(format!("there is no column `{name}` ({})", KindName(kind)));
                0
            }
        }
    }

    /// Says it once: a column may be read as well as passed on.
    fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The sentence that names every problem and what the input has, if there is a problem.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let shown = self.input.iter().take(SHOWN_COLUMNS);
        let mut given: Vec<_> = shown.map(|field| format!("{}:{}", field.name, KindName(field.kind))).collect();
        if self.input.len() > SHOWN_COLUMNS {
            given.push(format!("and {} more", self.input.len() - SHOWN_COLUMNS));
        }
        let given = if given.is_empty() { "no columns".to_owned() } else { given.join(", ") };
        Err(format!("{}; the input has {given}", self.problems.join("; ")))
    }
}
