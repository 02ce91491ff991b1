//! `pullgate doctor --canary`: real pulls of images that must not enter.
//!
//! What the registry lies about must be refused whatever the policy says. An image that nobody has
//! signed proves something only where the policy asks for signatures of it.

mod image;
mod registry;

use std::io;
use std::path::Path;
use std::time::Duration;

use pullgate_policy::document::Requirement;
use pullgate_policy::reference::PullReference;

use super::finding::Said;
use super::look::Node;
use super::versions::Release;
use crate::audit::chain;
use crate::containerd::{Containerd, HandoffError};
use registry::{Canary, Registry};

/// How long one pull may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pulls each canary through pullgate, and an unsigned one past it where containerd can be told to ask.
pub(super) fn fly(node: &Node) -> io::Result<Vec<Said>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let gate = &node.config.socket;
        let mut found = Vec::new();
        let registry = Registry::start().await?;
        for canary in Canary::ALL {
            let flight = Flight { registry: &registry, canary, socket: gate, past: false };
            found.extend(flight.fly(node).await);
        }
        if node.release().is_some_and(|release| release >= Release(2, 1)) {
            let registry = Registry::start().await?;
            let socket = &node.config.containerd.socket;
            let canary = Canary::Unsigned;
            let flight = Flight { registry: &registry, canary, socket, past: true };
            found.extend(flight.fly(node).await);
        }
        Ok(found)
    })
}

/// One pull.
struct Flight<'a> {
    registry: &'a Registry,
    canary: Canary,
    socket: &'a Path,
    /// Through containerd's own socket, past pullgate.
    past: bool,
}

/// How it ended.
#[derive(Debug)]
enum Landing {
    /// The image is on the node.
    Accepted,
    /// It is not, and the registry was asked for it.
    Refused { why: String },
    /// Nobody asked the registry, so nothing was proved.
    Lost { why: String },
}

impl Flight<'_> {
    async fn fly(&self, node: &Node) -> Vec<Said> {
        let containerd = Containerd::new(self.socket);
        let reference = self.registry.reference(self.canary);
        let pull = tokio::time::timeout(PATIENCE, containerd.cri_pull(&reference));
        let landing = match pull.await {
            Ok(Ok(())) => Landing::Accepted,
            Ok(Err(error)) => self.refused(chain(&error)),
            Err(_elapsed) => self.refused(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let anything = !self.past && accepts_anything(node, &reference);
        let mut said = vec![judge(self.canary, self.past, anything, &landing)];
        if let Err(error) = self.clean(&containerd, &reference).await {
            let what = format!("{reference} could not be removed: {}", chain(&error));
            said.push(Said::unknown(what, format!("crictl rmi {reference}")));
        }
        said
    }

    fn refused(&self, why: String) -> Landing {
        match self.registry.was_asked(self.canary) {
            true => Landing::Refused { why },
            false => Landing::Lost { why },
        }
    }

    /// Removes what a canary that was accepted has left.
    async fn clean(&self, containerd: &Containerd, reference: &str) -> Result<(), HandoffError> {
        containerd.cri_remove(reference).await?;
        match self.registry.id(self.canary) {
            Some(id) => containerd.cri_remove(&id.to_string()).await,
            None => Ok(()),
        }
    }
}

/// Whether the policy lets a canary in without a signature.
fn accepts_anything(node: &Node, reference: &str) -> bool {
    let Some(Ok(snapshot)) = node.policies.first() else { return false };
    let Ok(reference) = PullReference::parse(reference) else { return false };
    let requirements = snapshot.policy().applicable(&reference).requirements;
    requirements.iter().all(|requirement| *requirement == Requirement::InsecureAcceptAnything)
}

fn judge(canary: Canary, past: bool, anything: bool, landing: &Landing) -> Said {
    let what = match (canary, past) {
        (Canary::Unsigned, false) => "an image that nobody signed",
        (Canary::Unsigned, true) => "an image that containerd is asked for past pullgate",
        (Canary::WrongKey, _) => "an image signed by a stranger",
        (Canary::Tampered, _) => "an image with a layer that was tampered with",
        (Canary::Moved, _) => "an image whose tag moves",
    };
    let by_policy = match canary {
        Canary::Unsigned | Canary::WrongKey => true,
        Canary::Tampered | Canary::Moved => false,
    };
    match landing {
        Landing::Refused { why } => Said::armed(format!("{what} is refused: {why}")),
        Landing::Lost { why } => Said::unknown(
            format!("{what} proves nothing, its registry on loopback was not asked: {why}"),
            "see that pullgated answers, and that no hosts.toml or proxy leads 127.0.0.1 elsewhere",
        ),
        Landing::Accepted if by_policy && anything => Said::advice(
            format!("{what} proves nothing: the policy accepts anything of 127.0.0.1"),
            "let `default` of the policy be [{\"type\":\"reject\"}]",
        ),
        Landing::Accepted if past => Said::open(
            format!("{what} is accepted"),
            "see the check `verifier`: containerd does not ask pullgate before it pulls",
        ),
        Landing::Accepted => Said::open(
            format!("{what} is accepted"),
            "see `mode` of config.toml; if that enforces, stop using this node and report it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Canary, Landing, judge};
    use crate::ctl::doctor::finding::State;

    #[test]
    fn only_a_pull_that_reached_the_registry_proves_something() {
        let refused = || Landing::Refused { why: "no".to_owned() };
        let lost = || Landing::Lost { why: "no".to_owned() };
        let (armed, advice, open, unknown) =
            (State::Armed, State::Advice, State::Open, State::Unknown);
        for (canary, past, anything, landing, expected) in [
            (Canary::Unsigned, false, false, refused(), armed),
            (Canary::Unsigned, false, false, Landing::Accepted, open),
            (Canary::Unsigned, false, true, Landing::Accepted, advice),
            (Canary::Unsigned, false, false, lost(), unknown),
            (Canary::Unsigned, true, false, Landing::Accepted, open),
            (Canary::WrongKey, false, false, Landing::Accepted, open),
            (Canary::WrongKey, false, true, Landing::Accepted, advice),
            (Canary::Tampered, false, true, Landing::Accepted, open),
            (Canary::Tampered, false, true, refused(), armed),
            (Canary::Moved, false, true, Landing::Accepted, open),
            (Canary::Moved, false, false, lost(), unknown),
        ] {
            let said = judge(canary, past, anything, &landing);
            assert_eq!(said.state, expected, "{canary:?} {past} {anything} {landing:?}");
        }
    }
}
