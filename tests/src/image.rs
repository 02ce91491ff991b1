//! Images made to a recipe, the same bytes on every run.

use std::io::Write;

use pullgate_policy::digest::Digest;
use serde_json::{Value, json};

use crate::registry::Registry;

const TIME: &str = "2024-01-01T00:00:00Z";
const TIME_SECONDS: u64 = 1_704_067_200;

/// The media types of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OCI image specification 1.
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// Not at all.
    Plain,
}

/// Content and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its media type.
    pub media_type: String,
    /// `sha256:` and the digest of the bytes.
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Bytes under their own digest.
    #[must_use]
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = Digest::sha256(&bytes).to_string();
        Self { media_type: media_type.to_owned(), digest, bytes }
    }

    fn of(media_type: &str, document: &Value) -> Self {
        Self::new(media_type, document.to_string().into_bytes())
    }

    /// Its descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The manifest.
    pub manifest: Blob,
    /// The image configuration; its digest is the image ID.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
}

impl Image {
    /// Puts the image into `registry` and lets `tag` name it.
    pub fn store(&self, registry: &Registry, repository: &str, tag: &str) {
        self.store_untagged(registry, repository);
        registry.tag(repository, tag, &self.manifest.digest);
    }

    /// The image as an archive that `ctr image import` reads, under `name`.
    #[must_use]
    pub fn archive(&self, name: &str) -> Vec<u8> {
        let mut entry = self.manifest.descriptor();
        entry["annotations"] = json!({"io.containerd.image.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes();
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes();
        let mut files = vec![("oci-layout".to_owned(), layout), ("index.json".to_owned(), index)];
        for blob in self.layers.iter().chain([&self.config, &self.manifest]) {
            files.push((format!("blobs/{}", blob.digest.replace(':', "/")), blob.bytes.clone()));
        }
        tar(&files)
    }

    /// Puts the image into `registry`; only its digest names it.
    pub fn store_untagged(&self, registry: &Registry, repository: &str) {
        for blob in self.layers.iter().chain([&self.config]) {
            registry.put_blob(repository, &blob.digest, &blob.bytes);
        }
        registry.put_manifest(repository, &self.manifest.digest, &self.manifest.bytes);
    }
}

/// Images for several platforms under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The index document.
    pub document: Blob,
    /// The images, in its order, and the attestation that is none.
    pub images: Vec<Image>,
}

impl Index {
    /// An OCI index of `images`, each with what the entry says of its platform.
    #[must_use]
    pub fn new(entries: Vec<(Value, Image)>) -> Self {
        let manifests: Vec<Value> = entries
            .iter()
            .map(|(platform, image)| {
                let mut entry = image.manifest.descriptor();
                entry["platform"] = platform.clone();
                entry
            })
            .collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let document = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        let images = entries.into_iter().map(|(_, image)| image).collect();
        Self { document: Blob::of(media_type, &document), images }
    }

    /// Puts the index with its images into `registry` and lets `tag` name it.
    pub fn store(&self, registry: &Registry, repository: &str, tag: &str) {
        for image in &self.images {
            image.store_untagged(registry, repository);
        }
        registry.put_manifest(repository, &self.document.digest, &self.document.bytes);
        registry.tag(repository, tag, &self.document.digest);
    }
}

/// How to make an image. Starts as an OCI image with gzip layers for this machine.
#[derive(Debug, Clone)]
pub struct Recipe {
    format: Format,
    compression: Compression,
    architecture: String,
    variant: Option<String>,
    layers: Vec<Files>,
}

/// The files of a layer: paths and contents.
pub type Files = Vec<(String, Vec<u8>)>;

impl Default for Recipe {
    fn default() -> Self {
        Self::new()
    }
}

impl Recipe {
    /// No layer yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            format: Format::Oci,
            compression: Compression::Gzip,
            architecture: architecture().to_owned(),
            variant: None,
            layers: Vec::new(),
        }
    }

    /// Sets the media types.
    #[must_use]
    pub const fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets the compression of all layers.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the platform in the configuration.
    #[must_use]
    pub fn platform(mut self, architecture: &str, variant: Option<&str>) -> Self {
        architecture.clone_into(&mut self.architecture);
        self.variant = variant.map(str::to_owned);
        self
    }

    /// Adds a layer of one small file, whose content is `text`.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.files(vec![("hello.txt".to_owned(), text.as_bytes().to_vec())])
    }

    /// Adds a layer.
    #[must_use]
    pub fn files(mut self, files: Files) -> Self {
        self.layers.push(files);
        self
    }

    /// Makes it.
    #[must_use]
    pub fn build(&self) -> Image {
        self.build_with(|_| {}, |_| {})
    }

    /// Makes it with changes to the configuration and the manifest before they are hashed.
    #[must_use]
    pub fn build_with(
        &self,
        change_config: impl FnOnce(&mut Value),
        change_manifest: impl FnOnce(&mut Value),
    ) -> Image {
        let (diff_ids, layers): (Vec<String>, Vec<Blob>) =
            self.layers.iter().map(|files| self.layer(files)).unzip();
        let mut config = self.config(&diff_ids);
        change_config(&mut config);
        let config = Blob::of(self.config_type(), &config);
        let descriptors: Vec<Value> = layers.iter().map(Blob::descriptor).collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.manifest_type(),
            "config": config.descriptor(),
            "layers": descriptors,
        });
        change_manifest(&mut manifest);
        Image { manifest: Blob::of(self.manifest_type(), &manifest), config, layers }
    }

    fn layer(&self, files: &Files) -> (String, Blob) {
        let tar = Blob::new(self.layer_type(), tar(files));
        let bytes = match self.compression {
            Compression::Gzip => gzip(&tar.bytes),
            Compression::Zstd => zstd::encode_all(&*tar.bytes, 3).expect("zstd into memory"),
            Compression::Plain => return (tar.digest.clone(), tar),
        };
        (tar.digest, Blob::new(self.layer_type(), bytes))
    }

    fn config(&self, diff_ids: &[String]) -> Value {
        let history: Vec<Value> = (0..diff_ids.len())
            .map(|layer| json!({"created": TIME, "created_by": format!("layer {layer}")}))
            .collect();
        let mut config = json!({
            "created": TIME,
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        config
    }

    const fn manifest_type(&self) -> &'static str {
        match self.format {
            Format::Oci => "application/vnd.oci.image.manifest.v1+json",
            Format::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    const fn config_type(&self) -> &'static str {
        match self.format {
            Format::Oci => "application/vnd.oci.image.config.v1+json",
            Format::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    const fn layer_type(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Oci, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Format::Oci, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Format::Oci, Compression::Plain) => "application/vnd.oci.image.layer.v1.tar",
            (Format::Docker, Compression::Gzip) => {
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
            }
            (Format::Docker, Compression::Zstd) => {
                "application/vnd.docker.image.rootfs.diff.tar.zstd"
            }
            (Format::Docker, Compression::Plain) => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }
}

/// The architecture of this machine, in the words of image configurations.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What an entry of a tar has besides its content, and a little more.
const HEADERS: usize = 2048;

fn tar(files: &Files) -> Vec<u8> {
    let bytes = files.iter().map(|(_, content)| content.len() + HEADERS).sum();
    let mut archive = tar::Builder::new(Vec::with_capacity(bytes));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if content.starts_with(b"\x7fELF") { 0o755 } else { 0o644 });
        header.set_mtime(TIME_SECONDS);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, &**content).expect("tar into memory");
    }
    archive.into_inner().expect("tar into memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("gzip into memory");
    encoder.finish().expect("gzip into memory")
}
