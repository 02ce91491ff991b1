//! The answer of `OpenShift`'s registry extension for signatures (policy-semantics.md 2.5).

use super::UntrustedSignature;
use crate::strict::{JsonError, json};

/// The header by which a registry offers the extension, and the value that says so.
pub const OFFER: (&str, &str) = ("x-registry-supports-signatures", "1");

/// The signatures of an answer, in its order. Entries of another version or type are passed over, as
/// containers/image does; what an entry is named says nothing.
///
/// # Errors
/// [`JsonError`] for an answer of another form.
pub fn parse(answer: &[u8]) -> Result<Vec<UntrustedSignature>, JsonError> {
    let document = json(answer)?;
    let object = document.root().object()?;
    let Some(list) = object.get("signatures").filter(|list| !list.is_null()) else {
        return Ok(Vec::new());
    };
    let mut signatures = Vec::new();
    for entry in list.list()? {
        let entry = entry.object()?;
        let version = entry.get("schemaVersion").map(|node| node.integer()).transpose()?;
        let kind = entry.get("type").map(|node| node.string()).transpose()?;
        let content = entry.get("content").map(|node| node.bytes()).transpose()?;
        if (version, kind) == (Some(2), Some("atomic")) {
            signatures.push(UntrustedSignature::Simple(content.unwrap_or_default()));
        }
    }
    Ok(signatures)
}

#[cfg(test)]
mod tests {
    use super::{UntrustedSignature, parse};

    #[test]
    fn only_atomic_signatures_of_version_2_count() {
        let simple = |bytes: &[u8]| UntrustedSignature::Simple(bytes.to_vec());
        for (answer, expected) in [
            ("{}", Some(vec![])),
            (r#"{"signatures":null}"#, Some(vec![])),
            (
                r#"{"signatures":[{"schemaVersion":2,"type":"atomic","content":"YQ==","more":1}]}"#,
                Some(vec![simple(b"a")]),
            ),
            (
                r#"{"signatures":[{"schemaVersion":1,"type":"atomic","content":"YQ=="}]}"#,
                Some(vec![]),
            ),
            (
                r#"{"signatures":[{"schemaVersion":2,"type":"other","content":"YQ=="}]}"#,
                Some(vec![]),
            ),
            (r#"{"signatures":[{"schemaVersion":2,"content":"YQ=="}]}"#, Some(vec![])),
            (r#"{"signatures":[{"schemaVersion":"2","type":"atomic","content":"YQ=="}]}"#, None),
            (r#"{"signatures":[{"schemaVersion":2,"type":"atomic","content":"%"}]}"#, None),
            (r#"{"signatures":{}}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(parse(answer.as_bytes()).ok(), expected, "{answer}");
        }
    }
}
