//! The fields of the journal: part of the contract with operators, as the reason codes are.
//!
//! `tracing` wants their names spelled out where a record is written. A test reads records back from
//! journald and holds what it finds, and the manual, to this list.

/// Every field that is ours, and what it holds. Those without a value are left out of a record.
pub const FIELDS: &[(&str, &str)] = &[
    ("ACCEPTED", "how many containers that run have an accepted image"),
    ("BYTES", "how many bytes of layers came over the network"),
    ("CONTAINER", "the name of the container in its pod"),
    ("CONTAINERD_VERSION", "the version that containerd says of itself"),
    ("CONTAINER_ID", "the ID of the container"),
    ("CRI_METHOD", "the path of the gRPC method that was called"),
    ("DURATION_US", "how long the pull took, in microseconds"),
    (
        "EXEMPTION",
        "the exemption that let the image in, or does not count: its file and its digest",
    ),
    ("IMAGE_DIGEST", "the digest of the manifest that the decision is about"),
    ("IMAGE_REF", "the reference of the image, in its full form once it is parsed"),
    ("KEY_FPR", "the fingerprint of each key that signed, separated by comma and space"),
    ("MESSAGE_ID", "the kind of record, 128 bits in hexadecimal digits"),
    ("MODE", "audit, if the image entered whatever the policy says"),
    ("NAMESPACE", "the namespace of the pod, if the request names one"),
    ("POD", "the name of the pod, if the request names one"),
    ("POLICY_FILE", "the policy.json that decided"),
    ("POLICY_HASH", "a digest of the policy and of registries.d"),
    ("POLICY_HASH_BEFORE", "the same, before a change"),
    ("POLICY_SCOPE", "where in the policy the requirements stand that decided"),
    ("PULL_ID", "the pull: the same in each record about it"),
    ("REASON", "the reason code, see below"),
    ("REJECTED", "how many containers that run have an image that the policy refuses"),
    ("SERVICE_ACCOUNT", "the pod's annotation kubernetes.io/service-account.name, if it has one"),
    ("SHA256_BACKEND", "the processor's instructions that hash"),
    ("SIGNER", "the name of each signer, as its key or certificate gives it"),
    ("SNAPSHOTTER", "the snapshotter that images are unpacked with"),
    ("SOCKET", "the CRI socket"),
    ("STANDING", "how a container that runs stands to the policy: accepted, rejected or unknown"),
    ("TRUST_ANCHOR", "the key or certificate that ends: its fingerprint or its name"),
    ("TRUST_ENDS", "when it ends, in UTC as RFC 3339 writes it"),
    ("TRUST_FILE", "the file that holds it"),
    ("UNKNOWN", "of how many containers that run the node does not know"),
    ("VERSION", "the version of pullgate"),
];
