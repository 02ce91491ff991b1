//! Whether a verdict is enforced, or only said.

use std::collections::BTreeMap;

use super::{Admission, Basis};
use crate::digest::VerifiedBlob;
use crate::namespace::Namespace;
use crate::reference::PullReference;
use crate::scope;

/// What becomes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is recorded; the image enters all the same.
    Audit,
    /// The image does not enter.
    Enforce,
}

/// The mode of every image, as the node's configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes {
    /// Where nothing else is said.
    pub default: Mode,
    /// By scope, as in policy.json: the most specific one that exists decides alone.
    pub scopes: BTreeMap<String, Mode>,
    /// By the pod's namespace. It comes before any scope, as its policy comes before the node's.
    pub namespaces: BTreeMap<Namespace, Mode>,
}

impl Modes {
    /// Every refusal counts.
    #[must_use]
    pub const fn enforce() -> Self {
        Self { default: Mode::Enforce, scopes: BTreeMap::new(), namespaces: BTreeMap::new() }
    }

    /// Whether anything at all is let in whatever the policy says.
    #[must_use]
    pub fn audits(&self) -> bool {
        let said = self.scopes.values().chain(self.namespaces.values());
        [&self.default].into_iter().chain(said).any(|mode| *mode == Mode::Audit)
    }

    /// The leave to let `reference` in whatever the policy says, for a pod of `namespace`. None where
    /// the policy is enforced.
    #[must_use]
    pub fn auditing(
        &self,
        reference: &PullReference,
        namespace: Option<&Namespace>,
    ) -> Option<Auditing> {
        let of_scope = || {
            let scopes = scope::candidates(reference.reference());
            scopes.iter().find_map(|scope| self.scopes.get(scope)).copied()
        };
        let of_namespace = namespace.and_then(|name| self.namespaces.get(name)).copied();
        match of_namespace.or_else(of_scope).unwrap_or(self.default) {
            Mode::Audit => Some(Auditing { reference: reference.clone() }),
            Mode::Enforce => None,
        }
    }
}

/// Proof that the configuration says `audit` for this reference. Made only by [`Modes::auditing`].
///
/// ```compile_fail,E0451
/// use pullgate_policy::decision::Auditing;
/// fn forge(reference: pullgate_policy::reference::PullReference) -> Auditing {
///     Auditing { reference }
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Auditing {
    reference: PullReference,
}

impl Auditing {
    /// Admits the manifest without asking the policy: nothing may wait for a verdict that changes
    /// nothing. The verdict is sought beside it, for the record.
    pub fn admit(self, manifest: &VerifiedBlob) -> Admission {
        let manifest = manifest.digest().clone();
        Admission { reference: self.reference, manifest, basis: Basis::Audited }
    }
}

#[cfg(test)]
mod tests {
    use super::{Basis, Mode, Modes};
    use crate::digest::{Digest, Verifier};
    use crate::namespace::Namespace;
    use crate::reference::PullReference;

    #[test]
    fn the_namespace_comes_before_the_scope_and_the_scope_before_the_default() {
        let namespace = |name: &str| Namespace::parse(name).unwrap();
        let modes = |default| Modes {
            default,
            scopes: [
                ("a.example/team".to_owned(), Mode::Audit),
                ("a.example/team/app".to_owned(), Mode::Enforce),
                ("*.b.example".to_owned(), Mode::Audit),
            ]
            .into(),
            namespaces: [(namespace("lax"), Mode::Audit), (namespace("strict"), Mode::Enforce)]
                .into(),
        };
        for (default, image, name, audited) in [
            (Mode::Enforce, "a.example/team/other:1", None, true),
            (Mode::Enforce, "a.example/team/app:1", None, false),
            (Mode::Enforce, "a.example/team/app:1", Some("lax"), true),
            (Mode::Enforce, "a.example/team/other:1", Some("strict"), false),
            (Mode::Enforce, "a.example/team/other:1", Some("unknown"), true),
            (Mode::Enforce, "a.example/teammate:1", None, false),
            (Mode::Enforce, "x.b.example/app:1", None, true),
            (Mode::Enforce, "b.example/app:1", None, false),
            (Mode::Audit, "c.example/app:1", None, true),
            (Mode::Audit, "c.example/app:1", Some("strict"), false),
            (Mode::Audit, "a.example/team/app:1", None, false),
        ] {
            let reference = PullReference::parse(image).unwrap();
            let name = name.map(namespace);
            let found = modes(default).auditing(&reference, name.as_ref());
            assert_eq!(found.is_some(), audited, "{default:?} {image} {name:?}");
            assert!(Modes::enforce().auditing(&reference, name.as_ref()).is_none(), "{image}");
        }
        assert!(modes(Mode::Enforce).audits() && !Modes::enforce().audits());
    }

    #[test]
    fn an_audited_admission_says_so() {
        let reference = PullReference::parse("a.example/app:1").unwrap();
        let modes = Modes { default: Mode::Audit, ..Modes::enforce() };
        let manifest = Verifier::verify(&Digest::sha256(b"manifest"), b"manifest").unwrap();
        let admission = modes.auditing(&reference, None).unwrap().admit(&manifest);
        assert_eq!(*admission.basis(), Basis::Audited);
        assert_eq!((admission.reference(), admission.manifest()), (&reference, manifest.digest()));
    }
}
