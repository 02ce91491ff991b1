//! Whether kubelet asks pullgate, for images and for everything else.

use std::fs;
use std::path::{Path, PathBuf};

use pullgate_policy::strict::yaml;
use serde::Deserialize;

use super::finding::Said;
use super::look::Node;
use super::process::Process;

/// Where kubeadm, the deb and the rpm of kubelet keep its flags.
const FLAG_FILES: [&str; 3] =
    ["/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet"];

const DEFAULT_FILE: &str = "/var/lib/kubelet/config.yaml";

/// kubelet's configuration, as it lies there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kubelet {
    /// The flags, and where they stand.
    pub(super) flags: Vec<String>,
    pub(super) flags_from: String,
    /// The `KubeletConfiguration` and its drop-ins, in kubelet's order: name and text, or why not.
    pub(super) files: Vec<(PathBuf, Result<String, String>)>,
}

impl Kubelet {
    /// Looks at the running kubelet if there is one, and at the files otherwise.
    pub(super) fn look(running: Option<&Process>) -> Self {
        let (flags, flags_from) = match running {
            Some(process) => (process.arguments.clone(), format!("running kubelet {}", process.id)),
            None => flags_of_files(),
        };
        let named = Process::flag(&flags, "config").map(PathBuf::from);
        let main = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let mut paths = Vec::new();
        if named.is_some() || main.exists() {
            paths.push(main);
        }
        if let Some(folder) = Process::flag(&flags, "config-dir") {
            paths.extend(drop_ins(Path::new(folder)));
        }
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string());
            (path, text)
        };
        Self { flags, flags_from, files: paths.into_iter().map(read).collect() }
    }

    /// The endpoints in force: a flag comes before a file, a later file before an earlier one.
    fn endpoints(&self) -> Result<Endpoints, (PathBuf, String)> {
        let mut found = Endpoints::default();
        for (path, text) in &self.files {
            let wrong = |why: String| (path.clone(), why);
            let text = text.clone().map_err(wrong)?;
            let parsed: KubeletConfiguration =
                yaml(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
            found.note(parsed, &path.display().to_string());
        }
        let flag = |name| Process::flag(&self.flags, name).map(str::to_owned);
        let flags = KubeletConfiguration {
            container_runtime_endpoint: flag("container-runtime-endpoint"),
            image_service_endpoint: flag("image-service-endpoint"),
        };
        found.note(flags, &self.flags_from);
        Ok(found)
    }
}

/// The flags of every file that there is; a later file's come later and win.
fn flags_of_files() -> (Vec<String>, String) {
    let (mut flags, mut names) = (Vec::new(), Vec::new());
    for name in FLAG_FILES {
        if let Ok(text) = fs::read_to_string(name) {
            flags.extend(flags_of(&text));
            names.push(name);
        }
    }
    (flags, names.join(", "))
}

/// The flags in a file of variables: `KUBELET_EXTRA_ARGS="--a=b --c=d"`.
fn flags_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.trim_start().starts_with("KUBELET_"));
    let values = lines.filter_map(|line| line.split_once('=')).map(|(_, value)| value);
    let values = values.map(|value| value.trim().trim_matches(['"', '\'']));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// kubelet reads `*.conf` by name.
fn drop_ins(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    paths
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletConfiguration {
    container_runtime_endpoint: Option<String>,
    image_service_endpoint: Option<String>,
}

#[derive(Default)]
struct Endpoints {
    runtime: Option<Endpoint>,
    image: Option<Endpoint>,
}

struct Endpoint {
    value: String,
    from: String,
}

impl Endpoints {
    fn note(&mut self, found: KubeletConfiguration, from: &str) {
        let endpoint = |value: Option<String>| {
            let value = value.filter(|value| !value.is_empty())?;
            Some(Endpoint { value, from: from.to_owned() })
        };
        self.runtime = endpoint(found.container_runtime_endpoint).or_else(|| self.runtime.take());
        self.image = endpoint(found.image_service_endpoint).or_else(|| self.image.take());
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let socket = &node.config.socket;
    let kubelet = &node.kubelet;
    if kubelet.files.is_empty() && kubelet.flags.is_empty() {
        let what =
            format!("no kubelet runs, and there is neither {DEFAULT_FILE} nor kubeadm-flags.env");
        let fix = format!(
            "make sure that kubelet's containerRuntimeEndpoint and imageServiceEndpoint are \
             unix://{}",
            socket.display()
        );
        return vec![Said::unknown(what, fix)];
    }
    match kubelet.endpoints() {
        Err((path, why)) => {
            let what = format!("{}: {why}", path.display());
            vec![Said::unusable(what, "mend the file: kubelet cannot read it either")]
        }
        Ok(endpoints) => {
            let runtime = endpoints.runtime.as_ref();
            let image = endpoints.image.as_ref().or(runtime);
            vec![
                judge("containerRuntimeEndpoint", runtime, socket),
                judge("imageServiceEndpoint", image, socket),
            ]
        }
    }
}

fn judge(name: &str, endpoint: Option<&Endpoint>, socket: &Path) -> Said {
    let socket = socket.display().to_string();
    let set = |place: &str| format!("set {name} to unix://{socket} {place} and restart kubelet");
    match endpoint {
        None => Said::open(
            format!("{name} is kubelet's default, containerd's own socket"),
            set(&format!("in {DEFAULT_FILE}")),
        ),
        Some(Endpoint { value, from }) if path_of(value) == path_of(&socket) => {
            Said::armed(format!("{name} is {value} ({from})"))
        }
        Some(Endpoint { value, from }) => {
            let place = if from.starts_with('/') {
                format!("in {from}")
            } else {
                "among its flags".to_owned()
            };
            Said::open(format!("{name} is {value} ({from}), not pullgate"), set(&place))
        }
    }
}

/// The path in an endpoint. `/var/run` is `/run`.
fn path_of(endpoint: &str) -> &str {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Kubelet, check, flags_of};
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::Node;

    const OURS: &str = "unix:///run/pullgate/pullgate.sock";

    fn states(flags: &str, files: &[&str]) -> Vec<(State, String)> {
        let name = |number: usize| PathBuf::from(format!("/k{number}.yaml"));
        let files = files.iter().enumerate();
        let kubelet = Kubelet {
            flags: flags.split_whitespace().map(str::to_owned).collect(),
            flags_from: "running kubelet 7".to_owned(),
            files: files.map(|(number, text)| (name(number), Ok((*text).to_owned()))).collect(),
        };
        let found = check(&Node { kubelet, ..Node::default() });
        found.into_iter().map(|said| (said.state, said.what)).collect()
    }

    #[test]
    fn both_endpoints_must_be_ours() {
        let both = format!("containerRuntimeEndpoint: {OURS}\nimageServiceEndpoint: {OURS}\n");
        let runtime = format!("containerRuntimeEndpoint: {OURS}\nimageServiceEndpoint: \"\"\n");
        let var = "containerRuntimeEndpoint: unix:///var/run/pullgate/pullgate.sock";
        let image = format!("imageServiceEndpoint: {OURS}");
        let theirs = "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock";
        let override_ = format!("kubelet --container-runtime-endpoint={OURS}");
        let away = "kubelet --image-service-endpoint /run/containerd/containerd.sock";
        let (armed, open) = (State::Armed, State::Open);
        for (name, flags, files, expected) in [
            ("both", "", vec![both.as_str()], [armed, armed]),
            ("one is enough", "", vec![&runtime], [armed, armed]),
            ("by its other name", "", vec![var], [armed, armed]),
            ("images alone", "", vec![&image], [open, armed]),
            ("neither", "", vec!["kind: KubeletConfiguration"], [open, open]),
            ("containerd's", "", vec![theirs], [open, open]),
            ("a drop-in wins", "", vec![theirs, &both], [armed, armed]),
            ("a flag wins", &override_, vec![theirs], [armed, armed]),
            ("a flag leads past us", away, vec![&both], [armed, open]),
        ] {
            let found = states(flags, &files);
            let found: Vec<State> = found.into_iter().map(|(state, _)| state).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_finding_names_the_file() {
        let found = states("", &["containerRuntimeEndpoint: unix:///a.sock"]);
        let what = "containerRuntimeEndpoint is unix:///a.sock (/k0.yaml), not pullgate";
        assert_eq!(found.first().unwrap().1, what);
    }

    #[test]
    fn what_cannot_be_read_is_no_armed_door() {
        assert_eq!(states("", &["a: 1\na: 2"]).first().unwrap().0, State::Unusable);
        assert_eq!(states("", &[]).first().unwrap().0, State::Unknown);
    }

    #[test]
    fn flags_are_found_in_files_of_variables() {
        let text = "# KUBELET_EXTRA_ARGS=--no\nKUBELET_KUBEADM_ARGS=\"--a=b --c d\"\nOTHER=--x";
        assert_eq!(flags_of(text), ["--a=b", "--c", "d"]);
    }
}
