//! The journal: each outcome of a pull is exactly one record with a fixed `MESSAGE_ID`.
//!
//! Field names and message IDs are part of the contract with operators: they change with the
//! message catalogue, not with the code.

mod attempt;
pub mod log;
mod text;

pub use attempt::{Attempt, Signer};
pub use text::{chain, printable};

/// The `MESSAGE_ID` of each kind of record.
pub mod message_id {
    /// An image was accepted and handed to containerd.
    pub const ACCEPTED: &str = "ff786701c29646bc90ee23a17151529e";
    /// The policy did not accept an image.
    pub const REJECTED: &str = "24b267fb1ed4420692ab1d6556c7322b";
    /// A pull failed for another reason than the policy.
    pub const FAILED: &str = "308e61cbd1ff4a6c8bf75d1714920af2";
    /// The client went away before the pull ended.
    pub const ABANDONED: &str = "adf5309b7e1e4d5c8a53323234f4df5a";
    /// A call was refused that is neither owned nor may pass.
    pub const REFUSED_CALL: &str = "9722f51419544303ade4b6fa9e6fee3c";
    /// The daemon started.
    pub const STARTED: &str = "6d017504146b418b92076f2c27faf114";

    /// All of them, for the test that they are unique.
    #[cfg(test)]
    pub(crate) const ALL: [&str; 6] =
        [ACCEPTED, REJECTED, FAILED, ABANDONED, REFUSED_CALL, STARTED];
}

/// Records a call that was refused before it became a pull: an unknown method of `ImageService`, or a
/// `PullImage` that cannot be read. `method` and `message` may be foreign text.
pub fn refused_call(method: &str, reason: &'static str, message: &str) {
    let (method, message) = (printable(method), printable(message));
    tracing::warn!(
        MESSAGE_ID = message_id::REFUSED_CALL,
        CRI_METHOD = &*method,
        REASON = reason,
        "refused {method}: {message}",
    );
}

#[cfg(test)]
mod tests {
    use super::message_id;

    #[test]
    fn message_ids_are_unique_and_of_journald_form() {
        let mut seen = std::collections::BTreeSet::new();
        for id in message_id::ALL {
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            assert!(seen.insert(id), "{id} stands twice");
        }
    }
}
