//! Which manifest of an index runs on this node, chosen exactly as containerd chooses it
//! (containerd-handoff.md 1.4.8; `Normalize` and `platformVector` of containerd's platforms).

use crate::manifest::{Descriptor, Index};

/// An operating system and an architecture, normalised as containerd's platforms package does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl Platform {
    /// A platform as written in an index, a configuration, or by this node's own tools.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let (architecture, variant) =
            normalize(&architecture.to_lowercase(), &variant.to_lowercase());
        Self { os, architecture, variant }
    }

    /// Whether an image for `self` runs on `host`.
    #[must_use]
    pub fn runs_on(&self, host: &Self) -> bool {
        self.rank(host).is_some()
    }

    /// How far down in the host's order of preference an image for `self` stands.
    fn rank(&self, host: &Self) -> Option<usize> {
        if self.os != host.os {
            return None;
        }
        let own = (self.architecture.as_str(), self.variant.as_str());
        host.preferences().iter().position(|preference| *preference == own)
    }

    /// The architectures that run on this host, best first.
    fn preferences(&self) -> Vec<(&str, &str)> {
        const ARM: [(&str, &str); 4] = [("arm", "v8"), ("arm", "v7"), ("arm", "v6"), ("arm", "v5")];
        let own = (self.architecture.as_str(), self.variant.as_str());
        match own {
            ("amd64", _) => vec![own, ("386", "")],
            ("arm64", _) => std::iter::once(own).chain(ARM).collect(),
            ("arm", _) => ARM.into_iter().skip_while(|lower| *lower != own).collect(),
            _ => vec![own],
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// The manifests of `index` that may run on `host`, best first; those without a platform last (their
/// configuration tells).
#[must_use]
pub fn candidates<'a>(index: &'a Index, host: &Platform) -> Vec<&'a Descriptor> {
    let mut ranked: Vec<(usize, &Descriptor)> = index
        .manifests
        .iter()
        .filter_map(|descriptor| match &descriptor.platform {
            Some(platform) => platform.rank(host).map(|rank| (rank, descriptor)),
            None => Some((usize::MAX, descriptor)),
        })
        .collect();
    // The sort is stable: among equals the first of the index is taken.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, descriptor)| descriptor).collect()
}

#[cfg(test)]
mod tests {
    use super::{Platform, candidates};
    use crate::digest::Digest;
    use crate::manifest::{Descriptor, Index};

    fn host(architecture: &str) -> Platform {
        Platform::new("linux", architecture, "")
    }

    #[test]
    fn images_run_where_containerd_says() {
        for (image, on, expected) in [
            (("linux", "amd64", ""), "amd64", true),
            (("linux", "x86_64", "v1"), "amd64", true),
            (("linux", "amd64", "v2"), "amd64", false),
            (("linux", "386", ""), "amd64", true),
            (("windows", "amd64", ""), "amd64", false),
            (("linux", "arm64", "v8"), "aarch64", true),
            (("linux", "arm64", ""), "arm64", true),
            (("linux", "arm", "v7"), "arm64", true),
            (("linux", "arm", ""), "arm64", true),
            (("linux", "armel", ""), "arm64", true),
            (("linux", "arm", "v8"), "arm", false),
            (("linux", "arm", "v6"), "arm", true),
            (("linux", "arm64", ""), "arm", false),
            (("linux", "s390x", ""), "amd64", false),
            (("Linux", "AMD64", ""), "amd64", true),
            (("unknown", "unknown", ""), "amd64", false),
        ] {
            let platform = Platform::new(image.0, image.1, image.2);
            assert_eq!(platform.runs_on(&host(on)), expected, "{platform} on {on}");
        }
    }

    #[test]
    fn the_best_match_comes_first_and_none_last() {
        let entry = |name: &str, platform: Option<(&str, &str)>| Descriptor {
            media_type: name.to_owned(),
            digest: Digest::sha256(name.as_bytes()),
            size: 1,
            platform: platform
                .map(|(architecture, variant)| Platform::new("linux", architecture, variant)),
        };
        let index = Index {
            media_type: String::new(),
            manifests: vec![
                entry("none", None),
                entry("v6", Some(("arm", "v6"))),
                entry("second", Some(("arm64", "v8"))),
                entry("386", Some(("386", ""))),
                entry("third", Some(("arm64", ""))),
                entry("v7", Some(("arm", "v7"))),
            ],
        };
        let chosen = |on: &str| {
            let descriptors = candidates(&index, &host(on));
            descriptors.iter().map(|found| found.media_type.clone()).collect::<Vec<_>>()
        };
        assert_eq!(chosen("arm64"), ["second", "third", "v7", "v6", "none"]);
        assert_eq!(chosen("amd64"), ["386", "none"]);
        assert_eq!(chosen("riscv64"), ["none"]);
    }
}
