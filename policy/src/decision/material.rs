//! The content of the files that a requirement names.

use super::{Code, Rejection, TrustMaterial};
use crate::document::Source;

/// Each piece of a source, with its name for messages. One file that cannot be read denies, even if
/// another would do (policy-semantics.md 1.3).
pub(super) fn pieces<'a>(
    source: &'a Source,
    material: &'a TrustMaterial,
) -> Result<Vec<(String, &'a [u8])>, Rejection> {
    let unread = |why: String| Rejection::new(Code::KeyFileUnreadable, why);
    match source {
        Source::Data(pieces) => {
            let name = "the data in policy.json";
            Ok(pieces.iter().map(|piece| (name.to_owned(), piece.as_slice())).collect())
        }
        Source::Paths(paths) => paths
            .iter()
            .map(|path| {
                let name = path.display().to_string();
                let content =
                    material.get(path).ok_or_else(|| unread(format!("{name} was not read")))?;
                let content = content.as_ref().map_err(|why| unread(why.clone()))?;
                Ok((name, content.as_slice()))
            })
            .collect(),
    }
}
