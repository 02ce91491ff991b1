//! Whether an image that containerd is about to pull by itself was accepted before.

use pullgate_policy::digest::{Digest, DigestError};
use pullgate_policy::reference::{PullReference, ReferenceError};

use super::Gate;
use super::rules::Rules;
use crate::audit::Reason;
use crate::cri::Approval;
use crate::ledger::{LedgerError, Verdict};
use crate::trust::TrustError;

impl Gate {
    /// Returns only if the ledger has an acceptance of this very digest under this name, by the node's
    /// policy as it is now. Nothing is decided anew: whoever pulls past pullgate brings no credentials.
    ///
    /// # Errors
    /// [`NotApproved`] in every other case.
    pub async fn approve(&self, image: &Approval) -> Result<(), NotApproved> {
        let name = PullReference::parse(&image.name)?;
        let digest: Digest = image.digest.parse()?;
        let policy = Rules::read(&self.trust, None, &name)?.hash().clone();
        match self.ledger.verdict(name.to_string(), digest.clone(), policy).await? {
            Some(Verdict::Accepted(digests)) if *digests.top() == digest => Ok(()),
            Some(Verdict::Accepted(_) | Verdict::Rejected) | None => {
                Err(NotApproved::Unknown { name: name.to_string(), digest })
            }
        }
    }
}

/// Why an image was not approved.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    /// The digest is none.
    #[error("invalid digest")]
    Digest(#[from] DigestError),
    /// The ledger does not tell.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// There is nobody to decide.
    #[error("this door approves nothing")]
    Never,
    /// The name is none.
    #[error("invalid image reference")]
    Reference(#[from] ReferenceError),
    /// There is no policy that could have accepted it.
    #[error("no usable policy, nothing is approved until it is mended")]
    Trust(#[from] TrustError),
    /// It was rejected, or pullgate has never seen it.
    #[error(
        "pullgate has not accepted {name} as {digest} by the policy in force: pull it through pullgate, \
         with kubelet or crictl"
    )]
    Unknown {
        /// The name.
        name: String,
        /// What it stands for.
        digest: Digest,
    },
}

impl NotApproved {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Digest(_) | Self::Reference(_) => Reason::ReferenceInvalid,
            Self::Ledger(_) | Self::Never | Self::Unknown { .. } => Reason::NotVerified,
            Self::Trust(_) => Reason::PolicyUnusable,
        }
    }
}
