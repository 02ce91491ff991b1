//! What containerd's content store holds, and how damaged content is taken out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::introspection_client::IntrospectionClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    DeleteContentRequest, DeleteImageRequest, ListContentRequest, ListImagesRequest,
    ListNamespacesRequest, PluginsRequest,
};
use pullgate_policy::digest::Digest;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status};

use super::error::of;
use super::lease::Lease;
use super::{Containerd, HandoffError, NAMESPACE, request, request_in};

/// Labels with which content refers to content.
const REFERENCE: &str = "containerd.io/gc.ref.content";

/// The content store at one moment.
#[derive(Debug)]
pub struct Inventory {
    folder: PathBuf,
    namespaces: Vec<Namespace>,
}

#[derive(Debug)]
struct Namespace {
    name: MetadataValue<Ascii>,
    blobs: BTreeMap<Digest, Blob>,
    images: BTreeMap<String, Digest>,
}

#[derive(Debug)]
struct Blob {
    size: u64,
    children: BTreeSet<Digest>,
}

impl Inventory {
    /// What Kubernetes' images hold: each blob with its size, in the order of digests.
    pub fn blobs(&self) -> impl Iterator<Item = (&Digest, u64)> {
        let ours = self.namespaces.iter().find(|namespace| namespace.name == NAMESPACE);
        ours.into_iter()
            .flat_map(|ours| ours.blobs.iter().map(|(digest, blob)| (digest, blob.size)))
    }

    /// The file that holds a blob.
    #[must_use]
    pub fn file(&self, digest: &Digest) -> PathBuf {
        blobs(&self.folder, digest).join(digest.hex())
    }

    /// The images that consist of a blob among others, in Kubernetes' namespace.
    #[must_use]
    pub fn users(&self, digest: &Digest) -> Vec<&str> {
        let ours = self.namespaces.iter().find(|namespace| namespace.name == NAMESPACE);
        ours.into_iter().flat_map(|ours| ours.users(digest)).collect()
    }
}

impl Namespace {
    fn users(&self, digest: &Digest) -> Vec<&str> {
        let uses = |target: &&Digest| self.reaches(target, digest);
        let users = self.images.iter().filter(|(_, target)| uses(target));
        users.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether `digest` is `from`, or is referred to by it over any number of steps.
    fn reaches(&self, from: &Digest, digest: &Digest) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(current) = next.pop() {
            if current == digest {
                return true;
            }
            if seen.insert(current) {
                next.extend(self.blobs.get(current).into_iter().flat_map(|blob| &blob.children));
            }
        }
        false
    }
}

impl Containerd {
    /// Lists the content and the images of every namespace.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn inventory(&self) -> Result<Inventory, HandoffError> {
        let list = request(ListNamespacesRequest::default());
        let answer = NamespacesClient::new(self.channel.clone()).list(list).await;
        let answer = answer.map_err(of("namespaces.List"))?.into_inner();
        let mut namespaces = Vec::new();
        for namespace in answer.namespaces {
            namespaces.push(self.namespace(&namespace.name).await?);
        }
        Ok(Inventory { folder: self.content_folder().await?, namespaces })
    }

    pub(super) async fn content_folder(&self) -> Result<PathBuf, HandoffError> {
        const CALL: &str = "introspection.Plugins";
        let filters = vec!["type==io.containerd.content.v1".to_owned()];
        let plugins = request(PluginsRequest { filters });
        let answer = IntrospectionClient::new(self.channel.clone()).plugins(plugins).await;
        let plugins = answer.map_err(of(CALL))?.into_inner().plugins;
        let folder = plugins.into_iter().find_map(|mut plugin| plugin.exports.remove("root"));
        let folder =
            folder.ok_or(HandoffError::Unexpected { call: CALL, what: "no content folder" });
        folder.map(PathBuf::from)
    }

    async fn namespace(&self, name: &str) -> Result<Namespace, HandoffError> {
        const CALL: &str = "content.List";
        let what = "a namespace whose name is not ASCII";
        #[expect(clippy::map_err_ignore, reason = "the error says no more than its words")]
        let name: MetadataValue<Ascii> =
            name.parse().map_err(|_| HandoffError::Unexpected { call: "namespaces.List", what })?;

        let list = request_in(&name, ListContentRequest::default());
        let answer = ContentClient::new(self.channel.clone()).list(list).await;
        let mut answers = answer.map_err(of(CALL))?.into_inner();
        let mut blobs = BTreeMap::new();
        while let Some(part) = answers.message().await.map_err(of(CALL))? {
            for info in part.info {
                let labels = info.labels.into_iter();
                let references = labels.filter(|(key, _)| key.starts_with(REFERENCE));
                let children = references.filter_map(|(_, value)| value.parse().ok()).collect();
                let size = u64::try_from(info.size).unwrap_or_default();
                blobs.insert(digest(CALL, &info.digest)?, Blob { size, children });
            }
        }
        let list = request_in(&name, ListImagesRequest::default());
        let answer = ImagesClient::new(self.channel.clone()).list(list).await;
        let answer = answer.map_err(of("images.List"))?.into_inner();
        let mut images = BTreeMap::new();
        for image in answer.images {
            let target = image.target.unwrap_or_default().digest;
            images.insert(image.name, digest("images.List", &target)?);
        }
        Ok(Namespace { name, blobs, images })
    }

    /// Takes a blob out of every namespace that has it, with the image records that lead to it, so that
    /// the next pull fetches it again. Returns when its file is gone; `false` if it stays.
    ///
    /// Snapshots that were unpacked before stay as long as a container or another image needs them.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd refuses.
    pub async fn discard(
        &self,
        inventory: &Inventory,
        digest: &Digest,
    ) -> Result<bool, HandoffError> {
        for namespace in &inventory.namespaces {
            for name in namespace.users(digest) {
                let message = DeleteImageRequest { name: name.to_owned(), ..Default::default() };
                let delete = request_in(&namespace.name, message);
                let deleted = ImagesClient::new(self.channel.clone()).delete(delete).await;
                gone(deleted.map(drop)).map_err(of("images.Delete"))?;
            }
            if namespace.blobs.contains_key(digest) {
                let message = DeleteContentRequest { digest: digest.to_string() };
                let delete = request_in(&namespace.name, message);
                let deleted = ContentClient::new(self.channel.clone()).delete(delete).await;
                gone(deleted.map(drop)).map_err(of("content.Delete"))?;
            }
        }
        // A pull that found the file before the collector did would take it as it is.
        Lease::create(self).await?.release_and_collect().await?;
        Ok(!exists(&inventory.file(digest)))
    }
}

/// Where the content folder has blobs of the same algorithm as `digest`.
pub(super) fn blobs(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().name())
}

fn exists(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

/// What somebody else has removed is gone, too.
fn gone(deleted: Result<(), Status>) -> Result<(), Status> {
    match deleted {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn digest(call: &'static str, text: &str) -> Result<Digest, HandoffError> {
    text.parse().map_err(|_not_a_digest| HandoffError::Unexpected { call, what: "no digest" })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use pullgate_policy::digest::Digest;
    use tonic::metadata::MetadataValue;

    use super::{Blob, Inventory, NAMESPACE, Namespace};

    #[test]
    fn images_are_found_through_any_number_of_references() {
        let digest = |text: &str| Digest::sha256(text.as_bytes());
        let blob = |children: &[&str]| {
            let children: BTreeSet<Digest> = children.iter().map(|text| digest(text)).collect();
            Blob { size: 1, children }
        };
        let blobs = BTreeMap::from([
            (digest("index"), blob(&["manifest", "elsewhere"])),
            (digest("manifest"), blob(&["config", "layer"])),
            (digest("other"), blob(&["layer"])),
            (digest("layer"), blob(&[])),
            // A circle, which no honest client makes.
            (digest("one"), blob(&["two"])),
            (digest("two"), blob(&["one"])),
        ]);
        let images = [("a", "index"), ("b", "other"), ("c", "one"), ("d", "manifest")];
        let images = images.map(|(name, target)| (name.to_owned(), digest(target)));
        let name = MetadataValue::from_static(NAMESPACE);
        let namespace = Namespace { name, blobs, images: images.into() };
        let inventory = Inventory { folder: "/c".into(), namespaces: vec![namespace] };
        for (blob, expected) in [
            ("index", &["a"][..]),
            ("manifest", &["a", "d"]),
            ("layer", &["a", "b", "d"]),
            ("config", &["a", "d"]),
            ("elsewhere", &["a"]),
            ("two", &["c"]),
            ("unknown", &[]),
        ] {
            assert_eq!(inventory.users(&digest(blob)), expected, "{blob}");
        }
    }
}
