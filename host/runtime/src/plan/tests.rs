use proptest::prelude::*;
use sluice_core::Kind;

use super::*;

fn fields(names: &[&str]) -> Vec<Field> {
    names.iter().map(|name| Field::new(*name, Kind::Int64)).collect()
}

fn indices() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..6_usize, 0..5)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab\n]{0,2}", 0..4)
}

proptest! {
    #[test]
    fn what_passes_can_be_indexed_and_named(reads in indices(), names in names(), origins in indices(), input in 0..6_usize) {
        let origin = |index: &usize| if *index == 5 { Origin::Computed(Kind::Utf8) } else { Origin::Input(*index) };
        let outputs: Vec<_> = names.into_iter().zip(origins.iter().map(origin)).collect();
        let plan = TransformPlan { reads, outputs };
        if check_transform(&plan, input).is_ok() {
            let input = vec![Field::new("in", Kind::Int64); input];
            let after = plan.output_fields(&input);
            prop_assert!(plan.reads.iter().all(|read| input.get(*read).is_some()));
            let distinct: HashSet<_> = after.iter().map(|field| &field.name).collect();
            prop_assert!(!after.is_empty() && distinct.len() == after.len() && !distinct.contains(&String::new()));
        }
    }

    #[test]
    fn a_folds_result_has_distinct_columns(keys in indices(), values in indices(), outputs in names()) {
        let input = fields(&["a", "b", "c", "d"]);
        let outputs: Vec<_> = outputs.into_iter().map(|name| Field::new(name, Kind::Int64)).collect();
        let plan = FoldPlan { keys, values, state: fields(&["s"]), state_version: 1, outputs };
        if check_fold(&plan, &input).is_ok() {
            let result: Vec<_> = plan.keys.iter().map(|key| &input[*key].name).chain(plan.outputs.iter().map(|o| &o.name)).collect();
            prop_assert_eq!(result.iter().collect::<HashSet<_>>().len(), result.len());
            prop_assert!(!result.is_empty() && plan.values.iter().all(|value| *value < input.len()));
        }
    }
}

#[test]
fn one_group_in_all_is_a_plan() {
    let plan =
        FoldPlan { keys: vec![], values: vec![0], state: fields(&["s"]), state_version: 0, outputs: fields(&["s"]) };
    assert_eq!(check_fold(&plan, &fields(&["a"])), Ok(()));
}

#[test]
fn a_column_may_be_read_twice() {
    let plan = TransformPlan { reads: vec![0, 0], outputs: vec![("a".to_owned(), Origin::Input(0))] };
    assert_eq!(check_transform(&plan, 1), Ok(()));
}
