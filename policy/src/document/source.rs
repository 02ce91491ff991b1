//! Where keys and certificates come from: a file, several files, or text inside policy.json.

use std::path::{Path, PathBuf};

use super::error::PolicyError;
use crate::strict::{Node, Object};

/// Where trust material comes from. There is always at least one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Inline in policy.json, decoded from base64.
    Data(Vec<Vec<u8>>),
    /// Files. [`Policy::relative_paths`](super::Policy::relative_paths) finds those whose path is
    /// not absolute.
    Paths(Vec<PathBuf>),
}

/// How a member of policy.json names a source.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Base64.
    Data,
    /// A list of base64 texts.
    Datas,
    /// A path.
    Path,
    /// A list of paths.
    Paths,
}

impl Source {
    /// The source that one of the `members` gives.
    pub(super) fn require(
        object: &Object<'_>,
        members: &'static [(&'static str, Form)],
    ) -> Result<Self, PolicyError> {
        Self::optional(object, members)?.ok_or_else(|| PolicyError::NoSource {
            path: object.path(),
            expected: members.iter().map(|(key, _form)| *key).collect(),
        })
    }

    /// The source that one of the `members` gives, if any of them is present. Presence counts, not
    /// the value: containers/image drops the Rekor requirement of `"rekorPublicKeyPath": ""`.
    pub(super) fn optional(
        object: &Object<'_>,
        members: &'static [(&'static str, Form)],
    ) -> Result<Option<Self>, PolicyError> {
        let mut found: Option<(&'static str, Self)> = None;
        for (key, form) in members {
            let Some(node) = object.get(key) else { continue };
            if let Some((first, _source)) = found {
                return Err(PolicyError::Conflict { path: object.path(), first, second: key });
            }
            found = Some((key, Self::parse(node, *form)?));
        }
        Ok(found.map(|(_key, source)| source))
    }

    fn parse(node: Node<'_>, form: Form) -> Result<Self, PolicyError> {
        match form {
            Form::Data => Ok(Self::Data(vec![data(node)?])),
            Form::Datas => list(node, "a base64 text", data).map(Self::Data),
            Form::Path => Ok(Self::Paths(vec![path(node)?])),
            Form::Paths => list(node, "a path", path).map(Self::Paths),
        }
    }

    /// The files, if it names files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = match self {
            Self::Data(_) => &[][..],
            Self::Paths(paths) => paths,
        };
        paths.iter().map(PathBuf::as_path)
    }
}

fn path(node: Node<'_>) -> Result<PathBuf, PolicyError> {
    non_empty(node, "a path").map(PathBuf::from)
}

/// A string with at least one character.
pub(super) fn non_empty(node: Node<'_>, expected: &'static str) -> Result<String, PolicyError> {
    let text = node.string()?;
    if text.is_empty() {
        return Err(PolicyError::Empty { path: node.path(), expected });
    }
    Ok(text.to_owned())
}

fn data(node: Node<'_>) -> Result<Vec<u8>, PolicyError> {
    let data = node.bytes()?;
    if data.is_empty() {
        return Err(PolicyError::Empty { path: node.path(), expected: "a base64 text" });
    }
    Ok(data)
}

fn list<T>(
    node: Node<'_>,
    expected: &'static str,
    item: fn(Node<'_>) -> Result<T, PolicyError>,
) -> Result<Vec<T>, PolicyError> {
    let items = node.list()?.map(item).collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        return Err(PolicyError::Empty { path: node.path(), expected });
    }
    Ok(items)
}
