//! The lines of policy.json and registries.d that would change a refusal, to be judged by an admin:
//! each says what one would trust by writing it.

use std::io::{self, Write};

use pullgate_policy::decision::{Code, Trace};
use pullgate_policy::document::{Account, Requirement, Source, TrustRoot, TrustedSigner};
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::signature::SignatureFault;
use pullgate_policy::signature::openpgp::OpenPgpError;
use pullgate_policy::signature::sigstore::{CertificateError, SigstoreError};
use serde::Serialize;
use serde_json::{Value, json};

use super::report::complete;
use crate::audit::printable;
use crate::config::Config;
use crate::ctl::keys::DIRECTORY;
use crate::pull::{Findings, PullError, Resolution};
use crate::trust::Snapshot;

/// One way to have the image accepted.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::ctl) struct Advice {
    /// What one trusts by it.
    when: String,
    /// The file to write it in.
    file: String,
    /// What to write.
    lines: Vec<String>,
}

impl Advice {
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  {}, write in {}:", printable(&self.when), printable(&self.file))?;
        for line in &self.lines {
            writeln!(out, "    {}", printable(line))?;
        }
        Ok(())
    }
}

/// What would have the image accepted, as far as lines can.
pub(super) fn of(findings: &Findings, error: &PullError, config: &Config) -> Vec<Advice> {
    let Some((trust, reference, trace)) = complete(findings) else { return Vec::new() };
    let (PullError::Rejected(rejection), Some(image)) = (error, &findings.image) else {
        return Vec::new();
    };
    let decisive = trace.verdicts.len().saturating_sub(1);
    let requirements = trust.policy().applicable(reference).requirements;
    let Some(requirement) = requirements.iter().nth(decisive) else { return Vec::new() };
    let case = Case { trust, reference, trace, image, requirement, config };
    match rejection.code() {
        Code::BundleNotEnabled => case.bundle(),
        Code::IdentityMismatch => case.identity(),
        Code::IndexOnlySigned => case.index(),
        Code::KeyUnknown => case.unknown_key(),
        Code::PolicyReject => case.scope(),
        Code::SignatureInvalid => case.other_key(),
        Code::SignatureMissing => case.missing(),
        Code::SignerMismatch => case.signer(),
        Code::BaseLayerUnsupported
        | Code::CertificateInvalid
        | Code::DigestMismatch
        | Code::KeyExpired
        | Code::KeyFileUnreadable
        | Code::KeyRevoked
        | Code::KeyTypeUnsupported
        | Code::KeyUnusable
        | Code::LogEntryInvalid
        | Code::PayloadInvalid
        | Code::SignatureExpired
        | Code::TimestampInvalid => Vec::new(),
    }
}

/// What is known about a refusal.
struct Case<'a> {
    trust: &'a Snapshot,
    reference: &'a PullReference,
    trace: &'a Trace,
    image: &'a Resolution,
    requirement: &'a Requirement,
    config: &'a Config,
}

impl Case<'_> {
    /// A member of the requirement that refuses.
    fn member(&self, when: String, name: &str, value: &Value) -> Advice {
        let file = self.trust.policy_path().display();
        Advice {
            when,
            file: format!("{file}, in {}", self.trace.scope),
            lines: vec![format!("\"{name}\": {value}")],
        }
    }

    /// The attribute of the registry's section in registries.d.
    fn section(&self, when: String, attribute: &str) -> Advice {
        let host = self.image.physical.domain();
        let folder = self.config.policy.registries_d.as_deref();
        let folder = folder.map_or_else(
            || "/etc/containers/registries.d".to_owned(),
            |folder| folder.display().to_string(),
        );
        Advice {
            when,
            file: format!("{folder}/{}.yaml", host.replace(':', "_")),
            lines: vec!["docker:".to_owned(), format!("  {host}:"), format!("    {attribute}")],
        }
    }

    /// Every fault that the decisive requirement found, first signature first.
    fn faults(&self) -> impl Iterator<Item = &SignatureFault> {
        let examined = self.trace.verdicts.last().into_iter().flat_map(|it| &it.examined);
        examined.filter_map(|examined| examined.finding.as_ref().err())
    }

    fn missing(&self) -> Vec<Advice> {
        let physical = &self.image.physical;
        match self.requirement {
            Requirement::SigstoreSigned(_)
                if !self.trust.lookaside().use_sigstore_attachments(physical) =>
            {
                let when = "if cosign signed it".to_owned();
                vec![self.section(when, "use-sigstore-attachments: true")]
            }
            Requirement::SignedBy(_) if self.trust.lookaside().base(physical).is_none() => {
                let when = "if its signatures are stored elsewhere".to_owned();
                vec![self.section(when, "lookaside: https://WHERE.THEY.ARE/")]
            }
            Requirement::InsecureAcceptAnything
            | Requirement::Reject
            | Requirement::SignedBaseLayer(_)
            | Requirement::SignedBy(_)
            | Requirement::SigstoreSigned(_) => Vec::new(),
        }
    }

    fn unknown_key(&self) -> Vec<Advice> {
        let issuers = self.faults().filter_map(|fault| {
            let SignatureFault::OpenPgp(OpenPgpError::UnknownKey { issuer }) = fault else {
                return None;
            };
            Some(issuer)
        });
        issuers
            .map(|issuer| {
                let when = format!("if you trust the owner of key {issuer} and import it");
                self.member(when, "keyPaths", &self.paths(&format!("{issuer}.gpg")))
            })
            .collect()
    }

    fn other_key(&self) -> Vec<Advice> {
        let Requirement::SigstoreSigned(signed) = self.requirement else { return Vec::new() };
        let unknown =
            self.faults().any(|fault| *fault == SignatureFault::Sigstore(SigstoreError::Signature));
        match &signed.root {
            TrustRoot::Keys { .. } | TrustRoot::Trusted { signer: TrustedSigner::Keys(_), .. }
                if unknown =>
            {
                let when = "if you trust the key that signed and import it".to_owned();
                vec![self.member(when, "keyPaths", &self.paths("ITS-NAME.pub"))]
            }
            TrustRoot::Fulcio { .. }
            | TrustRoot::Keys { .. }
            | TrustRoot::Pki(_)
            | TrustRoot::Trusted { .. } => Vec::new(),
        }
    }

    /// The files that the requirement names already, and one more.
    fn paths(&self, new: &str) -> Value {
        // The first source are the keys, others the transparency log's.
        let old = match self.requirement.sources().first() {
            Some(Source::Paths(paths)) => {
                paths.iter().map(|path| path.display().to_string()).collect()
            }
            Some(Source::Data(_)) | None => Vec::new(),
        };
        old.into_iter().chain([format!("{DIRECTORY}/{new}")]).collect()
    }

    fn identity(&self) -> Vec<Advice> {
        let image = self.reference.reference();
        let signed = self.faults().filter_map(|fault| {
            let SignatureFault::Identity { signed, .. } = fault else { return None };
            Reference::parse(signed).ok()
        });
        signed
            .map(|signed| {
                let (ours, theirs) = (image.repository(), signed.repository());
                let (when, identity) = if ours == theirs {
                    let when = format!("if any image of {ours} may stand for this one");
                    (when, json!({"type": "matchRepository"}))
                } else if signed.tag().is_some() && signed.tag() == image.tag() {
                    let when = format!("if {ours} is a copy of {theirs}");
                    let identity =
                        json!({"type": "remapIdentity", "prefix": ours, "signedPrefix": theirs});
                    (when, identity)
                } else {
                    let when = format!("if any image of {theirs} may stand for this one");
                    (when, json!({"type": "exactRepository", "dockerRepository": theirs}))
                };
                self.member(when, "signedIdentity", &identity)
            })
            .collect()
    }

    fn signer(&self) -> Vec<Advice> {
        let Requirement::SigstoreSigned(signed) = self.requirement else { return Vec::new() };
        let advice = |name: &str, found: &str| {
            let when = format!("if you trust {found}");
            self.member(when, name, &json!(found))
        };
        let account = match &signed.root {
            TrustRoot::Fulcio { fulcio, .. } => Some(&fulcio.identity.account),
            TrustRoot::Trusted { signer: TrustedSigner::Fulcio(identity), .. } => {
                Some(&identity.account)
            }
            TrustRoot::Keys { .. }
            | TrustRoot::Pki(_)
            | TrustRoot::Trusted { signer: TrustedSigner::Keys(_), .. } => None,
        };
        let subject = match account {
            Some(Account::Uri(_) | Account::UriPattern(_)) => "subjectURI",
            Some(Account::Email(_)) | None => "subjectEmail",
        };
        let certificates = self.faults().filter_map(|fault| {
            let SignatureFault::Sigstore(SigstoreError::Certificate(error)) = fault else {
                return None;
            };
            Some(error)
        });
        certificates
            .filter_map(|error| {
                if let CertificateError::Issuer { found, .. } = error {
                    return Some(advice("oidcIssuer", found));
                }
                let CertificateError::Subject { found, .. } = error else { return None };
                (!found.is_empty()).then(|| advice(subject, found))
            })
            .collect()
    }

    fn bundle(&self) -> Vec<Advice> {
        let when = "if a signature without a name suffices that was found in the image's own \
                    repository (podman and skopeo refuse this line)";
        vec![self.member(when.to_owned(), "digestBound", &json!("ownRepository"))]
    }

    fn index(&self) -> Vec<Advice> {
        let when = "if a signature of the index suffices (podman and skopeo refuse this line)";
        vec![self.member(when.to_owned(), "signedManifest", &json!("platformOrIndex"))]
    }

    fn scope(&self) -> Vec<Advice> {
        let repository = self.reference.reference().repository();
        let key = format!("{DIRECTORY}/ITS-OWNER.gpg");
        let requirement = json!([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": key}]);
        Vec::from([Advice {
            when: "if its owner signs it".to_owned(),
            file: format!("{}, in transports.docker", self.trust.policy_path().display()),
            lines: vec![format!("\"{repository}\": {requirement}")],
        }])
    }
}
