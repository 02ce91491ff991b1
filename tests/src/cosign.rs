//! cosign of a Debian suite: keys, and signatures attached to images in a registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::place;
use crate::process::{run, with_usr};

/// A version of cosign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 2.5, of Debian 13 (trixie).
    V2,
    /// 3.1, of forky.
    V3,
}

/// A key pair in a directory of its own.
#[derive(Debug)]
pub struct Cosign {
    version: Version,
    home: TempDir,
}

impl Cosign {
    /// Makes a key pair. None, said loudly, if the suite could not be reached when the tests were set
    /// up.
    #[must_use]
    pub fn new(version: Version) -> Option<Self> {
        let containerd = match version {
            Version::V2 => crate::version::Version::V1_7,
            Version::V3 => crate::version::Version::V2_1,
        };
        if !crate::version::Version::available().contains(&containerd) {
            return None;
        }
        let cosign = Self { version, home: place::on_disk("cosign") };
        run(cosign.command().arg("generate-key-pair"));
        Some(cosign)
    }

    /// The public key, for `keyPath`.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.home.path().join("cosign.pub")
    }

    /// Signs the image `name`, which has a digest, and attaches the signature under its `.sig` tag.
    /// Nothing is sent anywhere else.
    pub fn sign(&self, name: &str) {
        let mut command = self.command();
        command.args(["sign", "--key", "cosign.key", "--yes", "--allow-http-registry"]);
        command.arg("--tlog-upload=false");
        if self.version == Version::V3 {
            command.args(["--new-bundle-format=false", "--use-signing-config=false"]);
        }
        run(command.arg(name));
    }

    /// Signs the image `name`, which has a digest, as cosign 3 does by default: with a bundle that refers to
    /// the image. Nothing is sent anywhere else.
    pub fn sign_with_bundle(&self, name: &str) {
        self.sign_with_bundle_and(&[], name);
    }

    /// [`Self::sign_with_bundle`], with a timestamp of the authority at `url`.
    pub fn sign_with_timestamp(&self, url: &str, name: &str) {
        self.sign_with_bundle_and(&["--timestamp-server-url", url], name);
    }

    fn sign_with_bundle_and(&self, options: &[&str], name: &str) {
        assert_eq!(self.version, Version::V3, "only cosign 3 makes bundles");
        let mut command = self.command();
        command.args(["sign", "--key", "cosign.key", "--yes", "--allow-http-registry"]);
        command.args(["--use-signing-config=false", "--tlog-upload=false"]).args(options);
        run(command.arg(name));
    }

    fn command(&self) -> Command {
        let suite = match self.version {
            Version::V2 => "trixie",
            Version::V3 => "forky",
        };
        let usr = place::suite(suite).join("usr");
        assert!(usr.join("bin/cosign").is_file(), "no cosign in {}", usr.display());
        let mut command = with_usr(&usr, "/usr/bin/cosign");
        let home: &Path = self.home.path();
        command.current_dir(home).env("HOME", home).env("COSIGN_PASSWORD", "");
        command
    }
}
