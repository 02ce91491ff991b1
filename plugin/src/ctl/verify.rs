//! `pullgate verify`: checks stored signatures of a manifest with given keys. No policy, no network.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use pullgate_policy::decision::Code;
use pullgate_policy::digest::Digest;
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::reference::Reference;
use pullgate_policy::signature::anchor::{Kind, anchors};
use pullgate_policy::signature::openpgp::Keyring;
use pullgate_policy::signature::sigstore::{self, PublicKey, Root, bundle};
use pullgate_policy::signature::{
    Claim, FoundIn, SignatureFault, Signer, UntrustedAttachment, UntrustedBundle,
    UntrustedSignature, simple,
};
use serde::Serialize;

use super::output::{Output, Report};
use super::{CtlError, Exit, read};
use crate::audit::{chain, printable};
use crate::pull::PullError;

/// Check stored signatures of a manifest with given keys, without policy and network
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The manifest, byte for byte as the registry serves it
    #[arg(long, required = true, value_name = "FILE")]
    manifest: PathBuf,
    /// A signature as a signature store keeps it (`signature-1`), or a sigstore bundle
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    signature: Vec<PathBuf>,
    /// What was signed, where the signature is a detached one in base64, as cosign writes it
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// An OpenPGP key, or a public key in PEM, that may have signed
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    public_key: Vec<PathBuf>,
    /// The name that must have been signed; without a tag any name of the repository
    #[arg(long, required = true, value_name = "REF")]
    expected_identity: String,
}

impl Verify {
    pub(super) fn run(&self, output: Output) -> Result<Exit, CtlError> {
        let manifest = Digest::sha256(&read(&self.manifest)?);
        let identity = self.identity()?;
        let image = Reference::parse(&self.expected_identity).map_err(PullError::from)?;
        let keys = Keys::read(&self.public_key)?;
        let payload = self.payload.as_deref().map(read).transpose()?;
        let mut signatures = Vec::new();
        let mut exits = Vec::new();
        for file in &self.signature {
            let claim = Claim { manifest: &manifest, identity: &identity, image: None };
            let finding = untrusted(file, payload.as_deref(), &image)
                .map(|signature| keys.verify(&signature, &claim))?;
            exits.push(exit(&finding));
            signatures.push(Looked::new(file, finding));
        }
        let accepted = exits.contains(&Exit::Accepted);
        let exit = if accepted { Exit::Accepted } else { Exit::worst(exits) };
        let manifest = manifest.to_string();
        output.print(&Verified { manifest, accepted, signatures })?;
        Ok(exit)
    }

    fn identity(&self) -> Result<SignedIdentity, CtlError> {
        let text = &self.expected_identity;
        let invalid = |source| CtlError::Identity { text: text.clone(), source };
        if Reference::parse(text).is_ok_and(|reference| reference.has_tag_or_digest()) {
            SignedIdentity::exact_reference(text).map_err(invalid)
        } else {
            SignedIdentity::exact_repository(text).map_err(invalid)
        }
    }
}

/// A signature as it is stored, or detached from `payload`.
fn untrusted(
    file: &Path,
    payload: Option<&[u8]>,
    image: &Reference,
) -> Result<UntrustedSignature, CtlError> {
    let content = read(file)?;
    let invalid = |why: String| CtlError::NotASignature { file: file.to_owned(), why };
    if content.first() == Some(&b'{') {
        // A bundle names no image: whoever has it says where it is from.
        return Ok(UntrustedSignature::Bundle(UntrustedBundle {
            text: content,
            found_in: FoundIn::new(image, image),
        }));
    }
    let Some(payload) = payload else {
        return UntrustedSignature::parse(&content).map_err(|error| invalid(chain(&error)));
    };
    let text = String::from_utf8_lossy(&content);
    STANDARD.decode(text.trim()).map_err(|error| invalid(error.to_string()))?;
    let annotations = [(sigstore::SIGNATURE.to_owned(), text.trim().to_owned())];
    Ok(UntrustedSignature::Sigstore(UntrustedAttachment {
        media_type: sigstore::MEDIA_TYPE.to_owned(),
        payload: payload.to_vec(),
        annotations: annotations.into(),
    }))
}

/// The keys of the command line, by the kind of signature that they make.
struct Keys {
    openpgp: Keyring,
    sigstore: Root,
}

impl Keys {
    fn read(files: &[PathBuf]) -> Result<Self, CtlError> {
        let (mut openpgp, mut sigstore) = (Vec::new(), Vec::new());
        for file in files {
            let content = read(file)?;
            let unusable = |why: String| CtlError::NotAKey { file: file.clone(), why };
            let found = anchors(&content, SystemTime::now());
            let found = found.map_err(|error| unusable(chain(&error)))?;
            match found.first().map(|anchor| anchor.kind) {
                Some(Kind::PublicKey) => sigstore
                    .push(PublicKey::from_pem(&content).map_err(|error| unusable(chain(&error)))?),
                Some(Kind::Certificate) => {
                    let why = "a certificate of an authority: say which key has signed";
                    return Err(unusable(why.to_owned()));
                }
                Some(Kind::OpenPgp) | None => openpgp.push(content),
            }
        }
        // A keybox has been refused as no key already.
        let openpgp = Keyring::parse(openpgp.iter().map(Vec::as_slice)).map_err(|error| {
            CtlError::NotAKey {
                file: files.first().cloned().unwrap_or_default(),
                why: chain(&error),
            }
        })?;
        Ok(Self { openpgp, sigstore: Root::Keys(sigstore) })
    }

    fn verify(
        &self,
        signature: &UntrustedSignature,
        claim: &Claim<'_, Reference>,
    ) -> Result<Signer, SignatureFault> {
        let now = SystemTime::now();
        match signature {
            UntrustedSignature::Bundle(bundle) => {
                bundle::verify(bundle, &self.sigstore, claim, now)
            }
            UntrustedSignature::Simple(message) => {
                simple::verify(message, &self.openpgp, claim, now)
            }
            UntrustedSignature::Sigstore(attachment) => {
                sigstore::verify(attachment, &self.sigstore, claim, now)
            }
        }
    }
}

fn exit(finding: &Result<Signer, SignatureFault>) -> Exit {
    match finding {
        Ok(_) => Exit::Accepted,
        Err(fault) => Exit::of_code(Code::of(fault)),
    }
}

/// What became of the signatures.
#[derive(Debug, Serialize)]
struct Verified {
    /// The digest of the manifest.
    manifest: String,
    /// Whether one of them is good.
    accepted: bool,
    signatures: Vec<Looked>,
}

#[derive(Debug, Serialize)]
struct Looked {
    file: String,
    accepted: bool,
    name: Option<String>,
    fingerprint: Option<String>,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Looked {
    fn new(file: &Path, finding: Result<Signer, SignatureFault>) -> Self {
        let file = file.display().to_string();
        match finding {
            Ok(signer) => Self {
                file,
                accepted: true,
                name: signer.name,
                fingerprint: Some(signer.fingerprint),
                reason: None,
                message: None,
            },
            Err(fault) => Self {
                file,
                accepted: false,
                name: None,
                fingerprint: None,
                reason: Some(Code::of(&fault).as_str()),
                message: Some(chain(&fault)),
            },
        }
    }
}

impl Report for Verified {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "manifest {}", self.manifest)?;
        for looked in &self.signatures {
            let file = printable(&looked.file);
            match &looked.fingerprint {
                Some(fingerprint) => {
                    let name = looked.name.as_deref().unwrap_or("unnamed key");
                    writeln!(out, "{file}: accepted, {} {fingerprint}", printable(name))?;
                }
                None => {
                    let reason = looked.reason.unwrap_or_default();
                    let message = looked.message.as_deref().unwrap_or_default();
                    writeln!(out, "{file}: refused, {reason}: {}", printable(message))?;
                }
            }
        }
        Ok(())
    }
}
