//! What the daemon says about itself when it starts.

use pullgate_policy::digest::sha256_instructions;

use crate::audit::{chain, message_id, printable};
use crate::config::Config;
use crate::containerd::node::Node;
use crate::trust::Trust;

/// The policy that was in force at the start.
#[derive(Debug, Default)]
pub(super) struct Policy {
    file: Option<String>,
    hash: Option<String>,
}

/// Looks at the policy. One that cannot be used is an error in the log and refuses every pull, but
/// the daemon starts: the node's other calls must pass.
pub(super) fn policy(trust: &Trust) -> Policy {
    match trust.snapshot(None) {
        Ok(found) => Policy {
            file: Some(found.policy_path().display().to_string()),
            hash: Some(found.fingerprint().to_string()),
        },
        Err(error) => {
            let text = chain(&error);
            tracing::error!(
                MESSAGE_ID = message_id::POLICY_UNUSABLE,
                "every pull is refused until this is repaired: {}",
                printable(&text)
            );
            Policy::default()
        }
    }
}

/// Says that refusals do not count everywhere: a node must not be left in audit mode by oversight.
pub(super) fn modes(config: &Config) {
    if config.mode.modes.audits() {
        tracing::warn!(
            "config.toml says audit for some images: they enter whatever the policy says"
        );
    }
}

/// Records the start, once containerd answered or was waited for in vain.
pub(super) fn record(config: &Config, policy: &Policy, containerd: Option<&Node>) {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    tracing::info!(
        MESSAGE_ID = message_id::STARTED,
        VERSION,
        SHA256_BACKEND = sha256_instructions(),
        POLICY_FILE = policy.file,
        POLICY_HASH = policy.hash,
        CONTAINERD_VERSION = containerd.map(|node| &*node.version),
        SNAPSHOTTER = containerd.map(|node| &*node.snapshotter),
        SOCKET = %config.socket.display(),
        "pullgated {VERSION} is ready",
    );
}
