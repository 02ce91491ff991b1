//! Containers that ran before the daemon did.

use super::{Reason, message_id, printable};
use crate::containerd::present::Running;

/// How a container that runs stands to the policy of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its image is accepted.
    Accepted,
    /// It is not, and would not start today.
    Rejected(Reason, String),
    /// The node does not know without asking the registry.
    Unknown(String),
}

/// Records one container that runs.
pub fn running(container: &Running, standing: &Standing) {
    let (word, reason, why) = match standing {
        Standing::Accepted => ("accepted", None, None),
        Standing::Rejected(reason, why) => ("rejected", Some(reason.code()), Some(why)),
        Standing::Unknown(why) => ("unknown", None, Some(why)),
    };
    let why = why.map(|why| format!(": {}", printable(why))).unwrap_or_default();
    let image = [&container.user_specified, &container.image].into_iter().find(|it| !it.is_empty());
    let image = printable(image.map_or("", String::as_str));
    let (pod, name) = (printable(&container.pod), printable(&container.name));
    tracing::info!(
        MESSAGE_ID = message_id::RUNNING,
        CONTAINER_ID = &*printable(&container.id),
        CONTAINER = &*name,
        IMAGE_REF = &*image,
        NAMESPACE = &*printable(&container.namespace),
        POD = &*pod,
        STANDING = word,
        REASON = reason,
        "{word}: {image} runs as {name} of pod {pod}{why}",
    );
}

/// Records how many containers run.
pub fn running_total(accepted: usize, rejected: usize, unknown: usize) {
    tracing::info!(
        MESSAGE_ID = message_id::RUNNING_TOTAL,
        ACCEPTED = accepted,
        REJECTED = rejected,
        UNKNOWN = unknown,
        "containers that run already: {accepted} accepted, {rejected} rejected, {unknown} unknown",
    );
}
