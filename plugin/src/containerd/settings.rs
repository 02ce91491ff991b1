//! containerd's configuration file with what it imports.
//!
//! A key is looked up from the last file to the first. containerd 2.1 takes a plugin's section whole
//! from the last file that has one, so a key of an earlier file may have lost its effect: then a
//! bypass is reported that is none, and never the other way round.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where containerd looks unless its command line says otherwise, and where k3s and RKE2 write what their
/// own containerd is told to read.
const USUAL_FILES: [&str; 3] = [
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];

/// The files in the order in which containerd reads them.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    files: Vec<(PathBuf, Table)>,
    problems: Vec<(PathBuf, String)>,
}

impl Settings {
    /// Reads `path` and its imports. A file that does not exist says nothing.
    pub(crate) fn look(path: &Path) -> Self {
        let mut settings = Self::default();
        settings.read(path);
        settings
    }

    /// The first of the usual files that exists, with its imports.
    pub(crate) fn look_at_usual() -> Self {
        Self::look_at_first(USUAL_FILES.map(Path::new))
    }

    fn look_at_first(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let mut found = files.into_iter().map(|file| Self::look(file.as_ref()));
        found
            .find(|found| !found.files.is_empty() || !found.problems.is_empty())
            .unwrap_or_default()
    }

    /// The files that were read.
    pub(crate) fn read_from(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Why files cannot be used.
    pub(crate) fn problems(&self) -> &[(PathBuf, String)] {
        &self.problems
    }

    /// The value at one of the key paths, and the file that has it.
    pub(crate) fn get(&self, keys: &[&[&str]]) -> Option<(&Value, &Path)> {
        self.files.iter().rev().find_map(|(path, table)| {
            keys.iter().find_map(|key| at(table, key)).map(|value| (value, path.as_path()))
        })
    }

    fn sandbox_image(&self) -> Option<&str> {
        let two = &["plugins", "io.containerd.cri.v1.images", "pinned_images", "sandbox"][..];
        let one = &["plugins", "io.containerd.grpc.v1.cri", "sandbox_image"][..];
        let image = self.get(&[two, one])?.0.as_str()?;
        Some(image).filter(|image| !image.is_empty())
    }

    fn read(&mut self, path: &Path) {
        let known = self.files.iter().any(|(known, _)| known == path);
        if known || self.problems.iter().any(|(known, _)| known == path) {
            return;
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problems.push((path.to_owned(), error.to_string())),
        };
        match text.parse::<Table>() {
            Ok(table) => {
                let imports = imports(path, &table);
                self.files.push((path.to_owned(), table));
                imports.iter().for_each(|import| self.read(import));
            }
            Err(error) => {
                let why = error.message().lines().collect::<Vec<_>>().join(", ");
                self.problems.push((path.to_owned(), why));
            }
        }
    }
}

/// The image that containerd 2.0 and later make sandboxes of, as the configuration at its usual place
/// says; none where that leaves it to containerd.
pub(crate) fn sandbox_image() -> Option<String> {
    Settings::look_at_usual().sandbox_image().map(str::to_owned)
}

fn at<'a>(table: &'a Table, key: &[&str]) -> Option<&'a Value> {
    let (last, parents) = key.split_last()?;
    let mut table = table;
    for parent in parents {
        table = table.get(*parent)?.as_table()?;
    }
    table.get(*last)
}

/// The files that `imports` names: patterns, relative to the file that has them.
fn imports(path: &Path, table: &Table) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let patterns = table.get("imports").and_then(Value::as_array).into_iter().flatten();
    let patterns = patterns.filter_map(Value::as_str).map(|pattern| folder.join(pattern));
    patterns
        .filter_map(|pattern| glob::glob(&pattern.to_string_lossy()).ok())
        .flat_map(|found| found.flatten().collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
impl Settings {
    /// The settings of one file with this text.
    pub(crate) fn of(text: &str) -> Self {
        let table = text.parse().unwrap();
        Self {
            files: vec![(PathBuf::from("/etc/containerd/config.toml"), table)],
            problems: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Settings;

    #[test]
    fn the_sandbox_image_is_found_in_either_format() {
        let two =
            "[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'example/pause:2'";
        let one = "[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'example/pause:1'";
        for (text, expected) in [
            (two, Some("example/pause:2")),
            (one, Some("example/pause:1")),
            ("[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = ''", None),
            ("version = 3", None),
        ] {
            assert_eq!(Settings::of(text).sandbox_image(), expected, "{text}");
        }
    }

    #[test]
    fn the_first_file_that_exists_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let [none, k3s, rke2] = ["none", "k3s", "rke2"].map(|name| folder.path().join(name));
        std::fs::write(&k3s, "a = 1").unwrap();
        std::fs::write(&rke2, "a = 2").unwrap();
        let number = |files: &[&PathBuf]| {
            let settings = Settings::look_at_first(files);
            settings.get(&[&["a"]]).and_then(|(value, _)| value.as_integer())
        };
        assert_eq!(number(&[&none, &k3s, &rke2]), Some(1));
        assert_eq!(number(&[&rke2, &k3s]), Some(2));
        assert_eq!(number(&[&none]), None);
        std::fs::write(&k3s, "[a").unwrap();
        let broken = Settings::look_at_first([&none, &k3s, &rke2]);
        assert_eq!(broken.problems().len(), 1, "a broken file is no missing one");
        assert_eq!(broken.read_from().count(), 0);
    }

    #[test]
    fn an_import_comes_before_the_file_that_imports_it() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("config.toml", "imports = ['conf.d-*.toml', 'config.toml']\n[a]\nx = 1\ny = 1\n");
        write("conf.d-1.toml", "[a]\nx = 2\n");
        write("conf.d-2.toml", "[a\n");
        let settings = Settings::look(&folder.path().join("config.toml"));
        let get = |key| settings.get(&[&["a", key]]).map(|(value, _)| value.as_integer().unwrap());
        assert_eq!((get("x"), get("y"), get("z")), (Some(2), Some(1), None));
        let (path, why) = settings.problems().first().unwrap();
        assert!(path.ends_with("conf.d-2.toml"), "{path:?}: {why}");
        assert!(Settings::look(&folder.path().join("none")).problems().is_empty());
    }
}
