//! The laws of `wit/fold.wit`, tried.

use std::ops::Range;

use arrow_array::{ArrayRef, new_null_array};
use sluice_core::fold::Groups;
use sluice_core::operator::{Columns, FoldPlan, Operator, OperatorError};
use sluice_core::{Field, Kind};

use super::{CUTS, Opener, differing};
use crate::instance::{Instance, OpenError};

type States = Result<Vec<ArrayRef>, OperatorError>;

/// Rows in their groups.
struct Folding<'a> {
    plan: &'a FoldPlan,
    /// The group of each row.
    of_row: Vec<i32>,
    groups: usize,
    values: Vec<ArrayRef>,
}

/// `after` are the transform's columns.
pub(super) fn probe(
    opener: &Opener<'_>,
    plan: &FoldPlan,
    after: &[ArrayRef],
    findings: &mut Vec<String>,
) -> Result<(), OpenError> {
    let Some(folding) = Folding::new(plan, after) else { return Ok(()) };
    let mut one = opener.open()?;
    let whole = match folding.of(&mut one, 0..folding.of_row.len()) {
        Ok(states) => states,
        Err(OperatorError::Refused(reason)) => {
            findings.push(format!("the fold can't be probed, as `accumulate` refuses ordinary rows: {reason}"));
            return Ok(());
        }
        Err(error) => {
            findings.push(format!("`accumulate` fails on ordinary rows: {error}"));
            return Ok(());
        }
    };
    let mut laws = Laws { findings, names: names(&plan.state) };
    laws.same(
        "`accumulate` answers the same rows otherwise the second time",
        &whole,
        folding.of(&mut one, folding.all()),
    );
    laws.same(
        "`accumulate` answers otherwise by another instance",
        &whole,
        folding.of(&mut opener.open()?, folding.all()),
    );
    for cut in CUTS {
        let what = format!("accumulate(a ++ b, s) is not accumulate(b, accumulate(a, s)), in batches of {cut}");
        laws.same(&what, &whole, folding.in_turn(&mut opener.open()?, cut));
    }
    folding.merges(&mut opener.open()?, &whole, &mut laws);
    laws.names = names(&plan.outputs);
    emits(opener, &whole, &mut laws)
}

fn names(fields: &[Field]) -> Vec<String> {
    fields.iter().map(|field| field.name.clone()).collect()
}

/// The laws: what is compared, and what comes of it.
struct Laws<'a> {
    findings: &'a mut Vec<String>,
    names: Vec<String>,
}

impl Laws<'_> {
    fn same(&mut self, what: &str, expected: &[ArrayRef], answer: States) {
        let difference = match answer {
            Ok(answer) => differing::columns(&self.names, expected, &answer),
            Err(error) => Some(error.to_string()),
        };
        if let Some(difference) = difference {
            self.findings.push(format!("{what}: {difference}"));
        }
    }
}

impl<'a> Folding<'a> {
    /// Prepares the fold; none if there is nothing to fold.
    fn new(plan: &'a FoldPlan, after: &[ArrayRef]) -> Option<Folding<'a>> {
        let picked = |indices: &[usize]| indices.iter().map(|i| after.get(*i).cloned()).collect::<Option<Vec<_>>>();
        let (keys, values) = (picked(&plan.keys)?, picked(&plan.values)?);
        let rows = after.first()?.len();
        let kinds = keys.iter().map(|key| Kind::of(key.data_type())).collect::<Option<Vec<_>>>()?;
        let (mut groups, mut of_row) = (Groups::new(kinds), Vec::new());
        groups.assign(&keys, rows, &mut of_row)?;
        let of_row = of_row.into_iter().map(|group| i32::try_from(group).ok()).collect::<Option<Vec<_>>>()?;
        (rows > 0).then(|| Folding { plan, of_row, groups: groups.len(), values })
    }

    fn all(&self) -> Range<usize> {
        0..self.of_row.len()
    }

    fn nothing(&self) -> Vec<ArrayRef> {
        self.plan.state.iter().map(|field| new_null_array(&field.kind.data_type(), self.groups)).collect()
    }

    /// The states of these rows alone.
    fn of(&self, instance: &mut Instance, rows: Range<usize>) -> States {
        self.after(instance, rows, &self.nothing())
    }

    fn after(&self, instance: &mut Instance, rows: Range<usize>, states: &[ArrayRef]) -> States {
        let values: Vec<ArrayRef> = self.values.iter().map(|column| column.slice(rows.start, rows.len())).collect();
        let (values, states) = (Columns { rows: rows.len(), arrays: &values }, self.states(states));
        instance.accumulate(&self.of_row[rows], values, states)
    }

    fn states<'s>(&self, states: &'s [ArrayRef]) -> Columns<'s> {
        Columns { rows: self.groups, arrays: states }
    }

    /// Returns the states of all rows, added in batches of `cut` rows.
    fn in_turn(&self, instance: &mut Instance, cut: usize) -> States {
        let rows = self.of_row.len();
        let parts = (0..rows).step_by(cut).map(|start| start..rows.min(start + cut));
        let mut states = self.nothing();
        for part in parts {
            states = self.after(instance, part, &states)?;
        }
        Ok(states)
    }

    /// The laws of `merge`.
    fn merges(&self, instance: &mut Instance, whole: &[ArrayRef], laws: &mut Laws<'_>) {
        let third = self.of_row.len() / 3;
        let parts = [0..third, third..2 * third, 2 * third..self.of_row.len()].map(|part| self.of(instance, part));
        let [Ok(a), Ok(b), Ok(c)] = parts else {
            laws.findings.push("`accumulate` fails on a part of the rows that it takes as a whole".to_owned());
            return;
        };
        let mut merge = |left: &[ArrayRef], right: &[ArrayRef]| {
            let answer = instance.merge(self.states(left), self.states(right));
            if answer.as_ref().is_err_and(OperatorError::spends) {
                // What comes next is to say what it is about, not that the instance is spent.
                let _ = instance.renew();
            }
            answer
        };
        let nothing = self.nothing();
        laws.same("an all-null state is not merge's identity on the right", &a, merge(&a, &nothing));
        laws.same("an all-null state is not merge's identity on the left", &a, merge(&nothing, &a));
        let Ok(ab) = merge(&a, &b) else {
            laws.findings.push("`merge` fails on states of ordinary rows".to_owned());
            return;
        };
        laws.same("merge is not commutative", &ab, merge(&b, &a));
        let left = merge(&ab, &c);
        let right = merge(&b, &c).and_then(|bc| merge(&a, &bc));
        if let Ok(left) = &left {
            laws.same("merge is not associative", left, right);
        }
        laws.same("accumulate(a ++ b, null) is not merge(accumulate(a, null), accumulate(b, null))", whole, left);
    }
}

/// `emit` shows each state by itself, and always alike.
fn emits(opener: &Opener<'_>, states: &[ArrayRef], laws: &mut Laws<'_>) -> Result<(), OpenError> {
    let rows = states.first().map_or(0, |column| column.len());
    let emit = |instance: &mut Instance, part: Range<usize>| {
        let arrays: Vec<ArrayRef> = states.iter().map(|column| column.slice(part.start, part.len())).collect();
        instance.emit(Columns { rows: part.len(), arrays: &arrays })
    };
    let mut one = opener.open()?;
    let whole = match emit(&mut one, 0..rows) {
        Ok(whole) => whole,
        Err(error) => {
            laws.findings.push(format!("`emit` fails on states of ordinary rows: {error}"));
            return Ok(());
        }
    };
    laws.same("`emit` answers the same states otherwise the second time", &whole, emit(&mut one, 0..rows));
    laws.same("`emit` answers otherwise by another instance", &whole, emit(&mut opener.open()?, 0..rows));
    for row in 0..rows {
        let expected: Vec<ArrayRef> = whole.iter().map(|column| column.slice(row, 1)).collect();
        let before = laws.findings.len();
        laws.same(&format!("`emit` shows state {row} otherwise by itself"), &expected, emit(&mut one, row..row + 1));
        if laws.findings.len() > before {
            break;
        }
    }
    Ok(())
}
