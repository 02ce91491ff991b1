//! Which names of policy.json and registries.d speak for a reference, most specific first.

use crate::reference::Reference;

/// The scopes to look up for `reference`, in order: the full reference, its repository, each parent
/// down to `host[:port]`, then `*.` wildcards of the host without its port
/// (containers-policy.json(5), "docker:").
#[must_use]
pub fn candidates(_reference: &Reference) -> Vec<String> {
    todo!()
}
