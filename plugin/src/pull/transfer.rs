//! The transfer of an admitted image: content, snapshots, records, under one lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use pullgate_policy::Admission;
use pullgate_policy::limits;
use pullgate_policy::manifest::{Descriptor, ImageConfig, Index, Layer};
use tokio::sync::mpsc;

use super::image::{Image, Part};
use super::precedence::Precedence;
use super::{ImageId, PullError};
use crate::containerd::content::{self, Committed, Decompressed, IngestError, Kind, Labels};
use crate::containerd::image::{Parts, publish};
use crate::containerd::lease::Lease;
use crate::containerd::{Containerd, HandoffError, cri_store, snapshot};
use crate::registry::{RegistryError, Repository};

/// How often unpacking starts again because a parent snapshot was collected under it.
const UNPACK_ATTEMPTS: usize = 3;

/// An image on its way into containerd.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    containerd: &'a Containerd,
    repository: &'a Repository,
    parallel_layers: usize,
    snapshotter: String,
    lease: Lease,
    bytes: Arc<AtomicU64>,
}

impl<'a> Transfer<'a> {
    /// Takes a lease on what is about to be written.
    pub(super) async fn begin(
        containerd: &'a Containerd,
        repository: &'a Repository,
        parallel_layers: usize,
    ) -> Result<Self, HandoffError> {
        let (snapshotter, lease) =
            tokio::try_join!(containerd.snapshotter(), Lease::create(containerd))?;
        let bytes = Arc::default();
        Ok(Self { containerd, repository, parallel_layers, snapshotter, lease, bytes })
    }

    /// Bytes of blobs that came over the network so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives the lease of an image that did not get through back: the collector removes everything.
    pub(super) async fn give_up(self) {
        if let Err(error) = self.lease.release().await {
            tracing::debug!(%error, "the lease is left to expire");
        }
    }

    /// Writes everything, and the image records last: containerd's garbage collector and its CRI plugin
    /// never see a half image (containerd-handoff.md 1.4).
    pub(super) async fn hand_over(
        &self,
        admission: &Admission,
        image: &Image,
        pinned: bool,
    ) -> Result<ImageId, PullError> {
        let digest = &image.content.config().digest;
        let malformed = |source| PullError::Manifest { image: digest.to_string(), source };
        let (body, proof) =
            self.repository.small_blob(image.content.config(), limits::CONFIG_BYTES).await?;
        let config = ImageConfig::parse(&body).map_err(malformed)?;
        let layers = image.content.layers(&config).map_err(malformed)?;
        let source = self.source(admission);
        let part = Part { descriptor: image.content.config().clone(), body, proof };
        let mut labels = source.clone();
        labels
            .extend(layers.last().map(|top| snapshot::reference(&self.snapshotter, &top.chain_id)));

        let ((top, manifest), config, ()) = tokio::try_join!(
            self.put_manifests(image, &layers, &source).boxed(),
            self.put(Kind::Config, &part, &labels).boxed(),
            self.layers(&layers, &source).boxed(),
        )?;
        let id = config.digest().clone();
        let parts = Parts { top, manifest, config };
        let names = publish(&self.lease, admission, &parts, pinned).await?;
        cri_store::wait(self.containerd, &id, &names, cri_store::PATIENCE).await?;
        Ok(ImageId(id.to_string()))
    }

    /// The label that every blob of the image gets.
    fn source(&self, admission: &Admission) -> Labels {
        let reference = admission.reference().reference();
        let host = reference.domain();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        Labels::from([content::distribution_source(host, reference.path())])
    }

    /// Commits the index, if there is one, and the manifest, each with references to what it names.
    async fn put_manifests(
        &self,
        image: &Image,
        layers: &[Layer],
        source: &Labels,
    ) -> Result<(Committed, Committed), PullError> {
        let mut labels = source.clone();
        labels.insert(reference("config"), image.content.config().digest.to_string());
        for (index, layer) in layers.iter().enumerate() {
            let digest = layer.descriptor.digest.to_string();
            labels.insert(reference(&format!("l.{index}")), digest);
        }
        let top = match &image.index {
            Some((part, index)) => {
                let labels = source.clone().into_iter().chain(children(index)).collect();
                Some(self.put(Kind::Index, part, &labels).await?)
            }
            None => None,
        };
        let manifest = self.put(Kind::Manifest, &image.manifest, &labels).await?;
        Ok((top.unwrap_or_else(|| manifest.clone()), manifest))
    }

    async fn put(&self, kind: Kind, part: &Part, labels: &Labels) -> Result<Committed, PullError> {
        let body = part.body.clone();
        let open =
            async { Ok::<_, RegistryError>(stream::iter([Ok::<Bytes, RegistryError>(body)])) };
        Ok(content::ingest(&self.lease, kind, &part.descriptor, labels, open).await?)
    }

    /// Fetches layers side by side and unpacks each as soon as those below it are unpacked. Those that
    /// are unpacked already are not fetched, as in containerd's own pull: a chain ID stands for the
    /// very diffIDs that the verified configuration names.
    async fn layers(&self, layers: &[Layer], source: &Labels) -> Result<(), PullError> {
        let layers = layers.split_at(self.unpacked(layers).await?).1;
        let (fetched, mut waiting) = mpsc::unbounded_channel();
        let precedence = &Precedence::default();
        let fetches: Vec<_> = layers
            .iter()
            .enumerate()
            .map(|(position, layer)| self.fetch(&layer.descriptor, source, precedence, position))
            .collect();
        let fetch =
            stream::iter(fetches).buffered(self.parallel_layers).try_for_each(|committed| {
                // The receiver lives as long as this future.
                drop(fetched.send(committed));
                std::future::ready(Ok(()))
            });
        let (ready, mut unpackable) = mpsc::channel(1);
        // Layers that are unpacked.
        let done = &AtomicUsize::new(0);
        let decompress = async {
            let ready = ready;
            for (position, layer) in layers.iter().enumerate() {
                // Two archives are there at most: one that is unpacked, and the next one.
                let Ok(room) = ready.reserve().await else { break };
                precedence.give(Some(position));
                let Some(blob) = waiting.recv().await else { break };
                precedence.give(None);
                let beside = done.load(Ordering::Relaxed) < position;
                let archive = Decompressed::of(&self.lease, &blob, &layer.diff_id, beside).await;
                room.send((blob, archive));
            }
            Ok(())
        };
        let (unpacked, mut unlabelled) = mpsc::unbounded_channel();
        let unpack = async {
            let unpacked = unpacked;
            let mut committed = Vec::with_capacity(layers.len());
            for layer in layers {
                let Some((blob, archive)) = unpackable.recv().await else { break };
                committed.push(blob.clone());
                self.unpack(layers, &committed, archive.as_ref()).await?;
                done.store(committed.len(), Ordering::Relaxed);
                drop(unpacked.send((layer, blob, archive)));
            }
            Ok(())
        };
        let label = async {
            while let Some((layer, blob, archive)) = unlabelled.recv().await {
                if let Some(archive) = archive {
                    archive.remove().await;
                }
                snapshot::label(&self.lease, layer, &blob).await?;
            }
            Ok(())
        };
        tokio::try_join!(fetch, decompress, unpack, label).map(drop)
    }

    /// How many of the lowest layers are unpacked already. Only those count that are there when the
    /// lease keeps them; what the transfer itself writes, containerd puts under the lease.
    async fn unpacked(&self, layers: &[Layer]) -> Result<usize, HandoffError> {
        for (position, layer) in layers.iter().enumerate() {
            let exists = || snapshot::exists(self.containerd, &self.snapshotter, &layer.chain_id);
            if !exists().await? {
                return Ok(position);
            }
            self.lease.keep_snapshot(&self.snapshotter, &layer.chain_id).await?;
            if !exists().await? {
                return Ok(position);
            }
        }
        Ok(layers.len())
    }

    async fn fetch(
        &self,
        blob: &Descriptor,
        source: &Labels,
        precedence: &Precedence,
        position: usize,
    ) -> Result<Committed, PullError> {
        let open = async {
            let bytes = Arc::clone(&self.bytes);
            let stream = self.repository.blob(blob).await?;
            let stream = stream.inspect_ok(move |chunk| {
                bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            });
            Ok(stream.then(move |chunk| async move {
                precedence.arrived(position).await;
                chunk
            }))
        };
        let ingest = content::ingest(&self.lease, Kind::Layer, blob, source, open).boxed();
        ingest.await.map_err(|error: IngestError<RegistryError>| error.into())
    }

    /// Unpacks the last of `committed`, from its archive if there is one; all of them again where a
    /// parent went away meanwhile.
    async fn unpack(
        &self,
        layers: &[Layer],
        committed: &[Committed],
        archive: Option<&Decompressed>,
    ) -> Result<(), HandoffError> {
        let last = committed.len().saturating_sub(1);
        let mut from = last;
        for attempt in 1..=UNPACK_ATTEMPTS {
            let outcome = async {
                for (position, (layer, blob)) in layers.iter().zip(committed).enumerate().skip(from)
                {
                    let archive = archive.filter(|_| position == last);
                    snapshot::unpack(&self.lease, &self.snapshotter, layer, blob, archive).await?;
                }
                Ok(())
            };
            match outcome.await {
                Err(HandoffError::ParentMissing { .. }) if attempt < UNPACK_ATTEMPTS => from = 0,
                outcome => return outcome,
            }
        }
        Ok(())
    }
}

/// References to every manifest of an index, also to those that were not fetched.
fn children(index: &Index) -> impl Iterator<Item = (String, String)> {
    let manifests = index.manifests.iter().enumerate();
    manifests
        .map(|(position, child)| (reference(&format!("m.{position}")), child.digest.to_string()))
}

/// A label by which the collector follows content to other content.
fn reference(what: &str) -> String {
    format!("containerd.io/gc.ref.content.{what}")
}
