//! What is decided about: a manifest, its signatures, and the index that lists it.

use crate::digest::{Digest, VerifiedBlob};
use crate::document::Covers;
use crate::identity::SignedIdentity;
use crate::manifest::Index;
use crate::reference::PullReference;
use crate::signature::{Claim, SignatureFault, Signer, UntrustedSignature};

use super::Examined;

/// What is decided about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What kubelet asked for.
    pub reference: &'a PullReference,
    /// The manifest of the image that will run: of an index, the child chosen for this node.
    pub manifest: &'a VerifiedBlob,
    /// Its signatures, in the order found.
    pub signatures: &'a [UntrustedSignature],
    /// Where they were looked for; only shown.
    pub searched: &'a [String],
    /// The index that it was chosen from, if its signatures may count.
    pub listing: Option<Listing<'a>>,
}

impl<'a> Subject<'a> {
    /// Lets `verify` look at each signature with what it has to confirm. It returns none for a
    /// signature of another kind. Those of the index come last, and are numbered on.
    pub(super) fn examine(
        &self,
        covers: Covers,
        identity: &SignedIdentity,
        verify: impl Fn(
            &Claim<'_, PullReference>,
            &'a UntrustedSignature,
        ) -> Option<Result<Signer, SignatureFault>>,
    ) -> Vec<Examined> {
        self.covered(covers)
            .enumerate()
            .filter_map(|(position, (manifest, signature))| {
                let claim = Claim { manifest, identity, image: Some(self.reference) };
                let finding = verify(&claim, signature)?;
                Some(Examined { number: position + 1, finding })
            })
            .collect()
    }

    /// How many of the signatures that may count are of a kind.
    pub(super) fn count(
        &self,
        covers: Covers,
        is_of_kind: impl Fn(&UntrustedSignature) -> bool,
    ) -> usize {
        self.covered(covers).filter(|(_, signature)| is_of_kind(signature)).count()
    }

    /// The signatures that may count, each with the manifest that it has to be for.
    fn covered(
        &self,
        covers: Covers,
    ) -> impl Iterator<Item = (&'a Digest, &'a UntrustedSignature)> + use<'a> {
        let manifest = self.manifest.digest();
        let own = self.signatures.iter().map(move |signature| (manifest, signature));
        let listing = match covers {
            Covers::Platform => None,
            Covers::PlatformOrIndex => self.listing,
        };
        let listed = listing.into_iter().flat_map(|listing| {
            listing.signatures.iter().map(move |signature| (listing.index.digest(), signature))
        });
        own.chain(listed)
    }
}

/// Proof that an index lists a manifest, with the signatures of the index.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    index: &'a VerifiedBlob,
    signatures: &'a [UntrustedSignature],
}

impl<'a> Listing<'a> {
    /// The bytes of `index` are read again: what is listed is what was verified. None if they are
    /// others, are no index, or do not list `manifest`.
    #[must_use]
    pub fn new(
        index: &'a VerifiedBlob,
        body: &[u8],
        manifest: &VerifiedBlob,
        signatures: &'a [UntrustedSignature],
    ) -> Option<Self> {
        if Digest::sha256(body) != *index.digest() {
            return None;
        }
        let listed = Index::parse(body).ok()?;
        let lists = listed.manifests.iter().any(|child| child.digest == *manifest.digest());
        lists.then_some(Self { index, signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::Listing;
    use crate::digest::{Digest, Verifier};

    #[test]
    fn only_what_the_verified_index_lists_is_listed() {
        let proof = |bytes: &[u8]| Verifier::verify(&Digest::sha256(bytes), bytes).unwrap();
        let child = proof(b"child");
        let index = |digest: &Digest| {
            format!(
                r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":5}}]}}"#
            )
        };
        let (good, other) = (index(child.digest()), index(&Digest::sha256(b"other")));
        let (good_proof, other_proof) = (proof(good.as_bytes()), proof(other.as_bytes()));
        assert!(Listing::new(&good_proof, good.as_bytes(), &child, &[]).is_some());
        assert!(Listing::new(&other_proof, other.as_bytes(), &child, &[]).is_none());
        assert!(Listing::new(&other_proof, good.as_bytes(), &child, &[]).is_none());
        let garbage = proof(b"{}");
        assert!(Listing::new(&garbage, b"{}", &child, &[]).is_none());
    }
}
