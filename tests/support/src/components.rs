//! Components whose type is at fault, in the text format: no compiler has to make them.

/// A program of the command line, as most compilers make it.
pub const WASI: &str = r#"(component
  (import "wasi:cli/environment@0.2.6" (instance))
  (import "sluice:operator/log@0.1.0" (instance))
  (import "wasi:random/random@0.2.6" (instance))
  (import "now" (func)))"#;

/// An import of a version that isn't there yet.
pub const OTHER_VERSION_IMPORTED: &str = r#"(component (import "sluice:operator/log@0.3.0" (instance)))"#;

/// An export of such a version.
pub const OTHER_VERSION_EXPORTED: &str =
    r#"(component (instance $i) (export "sluice:operator/transform@1.0.0" (instance $i)))"#;

/// An import of the right package that no version of it has.
pub const UNKNOWN_INTERFACE: &str = r#"(component (import "sluice:operator/clock@0.1.0" (instance)))"#;

/// A component for another host.
pub const OTHER_WORLD: &str = r#"(component (instance $i) (export "someone:else/run@1.0.0" (instance $i)))"#;

/// A component without imports and exports.
pub const NOTHING: &str = "(component)";

/// `open` and `process` without parameters.
pub const OTHER_TYPES: &str = r#"(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $t (export "open" (func $f)) (export "process" (func $f)))
  (export "sluice:operator/transform@0.1.0" (instance $t)))"#;

/// No function at all behind the right name.
pub const NO_FUNCTIONS: &str = r#"(component (instance $i) (export "sluice:operator/transform@0.1.0" (instance $i)))"#;

/// A log with a parameter too many.
pub const OTHER_IMPORT_TYPES: &str = r#"(component
  (import "sluice:operator/log@0.1.0" (instance (export "log" (func (param "message" string)))))
  (instance $i) (export "sluice:operator/transform@0.1.0" (instance $i)))"#;

/// Code that no validator lets through.
pub const INVALID: &str = r#"(component
  (core module $m (func (export "f") (result i32)))
  (core instance $i (instantiate $m))
  (instance $t) (export "sluice:operator/transform@0.1.0" (instance $t)))"#;

/// A component whose functions exist and whose start does `start`.
pub fn starting(start: &str) -> String {
    format!(
        r#"(component
  (core module $m (memory 1) (func $start {start}) (start $start) (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $t (export "open" (func $f)) (export "process" (func $f)))
  (export "sluice:operator/transform@0.1.0" (instance $t)))"#
    )
}
