//! Why a row is refused, and why a batch is.

use std::fmt;

/// Boxed, so that the answer for a row is one pointer, which no value of the good path has to make room for and which an
/// optimiser sees is there: a `String` in its place costs the loops over rows a third of their speed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    text: String,
}

/// Why a [`Transform`](crate::Transform) refuses a row. The other rows of the batch go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject(Box<Reason>);

impl Reject {
    /// A row that is refused for this reason: a sentence that names the column and the value.
    #[cold]
    #[inline(never)]
    pub fn because(reason: impl Into<String>) -> Reject {
        Reject(Box::new(Reason { text: reason.into() }))
    }

    /// A row that is refused because of what is in this column.
    #[cold]
    #[inline(never)]
    pub fn column(name: &str, problem: impl fmt::Display) -> Reject {
        Reject::because(format!("`{name}`: {problem}"))
    }

    pub(crate) fn into_reason(self) -> String {
        self.0.text
    }
}

/// Why a [`Fold`](crate::Fold) refuses a batch: the operator can't go on with it, whatever the row. Made of a text with
/// `?` or `into`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Reason>);

impl From<String> for Fault {
    #[cold]
    #[inline(never)]
    fn from(text: String) -> Fault {
        Fault(Box::new(Reason { text }))
    }
}

impl From<&str> for Fault {
    #[cold]
    #[inline(never)]
    fn from(text: &str) -> Fault {
        Fault::from(text.to_owned())
    }
}

/// What the contract has for an operator's error.
impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.0.text
    }
}

macro_rules! shown_as_its_reason {
    ($($type:ty),*) => {
        $(
            impl fmt::Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0.text)
                }
            }

            impl std::error::Error for $type {}
        )*
    };
}

shown_as_its_reason!(Reject, Fault);
