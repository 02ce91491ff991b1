//! Break-glass: what the policy refused enters because enough admins say so.

use super::{Admission, Basis};
use crate::digest::VerifiedBlob;
use crate::exemption::Exemption;
use crate::reference::PullReference;

impl Exemption {
    /// Admits a manifest that was refused for the reason `refusal`. None if the exemption does not
    /// cover `reference`.
    #[must_use]
    pub fn overrule(
        self,
        refusal: String,
        reference: &PullReference,
        manifest: &VerifiedBlob,
    ) -> Option<Admission> {
        self.terms().covers(reference).then(|| Admission {
            reference: reference.clone(),
            manifest: manifest.digest().clone(),
            basis: Basis::Exempted { exemption: Box::new(self), refusal },
        })
    }
}
