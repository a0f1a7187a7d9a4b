//! Limits of this build's Kafka client, reported before librdkafka would report them in its own words.

use std::collections::BTreeMap;

use crate::config::reader::Item;

/// The SASL mechanisms that are built in.
const MECHANISMS: &str = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";

/// Mechanisms that people use and this build can't, with the reason.
const MISSING: [(&str, &str); 3] = [
    ("GSSAPI", "GSSAPI (Kerberos), which this build has no library for"),
    ("OAUTHBEARER", "OAUTHBEARER, for which this build fetches no tokens (neither by OIDC nor otherwise)"),
    ("AWS_MSK_IAM", "AWS_MSK_IAM, which librdkafka doesn't have"),
];

/// Checks that the client can do what the properties ask for; otherwise notes a problem.
pub fn is_able(item: &Item<'_>, properties: &BTreeMap<String, String>) -> bool {
    let missing = missing(properties);
    if let Some(missing) = &missing {
        item.problem(missing, format!("\"sasl.mechanism\" = one of {MECHANISMS}"));
    }
    missing.is_none()
}

/// Returns a phrase about the missing ability. It quotes only words of this file, since the properties may be secret.
fn missing(properties: &BTreeMap<String, String>) -> Option<String> {
    let said = |name: &str| properties.get(name).map(|value| value.trim().to_ascii_uppercase());
    if !said("security.protocol")?.starts_with("SASL_") {
        return None;
    }
    let Some(mechanism) = said("sasl.mechanism").or_else(|| said("sasl.mechanisms")) else {
        return Some(
            "SASL without a mechanism, which means GSSAPI (Kerberos): this build has no library for it".to_owned(),
        );
    };
    if ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&mechanism.as_str()) {
        return None;
    }
    if mechanism == "OAUTHBEARER" && said("enable.sasl.oauthbearer.unsecure.jwt").as_deref() == Some("TRUE") {
        return None;
    }
    let known = MISSING.iter().find(|(name, _)| *name == mechanism);
    Some(known.map_or("a SASL mechanism that this build doesn't have", |(_, what)| what).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(properties: &[(&str, &str)]) -> Option<String> {
        missing(&properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_the_client_can_do_is_taken() {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "scram-sha-512"] {
            assert_eq!(said(&[("security.protocol", "SASL_SSL"), ("sasl.mechanisms", mechanism)]), None);
        }
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("security.protocol", "ssl")]), None);
        // Without SASL nobody looks at it.
        assert_eq!(said(&[("sasl.mechanism", "GSSAPI")]), None);
    }

    #[test]
    fn what_it_cant_is_named() {
        let asked =
            |mechanism| said(&[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", mechanism)]).unwrap();
        assert!(asked("GSSAPI").contains("Kerberos"));
        assert!(asked("OAUTHBEARER").contains("OIDC"));
        assert!(asked("AWS_MSK_IAM").contains("librdkafka"));
        assert!(!asked("QJXZ").contains("QJXZ"));
        assert!(said(&[("security.protocol", "SASL_SSL")]).unwrap().contains("Kerberos"));
    }
}
