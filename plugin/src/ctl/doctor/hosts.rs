//! What containerd does by itself with its `hosts.toml` files: an invalid one is ignored, and one
//! without `server` falls back to the registry that it stands for.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::finding::Said;
use super::look::Node;
use crate::containerd::settings::Settings;

/// A `hosts.toml`, and the name that it is for.
#[derive(Debug, Clone)]
pub(super) struct HostsFile {
    pub(super) path: PathBuf,
    pub(super) text: Result<String, String>,
}

impl HostsFile {
    /// Every one below the folders that containerd and pullgate read.
    pub(super) fn look(settings: &Settings, ours: &[PathBuf]) -> Vec<Self> {
        let configured = settings.get(&[
            &["plugins", "io.containerd.cri.v1.images", "registry", "config_path"],
            &["plugins", "io.containerd.grpc.v1.cri", "registry", "config_path"],
        ]);
        let configured = configured.and_then(|(value, _)| value.as_str()).unwrap_or_default();
        let theirs = configured.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut roots: Vec<PathBuf> = ours.iter().cloned().chain(theirs).collect();
        roots.sort();
        roots.dedup();
        let folders =
            roots.iter().flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
        let mut paths: Vec<PathBuf> =
            folders.map(|entry| entry.path().join("hosts.toml")).collect();
        paths.retain(|path| path.exists());
        paths.sort();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string());
            Self { path, text }
        };
        paths.into_iter().map(read).collect()
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let found: Vec<Said> = node.hosts.iter().flat_map(judge).collect();
    if found.is_empty() {
        return vec![Said::armed(format!("{} files, and none falls back", node.hosts.len()))];
    }
    found
}

fn judge(file: &HostsFile) -> Vec<Said> {
    let path = file.path.display();
    let table = file.text.clone().and_then(|text| {
        text.parse::<Table>()
            .map_err(|error| error.message().lines().collect::<Vec<_>>().join(", "))
    });
    let table = match table {
        Ok(table) => table,
        Err(why) => {
            let what = format!(
                "{path}: {why}: containerd ignores the file and asks the registry itself, pullgate \
                 refuses the pull"
            );
            return vec![Said::open(what, "mend the file")];
        }
    };
    let mut found = Vec::new();
    let hosts = table.get("host").and_then(Value::as_table);
    let server = table.get("server").and_then(Value::as_str).unwrap_or_default();
    if server.is_empty() && hosts.is_some_and(|hosts| !hosts.is_empty()) {
        let name = file.path.parent().and_then(Path::file_name).unwrap_or_default();
        let name = match name.to_string_lossy().into_owned() {
            name if name == "_default" => "the registry that the image names".to_owned(),
            name => name,
        };
        found.push(Said::advice(
            format!("{path} has no `server`: {name} is asked when the hosts do not answer"),
            "add `server = \"https://…\"` with the last host that may be asked",
        ));
    }
    let unverified = hosts.into_iter().flatten().filter(|(_, host)| skips(host.get("skip_verify")));
    let mut unverified: Vec<&str> = unverified.map(|(name, _)| name.as_str()).collect();
    if skips(table.get("skip_verify")) {
        unverified.push(server);
    }
    for host in unverified {
        found.push(Said::advice(
            format!("{path}: skip_verify for {host}: anyone between may see credentials"),
            "name its certificate authority with `ca` instead",
        ));
    }
    found
}

fn skips(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{HostsFile, check};
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::Node;

    #[test]
    fn fallbacks_are_named() {
        let host = "[host.'http://127.0.0.1:5000']\n";
        for (folder, text, state, words) in [
            ("a.example", format!("server = 'http://127.0.0.1:1'\n{host}"), State::Armed, ""),
            ("a.example", "server = 'https://a.example'".to_owned(), State::Armed, ""),
            ("a.example", host.to_owned(), State::Advice, "a.example is asked when"),
            ("_default", host.to_owned(), State::Advice, "the registry that the image names"),
            ("a.example", "server = ".to_owned(), State::Open, "containerd ignores the file"),
            (
                "a.example",
                format!("server = 'https://s'\n{host}skip_verify = true"),
                State::Advice,
                "skip_verify for http://127.0.0.1:5000",
            ),
            (
                "a.example",
                "server = 'https://s'\nskip_verify = true".to_owned(),
                State::Advice,
                "skip_verify for https://s",
            ),
        ] {
            let path = format!("/certs.d/{folder}/hosts.toml").into();
            let hosts = vec![HostsFile { path, text: Ok(text.clone()) }];
            let found = check(&Node { hosts, ..Node::default() });
            let said = found.first().unwrap();
            assert_eq!((found.len(), said.state), (1, state), "{text}: {found:?}");
            assert!(said.what.contains(words), "{text}: {}", said.what);
        }
    }
}
