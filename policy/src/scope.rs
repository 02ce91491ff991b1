//! Which names of policy.json and registries.d speak for a reference, most specific first.

use crate::reference::{PullReference, Reference};

/// The scopes to look up for `reference`, in order: the full reference, its repository, each parent
/// down to `host[:port]`, then `*.` wildcards of the host without its port
/// (containers-policy.json(5), "docker:"; policy-semantics.md 1.4). `*.example.com` is never a
/// candidate for `example.com` itself, and `*` for nothing.
#[must_use]
pub fn candidates(reference: &Reference) -> Vec<String> {
    let mut scopes = Vec::new();
    if reference.has_tag_or_digest() {
        scopes.push(reference.to_string());
    }
    let repository = reference.repository();
    let mut name = repository.as_str();
    scopes.push(name.to_owned());
    while let Some((parent, _child)) = name.rsplit_once('/') {
        scopes.push(parent.to_owned());
        name = parent;
    }
    let mut host = name.split_once(':').map_or(name, |(host, _port)| host);
    while let Some((_label, parent)) = host.split_once('.') {
        scopes.push(format!("*.{parent}"));
        host = parent;
    }
    scopes
}

/// An image for which `scope` is looked up; none if no image can have such a name.
#[must_use]
pub fn sample(scope: &str) -> Option<PullReference> {
    let names = match scope.strip_prefix("*.") {
        Some(parent) => vec![format!("any.{parent}/any")],
        None => vec![scope.to_owned(), format!("{scope}/any")],
    };
    names.iter().find_map(|name| {
        let reference = PullReference::parse(name).ok()?;
        candidates(reference.reference()).iter().any(|it| it == scope).then_some(reference)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_that_an_image_can_have() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (scope, expected) in [
            ("example.com", Some("example.com/any:latest")),
            ("example.com:5000", Some("example.com:5000/any:latest")),
            ("example.com/team", Some("example.com/team:latest")),
            ("example.com/team/app:1", Some("example.com/team/app:1")),
            (&format!("localhost/app@{digest}"), Some(&*format!("localhost/app@{digest}"))),
            ("docker.io", Some("docker.io/library/docker.io:latest")),
            ("docker.io/library", Some("docker.io/library/library:latest")),
            ("*.example.com", Some("any.example.com/any:latest")),
            ("", None),
            ("*", None),
            ("*.example.com:5000", None),
            ("*.example.com/team", None),
            ("example.*", None),
            ("busybox", None),
            ("library/busybox", None),
            ("docker.io/busybox", Some("docker.io/busybox/any:latest")),
            ("index.docker.io/library/busybox", None),
            ("Example.com/team", None),
            ("example.com/Team", None),
            ("example.com/team/", None),
            ("https://example.com", None),
            (&format!("example.com/app:1@{digest}"), None),
        ] {
            let found = sample(scope).map(|reference| reference.to_string());
            assert_eq!(found.as_deref(), expected, "{scope}");
        }
    }

    #[test]
    fn from_the_reference_down_to_the_top_level_domain() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("host/a@{digest}");
        for (text, expected) in [
            (
                "a.b.example.com:8443/ns/app:1",
                &[
                    "a.b.example.com:8443/ns/app:1",
                    "a.b.example.com:8443/ns/app",
                    "a.b.example.com:8443/ns",
                    "a.b.example.com:8443",
                    "*.b.example.com",
                    "*.example.com",
                    "*.com",
                ][..],
            ),
            ("localhost/app:1", &["localhost/app:1", "localhost/app", "localhost"]),
            ("localhost/app", &["localhost/app", "localhost"]),
            (
                &pinned,
                &[
                    &format!("docker.io/{pinned}"),
                    "docker.io/host/a",
                    "docker.io/host",
                    "docker.io",
                    "*.io",
                ],
            ),
            ("10.0.0.1/a", &["10.0.0.1/a", "10.0.0.1", "*.0.0.1", "*.0.1", "*.1"]),
        ] {
            let reference = Reference::parse(text).expect("a reference");
            assert_eq!(candidates(&reference), expected, "{text}");
        }
    }
}
