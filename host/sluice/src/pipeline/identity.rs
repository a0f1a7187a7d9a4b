//! Topics that differ from the one that a checkpoint is of.

use sluice_connectors::source::SourceError;

use super::trouble::Trouble;

/// Converts the error of a source that can't be opened to the pipeline's trouble. If the topic is another one than the
/// checkpoint's, the text names the commands that say which of the two is right.
pub fn trouble(pipeline: &str, error: SourceError) -> Trouble {
    match error {
        SourceError::Unavailable(reason) => Trouble::Away(reason),
        SourceError::Unusable(reason) => Trouble::wrong(reason),
        SourceError::Held(reason) => Trouble::Held(reason),
        another @ SourceError::Another { .. } => Trouble::wrong(format!("{another}. {}", remedies(pipeline))),
    }
}

fn remedies(pipeline: &str) -> String {
    format!(
        "Either bring the old one back; or stop the service and say which it is: `sluice state reset {pipeline}` forgets the states \
         and begins with the new one; `sluice state adopt {pipeline}` goes on at the same offsets, as in a copy of the same \
         records; `sluice state adopt {pipeline} --from earliest` keeps the states and adds all records of the new one to them"
    )
}
