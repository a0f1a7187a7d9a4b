//! The kinds of columns in each version of the contract.

use sluice_core::{Decimal, Kind};
use wasmtime::format_err;

/// The kinds that a version has without parameters, both ways.
macro_rules! plain {
    ($($kind:ident),+) => {
        fn plain(kind: Kind) -> Option<types::Kind> {
            match kind {
                $(Kind::$kind => Some(types::Kind::$kind),)+
                _ => None,
            }
        }

        fn core_plain(kind: types::Kind) -> Option<Kind> {
            match kind {
                $(types::Kind::$kind => Some(Kind::$kind),)+
                #[allow(unreachable_patterns, reason = "a version may have no others")]
                _ => None,
            }
        }
    };
}

pub(super) mod v0_1 {
    use super::*;
    use crate::generated::v0_1::sluice::operator::types;

    plain!(Boolean, Int64, Float64, Utf8, Binary, Timestamp);

    /// The kind as the guest knows it; none if it doesn't.
    pub(in super::super) fn wit_kind(kind: Kind) -> Option<types::Kind> {
        plain(kind)
    }

    /// The kind that the guest named.
    pub(in super::super) fn core_kind(kind: types::Kind) -> wasmtime::Result<Kind> {
        core_plain(kind).ok_or_else(|| format_err!("it named a kind that there isn't"))
    }
}

pub(super) mod v0_2 {
    use super::*;
    use crate::generated::v0_2::sluice::operator::types;

    plain!(Boolean, Int64, Float64, Utf8, Binary, Timestamp, Date);

    /// The kind as the guest knows it; none if it doesn't.
    pub(in super::super) fn wit_kind(kind: Kind) -> Option<types::Kind> {
        match kind {
            Kind::Decimal(decimal) => {
                let (precision, scale) = (decimal.precision(), decimal.scale());
                Some(types::Kind::Decimal(types::Decimal { precision, scale }))
            }
            kind => plain(kind),
        }
    }

    /// The kind that the guest named. An error if it is a decimal of no digits, of too many, or of more after the point than in all.
    pub(in super::super) fn core_kind(kind: types::Kind) -> wasmtime::Result<Kind> {
        if let types::Kind::Decimal(types::Decimal { precision, scale }) = kind {
            let decimal = Decimal::new(precision, scale).map(Kind::Decimal);
            return decimal.ok_or_else(|| {
                format_err!(
                    "its plan has a decimal({precision}, {scale}), and a decimal has 1 to 38 digits, of which no more than all \
                     are after the point"
                )
            });
        }
        core_plain(kind).ok_or_else(|| format_err!("it named a kind that there isn't"))
    }
}
