//! The allocator of the whole process, its C parts included.
//!
//! glibc gives the large blocks of each batch back to the kernel and faults them in again, which costs more than the work on the rows
//! in them; and librdkafka allocates in one thread what it frees in another, for which glibc takes a lock each time. So the C parts
//! use the same one, by the crate's feature `override`.

#![allow(unsafe_code, reason = "the allocator's options are set by a C function")]

use std::ffi::c_long;

/// `mi_option_purge_delay` of mimalloc's `mi_option_e`.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Time for which freed memory is kept for the next allocation, in milliseconds. Shorter: with 0, the gift job takes 1.7 times
/// the processor time, as memory is faulted in again and again. Longer: with the allocator's own second, five pipelines that
/// catch up hold 160 MB instead of some 140.
const PURGE_AFTER_MS: c_long = 100;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sets how it keeps memory, unless the environment does.
pub fn set_up() {
    // SAFETY: the option is one of the allocator's, which takes any number, from any thread.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_AFTER_MS) }
}
