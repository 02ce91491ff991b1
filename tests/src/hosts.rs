//! A `certs.d` directory: which server stands behind a registry name.

use std::path::Path;

use tempfile::TempDir;

use crate::place;
use crate::registry::Registry;

/// A `certs.d` directory of `hosts.toml` files, read by containerd and by pullgate alike.
#[derive(Debug)]
pub struct Hosts {
    directory: TempDir,
}

impl Hosts {
    /// An empty directory: every name stands for itself.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: place::on_disk("hosts") }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts `registry` behind `name`, and behind nothing else: no upstream is ever asked.
    pub fn point(&self, name: &str, registry: &Registry) {
        let url = registry.url();
        let mut text = format!(
            "server = \"{url}\"\n\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        if let Some(ca) = registry.ca() {
            text = format!("ca = \"{0}\"\n{text}  ca = \"{0}\"\n", ca.display());
        }
        self.write(name, &text);
    }

    /// Writes the `hosts.toml` of `name`.
    pub fn write(&self, name: &str, text: &str) {
        let directory = self.path().join(name);
        std::fs::create_dir_all(&directory).expect("a directory below certs.d");
        std::fs::write(directory.join("hosts.toml"), text).expect("hosts.toml to be written");
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new()
    }
}
