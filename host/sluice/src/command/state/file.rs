//! A checkpoint as a file: a line for the head, a line for each group, and one that says how many groups there are, so that a
//! file that was cut short isn't taken for a whole one.

use std::io::{BufRead, Write};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore};
use sluice_core::printable_json;

use super::group::Groups;
use super::{PAGE, head_of, pages};

/// The topic of a checkpoint that is only partly imported: no pipeline reads it, so that none goes on from half of its groups.
const UNFINISHED: &str = "(an import that did not finish)";

#[derive(Serialize, Deserialize)]
struct Head {
    checkpoint: Checkpoint,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    groups: usize,
}

/// Writes the pipeline's checkpoint.
pub(super) fn export(store: &dyn CheckpointStore, pipeline: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let head = Head { checkpoint: head_of(store, pipeline)? };
    writeln!(out, "{}", printable_json(&serde_json::to_string(&head)?))?;
    let mut count = 0;
    if let Some(groups) = Groups::of(&head.checkpoint) {
        pages(store, pipeline, usize::MAX, |page| {
            count += page.len();
            super::print(out, &groups.show(page)?)
        })?;
    }
    Ok(writeln!(out, "{}", serde_json::to_string(&Trailer { groups: count })?)?)
}

/// Makes the pipeline's checkpoint of these lines; answers how many groups it has.
pub(super) fn import(store: &dyn CheckpointStore, pipeline: &str, lines: impl BufRead) -> anyhow::Result<usize> {
    if store.head(pipeline)?.is_some_and(|head| head.topic != UNFINISHED && !head.is_mark()) {
        bail!("the pipeline {pipeline} has a checkpoint; forget it first with `sluice state reset {pipeline}`");
    }
    store.reset(pipeline)?;
    let mut lines = (1..).zip(lines.lines());
    let Some((_, first)) = lines.next() else { bail!("it is empty") };
    let Head { checkpoint } = serde_json::from_str(&first?).context("line 1")?;
    let groups = Groups::of(&checkpoint);
    let unfinished = Checkpoint { topic: UNFINISHED.to_owned(), ..Checkpoint::default() };
    let (mut changes, mut count, mut end) = (Changes::default(), 0, None);
    for (number, line) in lines {
        let line = line?;
        if let Some(Trailer { .. }) = end {
            bail!("line {number}: follows the line that is the last of an export");
        }
        end = serde_json::from_str(&line).ok();
        if end.is_some() {
            continue;
        }
        let Some(groups) = &groups else { bail!("line {number}: it is a group, but line 1 has no form of groups") };
        let (key, state) = groups.read(&line).with_context(|| format!("line {number}"))?;
        changes.push(&key, Some(&state));
        count += 1;
        if changes.len() == PAGE {
            store.commit(pipeline, &unfinished, &std::mem::take(&mut changes))?;
        }
    }
    match end {
        Some(Trailer { groups }) if groups == count => {}
        Some(Trailer { groups }) => bail!("it has {count} groups, and its last line says that there are {groups}"),
        None => bail!("it ends after {count} groups without the last line of an export: it was cut short"),
    }
    store.commit(pipeline, &checkpoint, &changes)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::checkpoint::StateForm;
    use sluice_core::checkpoint::memory::MemoryStore;
    use sluice_core::{Field, Kind, row};
    use std::sync::Arc;

    fn written(groups: i64) -> MemoryStore {
        let form = StateForm {
            keys: vec![Field::new("room_id", Kind::Int64)],
            version: 2,
            columns: vec![Field::new("total", Kind::Int64)],
            window: None,
        };
        let store = MemoryStore::default();
        let mut changes = Changes::default();
        for room in 0..groups {
            let column = || vec![Arc::new(arrow_array::Int64Array::from(vec![room])) as arrow_array::ArrayRef];
            let (mut key, mut state) = (Vec::new(), Vec::new());
            assert!(row::encode(&column(), 0, &mut key));
            assert!(sluice_core::fold::encode_stored(room, 2, &column(), 0, &mut state));
            changes.push(&key, Some(&state));
        }
        let head = Checkpoint { topic: "gifts".to_owned(), form: Some(form), commits: 3, ..Checkpoint::default() };
        store.commit("a", &head, &changes).unwrap();
        store
    }

    fn exported(store: &MemoryStore) -> Vec<u8> {
        let mut file = Vec::new();
        export(store, "a", &mut file).unwrap();
        file
    }

    #[test]
    fn an_exported_checkpoint_imported_elsewhere_is_the_same_and_under_any_name() {
        for groups in [0, 1, PAGE as i64, PAGE as i64 + 1] {
            let (from, to) = (written(groups), MemoryStore::default());
            assert_eq!(import(&to, "b", &exported(&from)[..]).unwrap(), groups as usize);
            assert_eq!(to.head("b").unwrap(), from.head("a").unwrap());
            assert_eq!(to.scan("b", None, usize::MAX).unwrap(), from.scan("a", None, usize::MAX).unwrap());
        }
    }

    #[test]
    fn a_file_that_was_cut_short_or_has_a_group_twice_is_refused() {
        let whole = exported(&written(PAGE as i64 + 5));
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let refused = |lines: Vec<&[u8]>| {
            let to = MemoryStore::default();
            let refused = import(&to, "a", &lines.concat()[..]).unwrap_err().to_string();
            assert!(to.head("a").unwrap().is_none_or(|head| head.topic == UNFINISHED));
            refused
        };
        for kept in [1, 2, PAGE, lines.len() - 1] {
            let said = refused(lines[..kept].to_vec());
            assert!(said.contains("cut short"), "{said}");
        }
        let twice = [&lines[..2], &lines[1..]].concat();
        assert!(refused(twice).contains(&format!("has {} groups", PAGE + 6)));
        let two = [&lines[..], &lines[1..]].concat();
        assert!(refused(two).contains("follows the line that is the last"));
    }

    #[test]
    fn an_import_over_a_checkpoint_is_refused_and_changes_nothing() {
        let store = written(3);
        let file = exported(&store);
        let refused = import(&store, "a", &file[..]).unwrap_err().to_string();
        assert!(refused.contains("sluice state reset a"), "{refused}");
        assert_eq!(exported(&store), file);
    }

    #[test]
    fn an_import_that_breaks_off_leaves_no_checkpoint_that_a_pipeline_goes_on_from_and_can_be_repeated() {
        let from = written(PAGE as i64 + 5);
        let mut broken = exported(&from);
        broken.truncate(broken.len() - b"{\"groups\":8197}\n".len());
        broken.extend(b"{\"key\":{}}\n");
        let to = MemoryStore::default();
        let refused = format!("{:#}", import(&to, "a", &broken[..]).unwrap_err());
        assert!(refused.contains(&format!("line {}", PAGE + 7)), "{refused}");
        assert_eq!(to.head("a").unwrap().unwrap().topic, UNFINISHED);
        import(&to, "a", &exported(&from)[..]).unwrap();
        assert_eq!(exported(&to), exported(&from));
    }
}
