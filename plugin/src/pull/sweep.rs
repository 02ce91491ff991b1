//! What ran before the daemon did: reported, and left alone.

use super::present::{Reach, Wanted};
use super::{Findings, Gate, Pod, PullError};
use crate::audit::{Standing, chain, running, running_total};
use crate::containerd::present::Running;

impl Gate {
    /// Records of each container that runs whether the policy accepts its image, as far as the node
    /// knows without asking anybody, and how many there are of each kind.
    ///
    /// # Errors
    /// [`PullError`] if containerd does not tell what runs.
    pub async fn sweep(&self) -> Result<(), PullError> {
        let (mut accepted, mut rejected, mut unknown) = (0, 0, 0);
        for container in self.containerd.running().await? {
            let standing = self.standing(&container).await;
            running(&container, &standing);
            match standing {
                Standing::Accepted => accepted += 1,
                Standing::Rejected(..) => rejected += 1,
                Standing::Unknown(_) => unknown += 1,
            }
        }
        running_total(accepted, rejected, unknown);
        Ok(())
    }

    async fn standing(&self, container: &Running) -> Standing {
        let pod = Pod {
            namespace: container.namespace.clone(),
            name: container.pod.clone(),
            ..Pod::default()
        };
        let (image, user_specified) = (container.image.clone(), container.user_specified.clone());
        match self.known(&Wanted { image, user_specified, pod }).await {
            Ok(()) => Standing::Accepted,
            Err(error @ PullError::Unverified { .. }) => Standing::Unknown(chain(&error)),
            Err(error) if error.is_rejection() => Standing::Rejected(error.reason(), chain(&error)),
            Err(error) => Standing::Unknown(chain(&error)),
        }
    }

    /// Whether the node knows by itself that the policy accepts the image.
    async fn known(&self, wanted: &Wanted) -> Result<(), PullError> {
        let Some(question) = self.question(wanted).await? else {
            return Err(PullError::unverified(&wanted.image, None));
        };
        if self.remembered(&question).await?.is_some() {
            return Ok(());
        }
        let mut findings = Findings::default();
        let outcome = self.decide_again(&question, &[Reach::Node], &mut findings).await;
        outcome.map(|_admission| ())
    }
}
