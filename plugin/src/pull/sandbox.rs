//! The image of a pod's sandbox: containerd pulls it inside RunPodSandbox, so it is brought in first.

use std::sync::Arc;

use super::present::{Presence, Wanted};
use super::{Gate, Pod, PullError, PullRequest};
use crate::ledger::Door;
use crate::registry::AuthConfig;

impl Gate {
    /// Makes sure that containerd has an accepted sandbox image before it makes the sandbox of `pod`.
    ///
    /// # Errors
    /// [`PullError`] tells why there is none.
    pub async fn admit_sandbox(self: &Arc<Self>, pod: Pod) -> Result<(), PullError> {
        let image = self.sandbox_image().await?;
        let wanted = Wanted { image, user_specified: String::new(), pod };
        match self.admit(&wanted, Door::Sandbox).await? {
            Presence::Accepted => Ok(()),
            Presence::Absent => {
                let Wanted { image, pod, .. } = wanted;
                let auth = AuthConfig::default();
                let request = PullRequest { image, auth, pod, runtime_handler: None };
                self.bring_in(request, Door::Sandbox).await.map(|_id| ())
            }
        }
    }

    /// The name of the image that containerd makes sandboxes of: what containerd says counts, since
    /// that is what it would pull.
    async fn sandbox_image(&self) -> Result<String, PullError> {
        if let Some(said) = self.containerd.sandbox_image().await? {
            return Ok(said);
        }
        if let Some(configured) = &self.sandbox_image {
            return Ok(configured.to_string());
        }
        crate::containerd::settings::sandbox_image().ok_or(PullError::SandboxUnknown)
    }
}
