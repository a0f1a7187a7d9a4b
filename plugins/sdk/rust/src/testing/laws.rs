//! The laws of `wit/fold.wit`, tried on rows of a test.

use std::ops::Range;

use super::table::{Table, Value};
use super::trial::{Groups, Trial};
use crate::Fold;
use crate::contract::Batch;

/// The places where a table is cut in parts, spread evenly; every pair of them is tried. A law that a cut can break
/// breaks at a few of them; all cuts of a long table would take long.
const CUTS: usize = 12;

impl<F: Fold> Trial<F> {
    /// Tries the laws that the host relies on, with these rows in many partitions: it doesn't matter how rows are split
    /// into batches and states, nor in which order states are merged, and a state that has seen nothing changes nothing.
    ///
    /// An error says which law doesn't hold, for which parts. States are compared exactly: a state of float64 that adds
    /// fractions breaks the laws in its last digits, as its totals will in production.
    pub fn check_laws(&self, input: &Table) -> Result<(), String> {
        let groups = Groups::new::<F>(self.transform(input)?.rows)?;
        let count = groups.rows.rows().len();
        let cuts = CUTS.min(count);
        let places: Vec<_> = (0..=cuts).map(|cut| count * cut / cuts.max(1)).collect();
        for (at, first) in places.iter().enumerate() {
            for second in &places[at..] {
                let parts = [0..*first, *first..*second, *second..count];
                Laws { operator: &self.operator, groups: &groups }
                    .check(parts.clone())
                    .map_err(|problem| format!("with the rows in parts {parts:?}: {problem}"))?;
            }
        }
        Ok(())
    }
}

struct Laws<'a, F> {
    operator: &'a F,
    groups: &'a Groups,
}

impl<F: Fold> Laws<'_, F> {
    fn check(&self, parts: [Range<usize>; 3]) -> Result<(), String> {
        let [a, b, c] = parts;
        let whole = self.of(0..c.end)?;
        let in_turn = self.after(c.clone(), self.after(b.clone(), self.of(a.clone())?)?)?;
        self.same("accumulate(a ++ b, s) = accumulate(b, accumulate(a, s))", &whole, &in_turn)?;

        let (a, b, c, nothing) = (self.of(a)?, self.of(b)?, self.of(c)?, self.groups.no_states());
        let merged = self.merge(&self.merge(&a, &b)?, &c)?;
        self.same("merge is associative", &merged, &self.merge(&a, &self.merge(&b, &c)?)?)?;
        self.same("merge is commutative", &self.merge(&a, &b)?, &self.merge(&b, &a)?)?;
        self.same("an all-null state is merge's identity", &a, &self.merge(&a, &nothing)?)?;
        self.same("accumulate(a ++ b, null) = merge(accumulate(a, null), accumulate(b, null))", &whole, &merged)
    }

    /// The states of these rows alone.
    fn of(&self, rows: Range<usize>) -> Result<Batch, String> {
        self.after(rows, self.groups.no_states())
    }

    fn after(&self, rows: Range<usize>, states: Batch) -> Result<Batch, String> {
        self.groups.accumulate(self.operator, rows, states)
    }

    fn merge(&self, left: &Batch, right: &Batch) -> Result<Batch, String> {
        Ok(self.groups.states(crate::fold::merge(self.operator, left, right)?))
    }

    fn same(&self, law: &str, left: &Batch, right: &Batch) -> Result<(), String> {
        let values = |states: &Batch| self.groups.values(&self.groups.plan.state, &states.columns);
        let (left, right): (Vec<Vec<Value>>, _) = (values(left)?, values(right)?);
        if left == right { Ok(()) } else { Err(format!("broken: {law}; states {left:?} and {right:?}")) }
    }
}
