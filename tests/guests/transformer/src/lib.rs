//! A transformer that does what its configuration says: `{"do": "echo"}` answers every column as it came, the others are
//! at fault in the way that they are named for.

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "transformer" });
}
mod memory;
mod open;
mod process;

use std::sync::OnceLock;

use bindings::exports::sluice::operator::transform::{Guest, Plan, Produced};
use bindings::sluice::operator::types::{Batch, Field};

/// What the configuration of `open` said to do.
static BEHAVIOUR: OnceLock<String> = OnceLock::new();

struct Transformer;

impl Guest for Transformer {
    fn open(config: String, input: Vec<Field>) -> Result<Plan, String> {
        let behaviour = config.split('"').nth(3).unwrap_or("echo").to_owned();
        let plan = open::plan(&behaviour, &input);
        BEHAVIOUR.get_or_init(|| behaviour);
        plan
    }

    fn process(input: Batch) -> Result<Produced, String> {
        process::process(BEHAVIOUR.get().map_or("echo", String::as_str), input)
    }
}

/// Asks for memory until there is none.
fn hoard() -> ! {
    let mut hoarded = Vec::new();
    loop {
        hoarded.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

/// Does nothing for ever.
fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// Calls itself until the stack ends.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX { 0 } else { 1 + std::hint::black_box(recurse(depth + 1)) }
}

bindings::export!(Transformer with_types_in bindings);
