//! The check whether a plan that a guest answered can be kept: indices that exist, names that are names, lists that end.
//!
//! Checked once, at `open`, so that nothing later has to ask. A refusal is a sentence for the operator's author.

use std::collections::HashSet;

use sluice_core::Field;
use sluice_core::operator::{FoldPlan, Origin, TransformPlan};

use crate::limits::{MAX_COLUMNS, MAX_NAME_BYTES};

/// `input` is how many columns the transform was offered.
pub(crate) fn check_transform(plan: &TransformPlan, input: usize) -> Result<(), String> {
    let check = || {
        check_indices("reads", &plan.reads, input)?;
        check_count("outputs", plan.outputs.len())?;
        if plan.outputs.is_empty() {
            return Err("it has no outputs: name at least one column".to_owned());
        }
        check_names("outputs", plan.outputs.iter().map(|(name, _)| name.as_str()))?;
        plan.outputs.iter().try_for_each(|(name, origin)| match origin {
            Origin::Input(index) if *index >= input => {
                Err(format!("its output `{name}` is input column {index}, and there are {input}, from 0"))
            }
            _ => Ok(()),
        })
    };
    check().map_err(|defect| format!("the transform's plan: {defect}"))
}

/// `input` are the columns of the transform's result.
pub(crate) fn check_fold(plan: &FoldPlan, input: &[Field]) -> Result<(), String> {
    let check = || {
        check_indices("keys", &plan.keys, input.len())?;
        check_indices("values", &plan.values, input.len())?;
        check_count("state", plan.state.len())?;
        check_count("outputs", plan.outputs.len())?;
        if plan.state.is_empty() {
            return Err("it has no state: name at least one column, or be a transformer".to_owned());
        }
        check_names("state", plan.state.iter().map(|field| field.name.as_str()))?;
        // Keys and outputs are the columns of one result.
        let keys = plan.keys.iter().filter_map(|key| input.get(*key));
        check_names("keys and outputs", keys.chain(&plan.outputs).map(|field| field.name.as_str()))?;
        if plan.keys.is_empty() && plan.outputs.is_empty() {
            return Err("it has neither keys nor outputs, so its result has no column".to_owned());
        }
        Ok(())
    };
    check().map_err(|defect| format!("the fold's plan: {defect}"))
}

fn check_indices(list: &str, indices: &[usize], columns: usize) -> Result<(), String> {
    check_count(list, indices.len())?;
    match indices.iter().find(|index| **index >= columns) {
        Some(index) => Err(format!("its {list} name column {index}, and there are {columns}, from 0")),
        None => Ok(()),
    }
}

fn check_count(list: &str, count: usize) -> Result<(), String> {
    if count > MAX_COLUMNS {
        return Err(format!("its {list} are {count} columns and may be {MAX_COLUMNS}"));
    }
    Ok(())
}

fn check_names<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(format!("its {list} have a column without a name"));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("its {list} have a name of {} bytes, which may have {MAX_NAME_BYTES}", name.len()));
        }
        if name.contains(char::is_control) {
            return Err(format!("its {list} have a name with a control character: {name:?}"));
        }
        if !seen.insert(name) {
            return Err(format!("its {list} have two columns `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
