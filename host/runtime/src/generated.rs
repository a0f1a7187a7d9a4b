//! The types that are generated from the contract, `wit/`, which has their documentation.

#![allow(missing_docs, unsafe_code, reason = "as it is generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "aggregator",
    // Buffers are lent to the guest as slices, not copied into vectors first.
    ownership: Borrowing { duplicate_if_necessary: true },
    // A host function may trap on what it is given.
    imports: { default: trappable },
});
