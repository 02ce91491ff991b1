//! A node's configuration, a registry, and what `pullgate` says on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pullgate_tests::hosts::Hosts;
use pullgate_tests::place;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::signer::Lookaside;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing runs on it but the registry.
pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) lookaside: Lookaside,
    pub(crate) hosts: Hosts,
    directory: TempDir,
    names: Vec<(String, String)>,
}

impl Node {
    pub(crate) async fn new(access: Access) -> Self {
        let directory = place::for_sockets("ctl");
        let registry = Registry::start(access).await;
        let names = vec![
            (registry.host(), "HOST".to_owned()),
            (registry.host().replace(':', "_"), "HOST".to_owned()),
            (directory.path().display().to_string(), "DIR".to_owned()),
        ];
        let (lookaside, hosts) = (Lookaside::new(), Hosts::new());
        let mut node = Self { registry, lookaside, hosts, directory, names };
        node.call(&node.lookaside.path().display().to_string(), "SIGS");
        let text = format!("default-docker:\n  lookaside: {}\n", node.lookaside.url());
        node.write("registries.d/default.yaml", &text);
        let config = format!(
            "cri.socket = '{0}/pullgate.sock'\n\
             containerd.socket = '{0}/containerd.sock'\n\
             policy.path = '{0}/policy.json'\n\
             policy.namespaces = '{0}/policies'\n\
             policy.registries_d = '{0}/registries.d'\n\
             ledger.path = '{0}/ledger.db'\n\
             registry.config_path = '{1}'\n",
            node.directory.path().display(),
            node.hosts.path().display(),
        );
        node.write("config.toml", &config);
        node
    }

    /// A file of the node.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Puts one requirement in force for everything, and nothing else.
    pub(crate) fn require(&self, requirement: &Value) {
        self.write("policy.json", json!({ "default": [requirement] }).to_string());
    }

    /// Writes `name` wherever `text` is printed.
    pub(crate) fn call(&mut self, text: &str, name: &str) {
        self.names.push((text.to_owned(), name.to_owned()));
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(place::built("pullgate"));
        command.arg("--config").arg(self.path("config.toml")).args(arguments);
        command.env("HOME", self.directory.path()).env_remove("REGISTRY_AUTH_FILE");
        command.env("XDG_RUNTIME_DIR", self.directory.path());
        command.output().unwrap()
    }

    /// The exit code, and both outputs with what differs from run to run called by its name.
    pub(crate) fn says(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.output(arguments);
        let mut text = String::from_utf8([stdout, stderr].concat()).unwrap();
        for (found, name) in &self.names {
            text = text.replace(found, name);
        }
        (status.code().unwrap(), text)
    }

    /// The JSON document that is printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(&[arguments, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// `signedBy` with these keys.
pub(crate) fn signed_by(keys: &[&Path]) -> Value {
    json!({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": keys})
}
