//! Outcomes, and the `MESSAGE_ID` of each kind of record.

/// What became of a call that could bring an image in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The client went away before the end.
    Abandoned,
    /// The image was accepted and handed to containerd.
    Accepted,
    /// The image entered in audit mode, and would have been kept out otherwise.
    Audited,
    /// The policy refused the image, and an exemption let it in, for this once.
    Exempted,
    /// It failed for another reason than the policy.
    Failed,
    /// The call was refused before it became a pull.
    Refused,
    /// The policy did not accept the image.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Abandoned,
        Self::Accepted,
        Self::Audited,
        Self::Exempted,
        Self::Failed,
        Self::Refused,
        Self::Rejected,
    ];

    /// The outcome in one word, for metrics and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Accepted => "accepted",
            Self::Audited => "audited",
            Self::Exempted => "exempted",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
        }
    }

    /// The outcome of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// The `MESSAGE_ID` of each kind of record; the message catalogue has an entry for each.
pub mod message_id {
    macro_rules! message_ids {
        ($($(#[$doc:meta])+ $name:ident = $id:literal;)+) => {
            $($(#[$doc])+ pub const $name: &str = $id;)+

            /// All of them, with their names.
            pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $id),)+];
        };
    }

    message_ids! {
        /// The client went away before the pull ended.
        ABANDONED = "adf5309b7e1e4d5c8a53323234f4df5a";
        /// An image was accepted and handed to containerd.
        ACCEPTED = "ff786701c29646bc90ee23a17151529e";
        /// An image entered in audit mode that would have been kept out otherwise.
        AUDITED = "0ced0eeb99804b1eacd2fcc8ed2e36e6";
        /// A configuration that is not valid was not taken over.
        CONFIG_KEPT = "e0e3d434380645ddba11b04ac44f3cf4";
        /// The configuration was read again.
        CONFIG_READ = "09685412ed5e44d382320cad5b89e232";
        /// An exemption does not count.
        EXEMPTION_IGNORED = "6ebddd1ef834475f87f6633ba0680a57";
        /// A pull failed for another reason than the policy.
        FAILED = "308e61cbd1ff4a6c8bf75d1714920af2";
        /// policy.json or registries.d changed, and the change is in force.
        POLICY_CHANGED = "c66d7d63bf8c4da29f05887039d092bf";
        /// policy.json or registries.d cannot be used.
        POLICY_UNUSABLE = "a27f5d3bf03546aeb441a48d4e0d720c";
        /// A call was refused that is neither owned nor may pass.
        REFUSED_CALL = "9722f51419544303ade4b6fa9e6fee3c";
        /// The policy did not accept an image.
        REJECTED = "24b267fb1ed4420692ab1d6556c7322b";
        /// A container ran already when the daemon started.
        RUNNING = "b72bb01d12b54e86b09dfa79902cd340";
        /// How many containers ran already when the daemon started.
        RUNNING_TOTAL = "acd093ae09be40d0ab7530bdc463785c";
        /// The daemon started.
        STARTED = "6d017504146b418b92076f2c27faf114";
        /// A key or certificate that the policy trusts ends soon, or has ended.
        TRUST_ENDS = "e120701190fd4d1486d46b8fb4a57c36";
    }
}

#[cfg(test)]
mod tests {
    use super::message_id;

    #[test]
    fn message_ids_are_unique_and_of_journald_form() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, id) in message_id::ALL {
            let form = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(id.len() == 32 && id.bytes().all(form), "{name}");
            assert!(seen.insert(id), "{name} stands twice");
        }
    }
}
