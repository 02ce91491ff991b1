//! The reasoning about one image, for people and for programs.

use std::io::{self, Write};

use pullgate_policy::decision::{Basis, Code, Examined, Outcome, Verdict};
use pullgate_policy::document::{Requirement, Requirements};
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::reference::PullReference;
use pullgate_policy::signature::openpgp::OpenPgpError;
use pullgate_policy::signature::sigstore::{CertificateError, SigstoreError};
use pullgate_policy::signature::{SignatureFault, Signer};
use serde::Serialize;

use super::advice::{self, Advice};
use crate::audit::{chain, printable};
use crate::config::Config;
use crate::ctl::Exit;
use crate::ctl::keys::{self, Held};
use crate::ctl::output::Report;
use crate::pull::{Checked, Findings, Resolution};

/// Every image that was asked about.
#[derive(Debug, Serialize)]
pub(super) struct Reasoning {
    pub(super) images: Vec<Image>,
}

/// What is known about one image. What is missing was not reached.
#[derive(Debug, Serialize)]
pub(super) struct Image {
    /// As it was asked for.
    image: String,
    /// In its full form.
    reference: Option<String>,
    accepted: bool,
    /// Whether config.toml lets it in whatever the verdict.
    audited: bool,
    /// The stable reason code.
    reason: &'static str,
    /// The reason of a refusal in words, also of one that an exemption overrules.
    message: Option<String>,
    #[serde(skip)]
    exit: Exit,
    /// Whose signatures the acceptance rests on, in order.
    signers: Vec<By>,
    index: Option<String>,
    manifest: Option<String>,
    image_id: Option<String>,
    repo_digest: Option<String>,
    /// The name at the endpoint that served it, where that is another one.
    served_as: Option<String>,
    policy: Option<String>,
    scope: Option<String>,
    /// The places where signatures were looked for.
    searched: Vec<String>,
    requirements: Vec<Ruled>,
    /// What would change the verdict.
    advice: Vec<Advice>,
}

/// What one requirement says.
#[derive(Debug, Serialize)]
struct Ruled {
    #[serde(rename = "type")]
    kind: &'static str,
    accepted: bool,
    reason: Option<&'static str>,
    message: Option<String>,
    /// The name that a signature must carry.
    identity: Option<String>,
    /// The keys and certificates that it trusts.
    trusts: Vec<Held>,
    signatures: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Serialize)]
struct Signature {
    number: usize,
    accepted: bool,
    signer: Option<By>,
    reason: Option<&'static str>,
    message: Option<String>,
    expected: Option<String>,
    found: Option<String>,
}

/// Who signed.
#[derive(Debug, Serialize)]
struct By {
    name: Option<String>,
    fingerprint: String,
}

impl Image {
    pub(super) fn of(image: &str, checked: &Checked, audited: bool, config: &Config) -> Self {
        let findings = &checked.findings;
        let found = findings.image.as_ref();
        let digest = |pick: fn(&Resolution) -> String| found.map(pick);
        let reference = findings.reference.as_ref();
        let (signers, exit) = match &checked.verdict {
            Ok(Basis::Signed(signers)) => (signers.as_slice(), Exit::Accepted),
            Ok(Basis::Audited | Basis::Exempted { .. } | Basis::Unverified) => {
                (&[][..], Exit::Accepted)
            }
            Err(error) => (&[][..], Exit::of(error)),
        };
        Self {
            image: image.to_owned(),
            reference: reference.map(ToString::to_string),
            accepted: checked.verdict.is_ok(),
            audited,
            reason: checked.reason().code(),
            message: match &checked.verdict {
                Ok(Basis::Exempted { refusal, .. }) => Some(refusal.clone()),
                Ok(Basis::Audited | Basis::Signed(_) | Basis::Unverified) => None,
                Err(error) => Some(chain(error)),
            },
            exit,
            signers: signers.iter().map(By::of).collect(),
            index: found.and_then(|it| it.index.as_ref()).map(ToString::to_string),
            manifest: digest(|it| it.manifest.to_string()),
            image_id: digest(|it| it.config.to_string()),
            repo_digest: reference.zip(found).map(|(reference, it)| {
                reference.reference().at_digest(it.top().clone()).to_string()
            }),
            served_as: reference.zip(found).and_then(|(reference, it)| {
                (it.physical != *reference.reference()).then(|| it.physical.to_string())
            }),
            policy: findings.trust.as_ref().map(|it| it.policy_path().display().to_string()),
            scope: findings.trace.as_ref().map(|trace| trace.scope.clone()),
            searched: findings.searched.clone(),
            requirements: ruled(findings),
            advice: match &checked.verdict {
                Ok(_) => Vec::new(),
                Err(error) => advice::of(findings, error, config),
            },
        }
    }

    pub(super) const fn exit(&self) -> Exit {
        self.exit
    }
}

/// The verdicts beside the requirements that they are of.
fn ruled(findings: &Findings) -> Vec<Ruled> {
    let Some((trust, reference, trace)) = complete(findings) else { return Vec::new() };
    let requirements: &Requirements = trust.policy().applicable(reference).requirements;
    let verdicts = requirements.iter().zip(&trace.verdicts);
    verdicts.map(|(requirement, verdict)| Ruled::of(requirement, verdict, reference)).collect()
}

/// What there is once the policy has decided.
pub(super) fn complete(
    findings: &Findings,
) -> Option<(&crate::trust::Snapshot, &PullReference, &pullgate_policy::decision::Trace)> {
    let Findings { trust: Some(trust), reference: Some(reference), trace: Some(trace), .. } =
        findings
    else {
        return None;
    };
    Some((trust, reference, trace))
}

impl Ruled {
    fn of(requirement: &Requirement, verdict: &Verdict, reference: &PullReference) -> Self {
        let identity = match requirement {
            Requirement::SignedBy(signed) => Some(&signed.identity),
            Requirement::SigstoreSigned(signed) => Some(&signed.identity),
            Requirement::InsecureAcceptAnything
            | Requirement::Reject
            | Requirement::SignedBaseLayer(_) => None,
        };
        let name = |identity: &SignedIdentity| {
            let expected = identity.describe(Some(reference.reference()));
            format!("{expected} ({})", identity.name())
        };
        let refusal = match &verdict.outcome {
            Outcome::Accepted(_) => None,
            Outcome::Refused(rejection) => Some(rejection),
        };
        let trusts = keys::of(requirement);
        let signature = |examined| Signature::of(examined, &trusts);
        Self {
            kind: verdict.requirement,
            accepted: refusal.is_none(),
            reason: refusal.map(|rejection| rejection.code().as_str()),
            message: refusal.map(|rejection| rejection.message().to_owned()),
            identity: identity.map(name),
            signatures: verdict.examined.iter().map(signature).collect(),
            trusts,
        }
    }
}

impl Signature {
    fn of(examined: &Examined, trusts: &[Held]) -> Self {
        let fault = examined.finding.as_ref().err();
        let (expected, found) = fault.map(|fault| compare(fault, trusts)).unwrap_or_default();
        Self {
            number: examined.number,
            accepted: fault.is_none(),
            signer: examined.finding.as_ref().ok().map(By::of),
            reason: fault.map(|fault| Code::of(fault).as_str()),
            message: fault.map(|fault| chain(fault)),
            expected,
            found,
        }
    }
}

/// What the policy expects, and what the signature has instead.
fn compare(fault: &SignatureFault, trusts: &[Held]) -> (Option<String>, Option<String>) {
    let both = |expected: &dyn ToString, found: &dyn ToString| {
        (Some(expected.to_string()), Some(found.to_string()))
    };
    let keys = || {
        let all: Vec<&str> = trusts.iter().filter_map(Held::fingerprint).collect();
        all.join(" or ")
    };
    match fault {
        SignatureFault::Digest { signed, manifest } => both(manifest, signed),
        SignatureFault::Identity { signed, expected } => both(expected, &format!("`{signed}`")),
        SignatureFault::OtherManifests { signed, manifest } => both(manifest, signed),
        SignatureFault::Place { found, expected } => both(expected, &format!("`{found}`")),
        SignatureFault::OpenPgp(OpenPgpError::UnknownKey { issuer }) => both(&keys(), issuer),
        SignatureFault::Sigstore(SigstoreError::Certificate(
            CertificateError::Issuer { found, expected }
            | CertificateError::Subject { found, expected },
        )) => both(expected, found),
        SignatureFault::Sigstore(SigstoreError::Signature) => (Some(keys()), None),
        SignatureFault::NotExamined
        | SignatureFault::OpenPgp(_)
        | SignatureFault::Payload(_)
        | SignatureFault::Sigstore(_) => (None, None),
    }
}

impl By {
    fn of(signer: &Signer) -> Self {
        Self { name: signer.name.clone(), fingerprint: signer.fingerprint.clone() }
    }

    fn text(&self) -> String {
        let name = self.name.as_deref().unwrap_or("unnamed key");
        format!("{} {}", printable(name), self.fingerprint)
    }
}

impl Report for Reasoning {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (position, image) in self.images.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            image.text(out)?;
        }
        Ok(())
    }
}

impl Image {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verdict = if self.accepted { "accepted" } else { "refused" };
        let name = self.reference.as_deref().unwrap_or(&self.image);
        writeln!(out, "{}: {verdict}, {}", printable(name), self.reason)?;
        let mut line = |label: &str, value: Option<&str>| match value {
            Some(value) => writeln!(out, "  {label:<9} {}", printable(value)),
            None => Ok(()),
        };
        line("because", self.message.as_deref())?;
        if self.audited && !self.accepted {
            line("audited", Some("config.toml lets it in all the same, and records this verdict"))?;
        }
        for signer in &self.signers {
            line("signed by", Some(&signer.text()))?;
        }
        line("served as", self.served_as.as_deref())?;
        line("index", self.index.as_deref())?;
        line("manifest", self.manifest.as_deref())?;
        line("image ID", self.image_id.as_deref())?;
        line("policy", self.policy.as_deref())?;
        line("scope", self.scope.as_deref())?;
        for place in &self.searched {
            line("searched", Some(place))?;
        }
        for (position, requirement) in self.requirements.iter().enumerate() {
            requirement.text(position + 1, out)?;
        }
        for advice in &self.advice {
            advice.text(out)?;
        }
        Ok(())
    }
}

impl Ruled {
    fn text(&self, number: usize, out: &mut dyn Write) -> io::Result<()> {
        let says = match self.reason {
            None => "accepts".to_owned(),
            Some(reason) => format!("refuses, {reason}"),
        };
        writeln!(out, "  requirement {number}, {}: {says}", self.kind)?;
        let mut line =
            |label: &str, value: &str| writeln!(out, "    {label:<9} {}", printable(value));
        if let Some(identity) = &self.identity {
            line("names", identity)?;
        }
        for held in &self.trusts {
            line("trusts", &held.line())?;
        }
        if let (Some(message), true) = (&self.message, self.signatures.is_empty()) {
            line("because", message)?;
        }
        for signature in &self.signatures {
            signature.text(out)?;
        }
        Ok(())
    }
}

impl Signature {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let number = self.number;
        if let Some(signer) = &self.signer {
            return writeln!(out, "    signature {number}: accepted, {}", signer.text());
        }
        let reason = self.reason.unwrap_or_default();
        let message = self.message.as_deref().unwrap_or_default();
        writeln!(out, "    signature {number}: refused, {reason}: {}", printable(message))?;
        for (label, value) in [("expected", &self.expected), ("found", &self.found)] {
            if let Some(value) = value {
                writeln!(out, "      {label:<8} {}", printable(value))?;
            }
        }
        Ok(())
    }
}
