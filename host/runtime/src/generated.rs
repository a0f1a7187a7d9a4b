//! The types that are generated from the contract, `wit/`, which has their documentation: a module for each version.

#![allow(missing_docs, unsafe_code, reason = "as it is generated")]

pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1",
        world: "aggregator",
        // Buffers are lent to the guest as slices, not copied into vectors first.
        ownership: Borrowing { duplicate_if_necessary: true },
        // A host function may trap on what it is given.
        imports: { default: trappable },
    });
}

pub(crate) mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "aggregator",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}
