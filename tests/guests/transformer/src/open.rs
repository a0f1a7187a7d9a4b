//! Plans, good and bad.

use crate::bindings::exports::sluice::operator::transform::{Origin, Output, Plan};
use crate::bindings::sluice::operator::types::{Decimal, Field, Kind};

pub fn plan(behaviour: &str, input: &[Field]) -> Result<Plan, String> {
    let all = 0..input.len() as u32;
    let echo = |field: &Field| Output { name: field.name.clone(), origin: Origin::Computed(field.kind) };
    let mut plan = Plan { reads: all.collect(), outputs: input.iter().map(echo).collect() };
    match behaviour {
        "refuse to open" => return Err("no column `n`".to_owned()),
        "trap in open" => panic!("trap in open"),
        "spin in open" => crate::spin(),
        "hoard in open" => crate::hoard(),
        "read a column that is not there" => plan.reads.push(input.len() as u32),
        "answer a column that is not there" => plan.outputs[0].origin = Origin::Input(u32::MAX),
        "name two outputs alike" => plan.outputs.push(plan.outputs[0].clone()),
        "name an output with nothing" => plan.outputs[0].name.clear(),
        "name an output at length" => plan.outputs[0].name = "n".repeat(10_000),
        "name an output with a line break" => plan.outputs[0].name.push('\n'),
        "plan a decimal of forty digits" => {
            plan.outputs[0].origin = Origin::Computed(Kind::Decimal(Decimal { precision: 40, scale: 2 }));
        }
        "plan no outputs" => plan.outputs.clear(),
        "plan a million reads" => plan.reads = vec![0; 1_000_000],
        "pass the input through" => {
            let through =
                |(i, field): (usize, &Field)| Output { name: field.name.clone(), origin: Origin::Input(i as u32) };
            plan = Plan { reads: Vec::new(), outputs: input.iter().enumerate().map(through).collect() };
        }
        _ => {}
    }
    Ok(plan)
}
