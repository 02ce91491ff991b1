//! The journal: each outcome of a pull is exactly one record with a fixed `MESSAGE_ID`.
//!
//! Field names and message IDs are part of the contract with operators: they change with the
//! message catalogue, not with the code.

mod attempt;
mod fields;
pub mod log;
mod outcome;
mod reason;
mod running;
mod text;

pub use attempt::{Attempt, Signer};
pub use fields::FIELDS;
pub use outcome::{Outcome, message_id};
pub use reason::Reason;
pub use running::{Standing, running, running_total};
pub use text::{chain, printable};

use crate::metrics::Metrics;

/// Records a call that was refused before it became a pull: an unknown method of `ImageService`, or a
/// `PullImage` that cannot be read. `method` and `message` may be foreign text.
pub fn refused_call(metrics: &Metrics, method: &str, reason: Reason, message: &str) {
    metrics.call_refused(reason);
    let (method, message) = (printable(method), printable(message));
    tracing::warn!(
        MESSAGE_ID = message_id::REFUSED_CALL,
        CRI_METHOD = &*method,
        REASON = reason.code(),
        "refused {method}: {message}",
    );
}
