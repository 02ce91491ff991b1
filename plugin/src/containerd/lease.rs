//! Leases keep what a pull has written from the garbage collector until the image record refers to
//! it. A pull that ends in any way releases its lease, and the collector removes what is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{AddResourceRequest, CreateRequest, DeleteRequest, Resource};
use pullgate_policy::digest::Digest;
use tonic::metadata::{Ascii, MetadataValue};

use super::error::of;
use super::{Containerd, HandoffError, request, stream};

/// As long as containerd's own pull: an expired lease is collected with its content.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

const CREATE: &str = "leases.Create";

/// A lease on everything that one pull writes. Dropping it releases it in the background.
#[derive(Debug)]
pub struct Lease {
    containerd: Containerd,
    id: String,
    metadata: MetadataValue<Ascii>,
    held: bool,
}

impl Lease {
    /// A new lease that expires by itself after 24 hours. One that nobody waits for any longer when
    /// containerd grants it is given back.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not grant it.
    pub async fn create(containerd: &Containerd) -> Result<Self, HandoffError> {
        let owned = containerd.clone();
        let granted = containerd.cleanups.spawn(async move { Self::take(&owned).await });
        granted.await.unwrap_or(Err(HandoffError::Unexpected { call: CREATE, what: "a panic" }))
    }

    async fn take(containerd: &Containerd) -> Result<Self, HandoffError> {
        let id = format!("pullgate-{}", unique());
        #[expect(clippy::map_err_ignore, reason = "the id is ASCII by construction")]
        let metadata = id
            .parse()
            .map_err(|_| HandoffError::Unexpected { call: CREATE, what: "an unusable lease id" })?;
        let expiry = humantime::format_rfc3339_seconds(SystemTime::now() + LIFETIME).to_string();
        let labels = HashMap::from([("containerd.io/gc.expire".to_owned(), expiry)]);
        let message = CreateRequest { id: id.clone(), labels };
        LeasesClient::new(containerd.channel.clone())
            .create(request(message))
            .await
            .map_err(of(CREATE))?;
        Ok(Self { containerd: containerd.clone(), id, metadata, held: true })
    }

    /// Keeps a snapshot, also one that does not exist yet: containerd 1.6 does not add a snapshot that
    /// is already there to the lease that prepares it (containerd-handoff.md 1.4.2).
    ///
    /// # Errors
    /// [`HandoffError`] if containerd refuses.
    pub async fn keep_snapshot(
        &self,
        snapshotter: &str,
        chain_id: &Digest,
    ) -> Result<(), HandoffError> {
        let (id, r#type) = (chain_id.to_string(), format!("snapshots/{snapshotter}"));
        let message =
            AddResourceRequest { id: self.id.clone(), resource: Some(Resource { id, r#type }) };
        LeasesClient::new(self.containerd.channel.clone())
            .add_resource(request(message))
            .await
            .map_err(of("leases.AddResource"))?;
        Ok(())
    }

    /// Gives the lease back. What no image record refers to is collected.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd refuses; the lease then expires by itself.
    pub async fn release(mut self) -> Result<(), HandoffError> {
        self.held = false;
        delete(&self.containerd, self.id.clone(), false).await
    }

    /// Gives the lease back, and returns when everything that nothing refers to has been collected, in
    /// all namespaces.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd refuses.
    pub async fn release_and_collect(mut self) -> Result<(), HandoffError> {
        self.held = false;
        delete(&self.containerd, self.id.clone(), true).await
    }

    pub(super) const fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// A request under this lease, with a deadline.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = request(message);
        request.metadata_mut().insert("containerd-lease", self.metadata.clone());
        request
    }

    /// A request under this lease that ends when its work does.
    pub(super) fn stream<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = stream(message);
        request.metadata_mut().insert("containerd-lease", self.metadata.clone());
        request
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let (containerd, id) = (self.containerd.clone(), std::mem::take(&mut self.id));
        self.containerd.cleanups.spawn(async move {
            if let Err(error) = delete(&containerd, id, false).await {
                tracing::debug!(%error, "a lease is left to expire");
            }
        });
    }
}

async fn delete(containerd: &Containerd, id: String, sync: bool) -> Result<(), HandoffError> {
    LeasesClient::new(containerd.channel.clone())
        .delete(request(DeleteRequest { id, sync }))
        .await
        .map_err(of("leases.Delete"))?;
    Ok(())
}

/// A name that no other pull on this node has.
pub(super) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", since_epoch.as_nanos(), std::process::id())
}
