//! Whether containerd asks pullgate before it pulls by itself: containerd 2.1 and later.
//!
//! containerd lets a pull through where the folder of verifiers is missing or empty, and does not ask
//! them at all under several ordinary settings (containerd-handoff.md 1.1 and 2, "E").

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::finding::Said;
use super::look::Node;
use super::versions::Release;
use crate::containerd::settings::Settings;

const DEFAULT_FOLDER: &str = "/opt/containerd/image-verifier/bin";

/// How many verifiers containerd asks unless it is told otherwise.
const DEFAULT_MAXIMUM: i64 = 10;

const V3: &str = "io.containerd.cri.v1.images";
const V2: &str = "io.containerd.grpc.v1.cri";
const BINDIR: &str = "io.containerd.image-verifier.v1.bindir";

/// A setting with which CRI pulls by an older way, without verifiers.
struct Bypass {
    name: &'static str,
    /// Where it stands in version 3 and in version 2 of the file.
    keys: &'static [&'static [&'static str]],
    bypasses: fn(&Value) -> bool,
    fix: &'static str,
}

const BYPASSES: [Bypass; 8] = [
    Bypass {
        name: "use_local_image_pull",
        keys: &[&["plugins", V3, "use_local_image_pull"], &["plugins", V2, "use_local_image_pull"]],
        bypasses: |value| value.as_bool() != Some(false),
        fix: "remove it",
    },
    Bypass {
        name: "disable_snapshot_annotations",
        keys: &[
            &["plugins", V3, "disable_snapshot_annotations"],
            &["plugins", V2, "containerd", "disable_snapshot_annotations"],
        ],
        bypasses: |value| value.as_bool() != Some(true),
        fix: "set it to true, the default, unless a remote snapshotter needs it",
    },
    Bypass {
        name: "discard_unpacked_layers",
        keys: &[
            &["plugins", V3, "discard_unpacked_layers"],
            &["plugins", V2, "containerd", "discard_unpacked_layers"],
        ],
        bypasses: |value| value.as_bool() != Some(false),
        fix: "remove it",
    },
    Bypass {
        name: "registry.mirrors",
        keys: &[&["plugins", V3, "registry", "mirrors"], &["plugins", V2, "registry", "mirrors"]],
        bypasses: not_empty,
        fix: "move the mirrors to hosts.toml files below registry.config_path",
    },
    Bypass {
        name: "registry.configs",
        keys: &[&["plugins", V3, "registry", "configs"], &["plugins", V2, "registry", "configs"]],
        bypasses: not_empty,
        fix: "move TLS settings to hosts.toml files, and credentials to pull secrets",
    },
    Bypass {
        name: "registry.auths",
        keys: &[&["plugins", V3, "registry", "auths"], &["plugins", V2, "registry", "auths"]],
        bypasses: not_empty,
        fix: "move the credentials to pull secrets",
    },
    Bypass {
        name: "max_concurrent_downloads",
        keys: &[
            &["plugins", V3, "max_concurrent_downloads"],
            &["plugins", V2, "max_concurrent_downloads"],
        ],
        bypasses: |value| value.as_integer() != Some(3),
        fix: "remove it: 3 is the default",
    },
    Bypass {
        name: "image_pull_with_sync_fs",
        keys: &[
            &["plugins", V3, "image_pull_with_sync_fs"],
            &["plugins", V2, "image_pull_with_sync_fs"],
        ],
        bypasses: |value| value.as_bool() != Some(false),
        fix: "remove it",
    },
];

fn not_empty(value: &Value) -> bool {
    value.as_table().is_none_or(|table| !table.is_empty())
}

/// The folder of verifiers, in containerd's order.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// None: it cannot be listed.
    pub(super) entries: Option<Vec<Entry>>,
}

/// A verifier.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: OsString,
    /// The program, links followed; none if it does not exist.
    pub(super) program: Option<PathBuf>,
    /// Owner and mode of the program.
    pub(super) owner: u32,
    pub(super) mode: u32,
}

impl Folder {
    pub(super) fn look(settings: &Settings) -> Self {
        let configured = settings.get(&[&["plugins", BINDIR, "bin_dir"]]);
        let configured = configured.and_then(|(value, _)| value.as_str());
        let path = PathBuf::from(configured.unwrap_or(DEFAULT_FOLDER));
        let listed = fs::read_dir(&path).ok().map(|entries| {
            let mut entries: Vec<Entry> =
                entries.flatten().map(|entry| Entry::look(&entry.path())).collect();
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            entries
        });
        Self { path, entries: listed }
    }
}

impl Entry {
    fn look(path: &Path) -> Self {
        let program = fs::canonicalize(path).ok();
        let metadata = fs::metadata(path).ok();
        Self {
            name: path.file_name().unwrap_or_default().to_owned(),
            program,
            owner: metadata.as_ref().map_or(0, MetadataExt::uid),
            mode: metadata.map_or(0, |metadata| metadata.mode() & 0o7777),
        }
    }

    fn is_ours(&self) -> bool {
        let name = self.program.as_deref().and_then(Path::file_name);
        name.is_some_and(|name| name == "pullgate")
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let settings = &node.settings;
    if !settings.problems().is_empty() {
        let fix = "mend the file: containerd does not start with it";
        let problems = settings.problems().iter();
        return problems
            .map(|(path, why)| Said::unusable(format!("{}: {why}", path.display()), fix))
            .collect();
    }
    match node.release() {
        Some(release) if release < Release(2, 1) => vec![Said::advice(
            format!(
                "containerd {release} asks no verifier: root can pull past pullgate with its socket"
            ),
            "containers are refused all the same when they are created; containerd 2.1 closes this",
        )],
        Some(_) | None => armed(node),
    }
}

fn armed(node: &Node) -> Vec<Said> {
    let mut found: Vec<Said> = BYPASSES
        .iter()
        .filter_map(|bypass| {
            let (value, file) = node.settings.get(bypass.keys)?;
            let what = format!(
                "{} is {} ({}): containerd asks no verifier then",
                bypass.name,
                shown(value),
                file.display()
            );
            let fix = format!("{}, and restart containerd", bypass.fix);
            (bypass.bypasses)(value).then(|| Said::open(what, fix))
        })
        .collect();
    found.extend(disabled(&node.settings));
    found.extend(folder(node));
    if found.is_empty() {
        let folder = node.verifiers.path.display();
        let files: Vec<_> =
            node.settings.read_from().map(|file| file.display().to_string()).collect();
        let files = if files.is_empty() { "no file".to_owned() } else { files.join(", ") };
        found.push(Said::armed(format!(
            "containerd asks pullgate, in {folder}, and nothing bypasses it (read: {files})"
        )));
    }
    found
}

fn shown(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Array(_) | Value::Datetime(_) | Value::Float(_) | Value::Table(_) => {
            "set".to_owned()
        }
    }
}

fn disabled(settings: &Settings) -> Option<Said> {
    let (value, file) = settings.get(&[&["disabled_plugins"]])?;
    let disabled = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let ours = disabled
        .into_iter()
        .find(|name| [BINDIR, "io.containerd.transfer.v1.local"].contains(name))?;
    let what = format!("{ours} is among disabled_plugins ({})", file.display());
    Some(Said::open(what, "remove it there, and restart containerd"))
}

/// Whether the folder holds our link, where containerd reaches it, out of reach of others.
fn folder(node: &Node) -> Option<Said> {
    let Folder { path, entries } = &node.verifiers;
    let link = format!("mkdir -p {0} && ln -s /usr/bin/pullgate {0}/pullgate", path.display());
    let Some(entries) = entries.as_deref().filter(|entries| !entries.is_empty()) else {
        let what =
            format!("{} is missing or empty: containerd lets everything through", path.display());
        return Some(Said::open(what, link));
    };
    let Some(place) = entries.iter().position(Entry::is_ours) else {
        return Some(Said::open(format!("{} has no link to pullgate", path.display()), link));
    };
    let maximum = node.settings.get(&[&["plugins", BINDIR, "max_verifiers"]]);
    let maximum = maximum.and_then(|(value, _)| value.as_integer()).unwrap_or(DEFAULT_MAXIMUM);
    let reached = maximum < 0 || usize::try_from(maximum).is_ok_and(|maximum| place < maximum);
    if !reached {
        let what = format!(
            "max_verifiers is {maximum}, and pullgate is number {} in {}",
            place + 1,
            path.display()
        );
        return Some(Said::open(
            what,
            "raise max_verifiers, or rename the link so that it comes first",
        ));
    }
    let ours = entries.get(place)?;
    let executable = ours.mode & 0o111 != 0;
    if !executable || ours.owner != 0 || ours.mode & 0o022 != 0 {
        let program = ours.program.as_deref().unwrap_or(path).display();
        let what =
            format!("{program} belongs to uid {} and has mode {:04o}", ours.owner, ours.mode);
        return Some(Said::open(what, format!("chown root {program} && chmod 0755 {program}")));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Entry, Folder, check};
    use crate::containerd::settings::Settings;
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::Node;
    use crate::ctl::doctor::versions::Release;

    fn node(release: Release, text: &str, verifiers: &[(&str, u32)]) -> Node {
        let entries = verifiers.iter().map(|(name, mode)| Entry {
            name: name.into(),
            program: Some(PathBuf::from("/usr/bin").join(name)),
            owner: 0,
            mode: *mode,
        });
        let folder = Folder { path: "/v".into(), entries: Some(entries.collect()) };
        let settings = Settings::of(text);
        Node { settings, verifiers: folder, known_release: Some(release), ..Node::default() }
    }

    const OURS: &[(&str, u32)] = &[("pullgate", 0o755)];
    const IMAGES: &str = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n";
    const CRI: &str = "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\n";
    const BINDIR: &str = "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\n";

    #[test]
    fn each_bypass_is_found_in_both_forms_of_the_file() {
        for line in [
            "use_local_image_pull = true",
            "discard_unpacked_layers = true",
            "disable_snapshot_annotations = false",
            "registry.mirrors.'*'.endpoint = ['http://m.example']",
            "registry.configs.'a.example'.tls.insecure_skip_verify = true",
            "registry.auths.'a.example'.username = 'u'",
            "max_concurrent_downloads = 5",
            "image_pull_with_sync_fs = true",
        ] {
            let key = line.split([' ', '=']).next().unwrap();
            let key = key.split('.').take(2).collect::<Vec<_>>().join(".");
            let nested = ["disable", "discard"].iter().any(|word| line.starts_with(word));
            let second = if nested { format!("containerd.{line}") } else { line.to_owned() };
            for text in [format!("{IMAGES}{line}"), format!("{CRI}{second}")] {
                let found = check(&node(Release(2, 1), &text, OURS));
                let said = found.first().unwrap();
                assert_eq!((found.len(), said.state), (1, State::Open), "{text}: {found:?}");
                assert!(said.what.starts_with(&key), "{text}: {}", said.what);
            }
        }
    }

    #[test]
    fn settings_that_do_no_harm_leave_the_door_armed() {
        for text in [
            String::new(),
            format!("{IMAGES}max_concurrent_downloads = 3\nregistry.config_path = '/c'"),
            format!("{IMAGES}disable_snapshot_annotations = true\nuse_local_image_pull = false"),
            format!("{CRI}registry.mirrors = {{}}\nregistry.config_path = '/c'"),
            format!("{BINDIR}max_verifiers = -1"),
        ] {
            let found = check(&node(Release(2, 1), &text, OURS));
            assert_eq!(found.first().unwrap().state, State::Armed, "{text}: {found:?}");
        }
    }

    #[test]
    fn a_verifier_that_containerd_does_not_reach_is_none() {
        let second: &[(&str, u32)] = &[("other", 0o755), ("pullgate", 0o755)];
        let one = format!("{BINDIR}max_verifiers = 1");
        let none = format!("{BINDIR}max_verifiers = 0");
        let off = "disabled_plugins = ['io.containerd.image-verifier.v1.bindir']";
        for (name, text, verifiers, words) in [
            ("nothing there", "", &[][..], "is missing or empty"),
            ("another one", "", &[("cosign", 0o755)], "has no link to pullgate"),
            ("past the maximum", &one, second, "max_verifiers is 1, and pullgate is number 2"),
            ("none asked", &none, OURS, "max_verifiers is 0"),
            ("not executable", "", &[("pullgate", 0o644)], "has mode 0644"),
            ("others may write it", "", &[("pullgate", 0o777)], "has mode 0777"),
            ("disabled", off, OURS, "is among disabled_plugins"),
        ] {
            let found = check(&node(Release(2, 1), text, verifiers));
            let said = found.first().unwrap();
            assert_eq!(said.state, State::Open, "{name}: {found:?}");
            assert!(said.what.contains(words), "{name}: {}", said.what);
        }
    }

    #[test]
    fn an_older_containerd_has_no_such_door() {
        for release in [Release(1, 6), Release(1, 7), Release(2, 0)] {
            let found = check(&node(release, "", &[]));
            assert_eq!(found.first().unwrap().state, State::Advice, "{release}");
        }
    }
}
