//! What image records point to, kept in memory for as long as containerd tells of their changes.
//!
//! A container is created of an image that is looked up by its ID; asking containerd for that record is
//! most of what such a call would cost. containerd publishes an event for every image record that is
//! created, changed or deleted. One such event, or the end of their stream, empties the memory. It comes
//! a moment after the change, as it does to containerd's own CRI plugin, which resolves IDs by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::services::v1::{PublishRequest, SubscribeRequest};
use prost_types::Any;

use super::error::of;
use super::present::Target;
use super::{Containerd, HandoffError, NAMESPACE, request, stream};

/// The event that is published to see that events arrive: containerd answers a subscription only with
/// its first event.
const WATCHING: &str = "/pullgate/watching";

/// Pause before the next try, when containerd does not send events.
const PAUSE: Duration = Duration::from_secs(1);

/// Most records that are kept. A node has some hundred images.
const MOST: usize = 4096;

/// The records that were looked up.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether changes are told. Nothing is kept without.
    told: bool,
    /// How often the memory was emptied: what was asked before that is not kept.
    changes: u64,
    targets: HashMap<String, Target>,
}

impl Known {
    fn forget(&mut self) {
        self.changes += 1;
        self.targets.clear();
    }
}

/// A moment in the life of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl Records {
    /// What the record `name` points to, if it is known; or the moment at which it was not.
    pub(super) fn get(&self, name: &str) -> Result<Target, Moment> {
        let known = self.known();
        known.targets.get(name).cloned().ok_or(Moment(known.changes))
    }

    /// Keeps what was asked for after `moment`, if no record has changed since.
    pub(super) fn keep(&self, moment: Moment, name: &str, target: &Target) {
        let mut known = self.known();
        if known.told && moment == Moment(known.changes) && known.targets.len() < MOST {
            known.targets.insert(name.to_owned(), target.clone());
        }
    }

    /// Forgets all. From now on changes are told, or not.
    fn forget(&self, told: bool) {
        let mut known = self.known();
        known.told = told;
        known.forget();
    }

    /// Forgets all, because a record is written here: the event about it comes later.
    pub(super) fn changed(&self) {
        self.known().forget();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Containerd {
    /// Follows the changes of image records, for ever. Without it each record is asked for.
    pub async fn follow_records(&self) {
        loop {
            if let Err(error) = self.follow().await {
                tracing::debug!(%error, "image records are not kept in memory");
            }
            self.records.forget(false);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns when the stream of events ends.
    async fn follow(&self) -> Result<(), HandoffError> {
        const CALL: &str = "events.Subscribe";
        let images = format!("topic~=\"^/images/\",namespace=={NAMESPACE}");
        let filters = vec![images, format!("topic==\"{WATCHING}\"")];
        let mut client = EventsClient::new(self.channel.clone());
        let begun = tokio::select! {
            begun = client.subscribe(stream(SubscribeRequest { filters })) => begun,
            error = self.announce() => return Err(error),
        };
        let mut events = begun.map_err(of(CALL))?.into_inner();
        while events.message().await.map_err(of(CALL))?.is_some() {
            self.records.forget(true);
        }
        Ok(())
    }

    /// Publishes an event again and again; ends when that fails. The subscription may not have begun at
    /// the first.
    async fn announce(&self) -> HandoffError {
        let mut client = EventsClient::new(self.channel.clone());
        loop {
            let event = Any { type_url: "google.protobuf.Empty".to_owned(), value: Vec::new() };
            let message = PublishRequest { topic: WATCHING.to_owned(), event: Some(event) };
            if let Err(status) = client.publish(request(message)).await {
                return of("events.Publish")(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use pullgate_policy::digest::Digest;

    use super::{MOST, Records, Target};

    fn target(text: &str) -> Target {
        Target { media_type: String::new(), digest: Digest::sha256(text.as_bytes()) }
    }

    fn ask(records: &Records, name: &str) {
        let moment = records.get(name).unwrap_err();
        records.keep(moment, name, &target("one"));
    }

    #[test]
    fn nothing_is_kept_while_changes_are_not_told() {
        let records = Records::default();
        ask(&records, "a");
        records.get("a").unwrap_err();
        records.changed();
        ask(&records, "a");
        records.get("a").unwrap_err();
    }

    #[test]
    fn a_change_empties_the_memory() {
        let records = Records::default();
        records.forget(true);
        let told = |records: &Records| records.forget(true);
        let ended = |records: &Records| records.forget(false);
        for end in [Records::changed, told, ended] {
            records.forget(true);
            ask(&records, "a");
            assert_eq!(records.get("a"), Ok(target("one")));
            records.get("b").unwrap_err();
            end(&records);
            records.get("a").unwrap_err();
        }
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let records = Records::default();
        records.forget(true);
        let moment = records.get("a").unwrap_err();
        records.changed();
        records.keep(moment, "a", &target("old"));
        records.get("a").unwrap_err();
    }

    #[test]
    fn the_memory_is_bounded() {
        let records = Records::default();
        records.forget(true);
        for number in 0..=MOST {
            ask(&records, &number.to_string());
        }
        records.get(&(MOST - 1).to_string()).unwrap();
        records.get(&MOST.to_string()).unwrap_err();
    }
}
