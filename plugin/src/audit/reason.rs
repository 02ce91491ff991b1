//! Reason codes: the one list of why an outcome is what it is, with what it means and what to do.
//!
//! The codes are a contract with operators: renaming one breaks alerts. `pullgate explain`, the manual,
//! the README and the metrics are held to this list by a test.

use std::fmt;

use pullgate_policy::decision::Code;

use super::Outcome;

/// Makes an enum of the table below: a code that is not explained does not compile.
macro_rules! reasons {
    (
        policy { $($rule:ident: $rule_means:literal, $rule_remedy:literal;)+ }
        own { $($own:ident = $code:literal, $outcome:ident: $means:literal, $remedy:literal;)+ }
    ) => {
        /// Why an outcome is what it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            /// The policy did not accept the image.
            Policy(Code),
            $(
                #[doc = concat!("`", $code, "`: ", $means, ".")]
                $own,
            )+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[
                $(Self::Policy(Code::$rule),)+
                $(Self::$own,)+
            ];

            /// The code as it stands in the journal.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    Self::Policy(code) => code.as_str(),
                    $(Self::$own => $code,)+
                }
            }

            /// The outcome that it is a reason of.
            #[must_use]
            pub const fn outcome(self) -> Outcome {
                match self {
                    Self::Policy(_) => Outcome::Rejected,
                    $(Self::$own => Outcome::$outcome,)+
                }
            }

            /// What happened, in one line.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::Policy(Code::$rule) => $rule_means,)+
                    $(Self::$own => $means,)+
                }
            }

            /// What to do about it, in one line.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::Policy(Code::$rule) => $rule_remedy,)+
                    $(Self::$own => $remedy,)+
                }
            }
        }
    };
}

reasons! {
    policy {
        BaseLayerUnsupported:
            "the policy requires signedBaseLayer, which no image satisfies",
            "use signedBy or sigstoreSigned for this scope";
        BundleNotEnabled:
            "the image has sigstore bundles (cosign 3) only, and the policy does not accept them",
            "see digestBound in the manual, or sign with cosign sign --new-bundle-format=false";
        CertificateInvalid:
            "no authority of the policy vouches for the signer's certificate, or it had ended when it signed",
            "correct caPath or caRootsPath, or sign again with a current certificate";
        DigestMismatch:
            "the signature is for another manifest",
            "sign this manifest; if nobody changed the image on purpose, find out who moved it";
        IdentityMismatch:
            "the signature names another image",
            "sign under the name that the pod uses, or see signedIdentity in policy.json(5)";
        IndexOnlySigned:
            "only the index is signed, and what counts is a signature of this platform's manifest",
            "sign every manifest (cosign sign --recursive), or see signedManifest in the manual";
        KeyExpired:
            "the key that signed had ended",
            "export the current key from its owner into the file that keyPath names";
        KeyFileUnreadable:
            "a key file of the policy is missing, unreadable or writable by others",
            "mend the file that the message names; it must belong to root and be writable by root only";
        KeyRevoked:
            "the key that signed was revoked by its owner",
            "ask the owner for an image that is signed by a current key";
        KeyTypeUnsupported:
            "the policy has a keyType other than GPGKeys",
            "use GPGKeys";
        KeyUnknown:
            "the image is signed, but by no key of the policy's files",
            "add the key that the message names to keyPath if you trust it";
        KeyUnusable:
            "the policy's key files hold no key that can verify, or the key that signed must not sign",
            "export the key again: gpg --export, or a PEM file for sigstoreSigned";
        LogEntryInvalid:
            "the transparency log did not record this signature",
            "correct rekorPublicKeyPath, or sign again with an upload to the log";
        PayloadInvalid:
            "what was signed is no statement about an image",
            "sign again with a tool that makes simple signing or cosign signatures";
        PolicyReject:
            "the policy's requirement for this scope is reject",
            "change the scope in policy.json if the image should be let in";
        SignatureExpired:
            "the signature has ended, or it is from the future",
            "sign again; check this node's clock";
        SignatureInvalid:
            "the stored signature is damaged, or was not made by the policy's key",
            "store the signature again, or correct keyPath";
        SignatureMissing:
            "there is no signature where registries.d says",
            "sign the image, or correct registries.d; a mirror needs an entry of its own";
        SignerMismatch:
            "the signer's certificate names another account, mail address or host",
            "correct subjectEmail, oidcIssuer or subjectHostname";
        TimestampInvalid:
            "no log or time-stamping authority of the trusted root says when the bundle was signed",
            "correct trustedRootPath, or sign again with a timestamp";
    }
    own {
        Abandoned = "ABANDONED", Abandoned:
            "the client went away before the pull ended",
            "nothing: kubelet asks again; if it repeats, see runtimeRequestTimeout of kubelet";
        BadRequest = "BAD_REQUEST", Refused:
            "a call that could bring an image in could not be read",
            "see which client talks to the socket: kubelet and crictl do not send such calls";
        CheckpointRefused = "CHECKPOINT_REFUSED", Rejected:
            "a container was to be restored from a checkpoint, which nobody can verify",
            "start the pod from its image";
        ContainerdFailed = "CONTAINERD_FAILED", Failed:
            "containerd did not do its part",
            "see journalctl -u containerd";
        ContentMismatch = "CONTENT_MISMATCH", Failed:
            "a blob is not what its digest says",
            "push the image again; see whether the registry or a mirror is damaged";
        CredentialsInvalid = "CREDENTIALS_INVALID", Failed:
            "the pull secret cannot be used",
            "create the pull secret again: kubectl create secret docker-registry";
        DiffIdMismatch = "DIFF_ID_MISMATCH", Failed:
            "a layer unpacks to something else than the image configuration says",
            "build and push the image again";
        DiskFull = "DISK_FULL", Failed:
            "there is no room left for the image",
            "free space below containerd's root directory";
        Exempted = "EXEMPTED", Exempted:
            "the policy refuses the image, and a signed exemption of the admins let it in",
            "see EXEMPTION, and who signed it in SIGNER; mend what the message says before it ends";
        HashingStopped = "HASHING_STOPPED", Failed:
            "the thread that hashes content has ended, so nothing can be verified",
            "restart pullgated and report it; [registry] interleave_hashing = false does without the thread";
        ImageNotFound = "IMAGE_NOT_FOUND", Failed:
            "the registry has no such image",
            "correct the image of the pod; the message names each host that was asked";
        ManifestInvalid = "MANIFEST_INVALID", Failed:
            "the manifest or the configuration of the image breaks a rule",
            "build and push the image again";
        NamespaceInvalid = "NAMESPACE_INVALID", Failed:
            "the pod of the request is in no namespace that could exist",
            "see which client talks to the socket: kubelet does not send such calls";
        NoVerdict = "NO_VERDICT", Audited:
            "an image entered in audit mode, and no verdict about it was reached in time",
            "see whether the signature store answers; with enforce mode the pull would have waited for it";
        NotVerified = "NOT_VERIFIED", Rejected:
            "the image came to the node past pullgate, and its registry cannot be asked about it now",
            "crictl rmi the image, so that kubelet pulls it again, or make its registry reachable";
        PlatformMissing = "PLATFORM_MISSING", Failed:
            "the index lists no image for this node's platform",
            "build the image for this platform, or choose another node";
        PolicyUnusable = "POLICY_UNUSABLE", Rejected:
            "a policy.json or registries.d is missing or invalid; what it decides is refused",
            "mend the file and the key path that the message names; nothing has to be reloaded";
        ReferenceInvalid = "REFERENCE_INVALID", Failed:
            "the request names no image that could exist",
            "correct the image of the pod";
        RegistryDenied = "REGISTRY_DENIED", Failed:
            "the registry refuses the credentials, or wants some",
            "correct the pod's imagePullSecrets";
        RegistryInvalid = "REGISTRY_INVALID", Failed:
            "hosts.toml is invalid, or the registry breaks its promises",
            "mend the file or the host that the message names";
        RegistryUnavailable = "REGISTRY_UNAVAILABLE", Failed:
            "no registry or mirror answered",
            "see network, DNS, proxy and registry; the message names each host that was asked";
        SandboxUnknown = "SANDBOX_IMAGE_UNKNOWN", Failed:
            "which image containerd makes sandboxes of cannot be told, so it cannot be verified",
            "set [containerd] sandbox_image in /etc/pullgate/config.toml";
        SignaturesUnavailable = "SIGNATURES_UNAVAILABLE", Failed:
            "the signature store did not answer",
            "mend the store that the message names; without it nothing can be said about the image";
        SignaturesUnreadable = "SIGNATURES_UNREADABLE", Rejected:
            "the signature store holds something that is no signature",
            "mend the store that the message names";
        Signed = "SIGNED", Accepted:
            "the image was accepted because of its signatures",
            "nothing; SIGNER and KEY_FPR tell who signed";
        UnknownMethod = "UNKNOWN_METHOD", Refused:
            "a method of ImageService was called that this version does not know",
            "update pullgate: the method could bring an image in unseen";
        Unverified = "UNVERIFIED", Accepted:
            "the image was accepted by insecureAcceptAnything: nobody vouches for it",
            "require a signature for this scope in policy.json";
    }
}

impl Reason {
    /// The reason with this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pullgate_policy::decision::Code;

    use super::Reason;

    #[test]
    fn every_code_of_the_policy_is_listed() {
        for code in Code::ALL {
            assert!(Reason::ALL.contains(&Reason::Policy(code)), "{}", code.as_str());
        }
    }

    #[test]
    fn codes_are_unique_and_of_one_form() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            assert!(seen.insert(code), "{code} stands twice");
            assert_eq!(Reason::of_code(code), Some(*reason));
        }
    }

    #[test]
    fn explanations_are_one_clause_each() {
        for reason in Reason::ALL {
            for text in [reason.meaning(), reason.remedy()] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{reason}: {text}");
                assert!(text.len() <= 100 && !text.contains('\n'), "{reason}: {text}");
            }
        }
    }
}
