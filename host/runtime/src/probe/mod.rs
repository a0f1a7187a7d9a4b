//! The probe whether an operator keeps what it promises, tried on rows that are made up.
//!
//! The host may drop an instance at any moment, cut batches anywhere and call another instance instead. So the answer to a row must
//! depend on nothing but the row, and a state on nothing but the rows that were added to it. What an instance remembers between calls
//! shows when the same rows are given to it again, to another instance, or in other batches; and the laws of `wit/fold.wit` can be
//! tried like any equation.

mod differing;
mod folding;
mod processing;
mod rows;

use sluice_core::Field;
use sluice_core::operator::Operator;

use crate::artifact::Artifact;
use crate::instance::{Instance, OpenError};
use crate::limits::Limits;
use processing::Processing;

/// The rows that are made up of each sort. Enough for every pair of a few interesting values of two columns to come up; an
/// interpreter does them in a second.
pub const PROBE_ROWS: usize = 256;

/// The batches that rows are cut into, beside all of them at once: alone, and at places that are no multiple of a byte's bits.
const CUTS: [usize; 3] = [1, 7, 64];

/// An artifact as some pipeline would open it.
struct Opener<'a> {
    artifact: &'a Artifact,
    config: &'a str,
    input: &'a [Field],
    limits: &'a Limits,
}

impl Opener<'_> {
    fn open(&self) -> Result<Instance, OpenError> {
        self.artifact.open(self.config, self.input, self.limits, "probe")
    }
}

/// Opens the artifact as a pipeline would and tries it on rows that follow from `seed`, ordinary ones and extreme ones. Answers a
/// sentence for each promise that it doesn't keep; none at all is no proof, but the next best thing.
///
/// # Errors
///
/// It can't be opened.
pub fn probe(
    artifact: &Artifact,
    config: &str,
    input: &[Field],
    limits: &Limits,
    seed: u64,
) -> Result<Vec<String>, OpenError> {
    let opener = Opener { artifact, config, input, limits };
    let (one, other) = (opener.open()?, opener.open()?);
    let mut findings = Vec::new();
    if (one.transform_plan(), one.fold_plan()) != (other.transform_plan(), other.fold_plan()) {
        findings.push("`open` answers another plan to the same configuration and columns".to_owned());
        return Ok(findings);
    }
    let extreme = rows::extreme(input, seed);
    Processing::new(&opener, "extreme rows", &extreme).probe(&mut findings)?;
    let ordinary = rows::ordinary(input, seed);
    let after = Processing::new(&opener, "ordinary rows", &ordinary).probe(&mut findings)?;
    if let (Some(plan), Some(after)) = (one.fold_plan(), after) {
        folding::probe(&opener, plan, &after, &mut findings)?;
    }
    Ok(findings)
}
