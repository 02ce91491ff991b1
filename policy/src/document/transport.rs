//! Which scopes a transport has (policy-semantics.md 1.3). Only docker images reach a node through
//! pullgate; the other transports are checked because podman and skopeo refuse the file otherwise.

use super::error::PolicyError;
use crate::digest::Digest;
use crate::strict::KeyPath;

/// Checks that `transport` has the scope. The empty scope stands for the whole transport and always
/// exists; docker, ostree and unknown transports have every scope.
pub(super) fn parse_scope(transport: &str, scope: &str, path: KeyPath) -> Result<(), PolicyError> {
    let (exists, expected) = match transport {
        "atomic" => (is_atomic(scope), "host[:port][/namespace[/stream[:tag]]]"),
        "containers-storage" => {
            (is_storage(scope), "[/root] or [driver@/root], optionally followed by an image")
        }
        "dir" | "oci" | "oci-archive" | "sif" => {
            (is_clean_path(scope), "an absolute path without `//`, `.`, `..` or trailing slash")
        }
        "docker-archive" | "tarball" => (false, "the empty scope"),
        "docker-daemon" => (scope.parse::<Digest>().is_err(), "a name, not an image ID"),
        _every_scope => (true, "any scope"),
    };
    if exists || scope.is_empty() { Ok(()) } else { Err(PolicyError::Scope { path, expected }) }
}

fn is_clean_path(scope: &str) -> bool {
    scope
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|name| !matches!(name, "" | "." | "..")))
}

fn is_atomic(scope: &str) -> bool {
    let mut names = scope.split('/').skip(1);
    let (namespace, stream) = (names.next(), names.next());
    names.next().is_none()
        && namespace.is_none_or(|name| !name.contains(':'))
        && stream.is_none_or(|name| name.matches(':').count() <= 1)
}

fn is_storage(scope: &str) -> bool {
    let Some((store, image)) = scope.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let root = match store.split_once('@') {
        Some(("", _)) => return false,
        Some((_driver, root)) => root,
        None => store,
    };
    let is_id = |text: &str| format!("sha256:{text}").parse::<Digest>().is_ok();
    let is_digest = |text: &str| text.parse::<Digest>().is_ok();
    let mut parts = image.splitn(3, '@').skip(1);
    let image_is_valid = match (parts.next(), parts.next()) {
        (None, _) => true,
        (Some(part), None) => is_id(part) || is_digest(part),
        (Some(digest), Some(id)) => is_digest(digest) && is_id(id),
    };
    root.starts_with('/') && image_is_valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict::json;

    #[test]
    fn scopes_of_transports() {
        let digest = Digest::sha256(b"");
        let id = digest.hex();
        for (transport, scope, exists) in [
            ("docker", "http://anything at all", true),
            ("unknown", "/a/../b", true),
            ("ostree", "/x", true),
            ("dir", "", true),
            ("dir", "/a/b", true),
            ("dir", "/", false),
            ("dir", "a", false),
            ("sif", "/a/./b", false),
            ("oci", "/a:tag", true),
            ("oci", "/a//b", false),
            ("oci", "/a/../b:tag", false),
            ("oci-archive", "/a/", false),
            ("docker-archive", "", true),
            ("docker-archive", "/a.tar", false),
            ("tarball", "x", false),
            ("docker-daemon", "docker.io/a:1", true),
            ("docker-daemon", "sha256:zz", true),
            ("docker-daemon", &digest.to_string(), false),
            ("atomic", "host:5000/ns/stream:tag", true),
            ("atomic", "host/ns:tag/x", false),
            ("atomic", "host/ns/stream:tag:tag", false),
            ("atomic", "host/ns/stream/more", false),
            ("containers-storage", "[/root]", true),
            ("containers-storage", "[overlay@/root]busybox:1", true),
            ("containers-storage", &format!("[/root]a@{id}"), true),
            ("containers-storage", &format!("[/root]a@{digest}"), true),
            ("containers-storage", &format!("[/root]a@{digest}@{id}"), true),
            ("containers-storage", &format!("[/root]a@{id}@{digest}"), false),
            ("containers-storage", "[/root]a@short", false),
            ("containers-storage", "[root]", false),
            ("containers-storage", "[@/root]", false),
            ("containers-storage", "[overlay@]", false),
            ("containers-storage", "[]", false),
            ("containers-storage", "[/root", false),
            ("containers-storage", "docker.io/a", false),
        ] {
            let path = json(b"{}").expect("valid").root().path();
            assert_eq!(parse_scope(transport, scope, path).is_ok(), exists, "{transport} {scope}");
        }
    }
}
