//! The packages, made by the scripts in `packaging` of the programs that cargo built for the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::place;
use crate::process::run;

/// Which kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Debian's.
    Deb,
    /// RPM.
    Rpm,
}

impl Kind {
    const fn script(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }
}

/// Where [`package`] and tests put packages.
#[must_use]
pub fn folder() -> PathBuf {
    target_folder("package")
}

/// The package as the source tree makes it, made once in a run.
pub fn package(kind: Kind) -> PathBuf {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    static RPM: OnceLock<PathBuf> = OnceLock::new();
    let made = match kind {
        Kind::Deb => &DEB,
        Kind::Rpm => &RPM,
    };
    made.get_or_init(|| build(kind, &folder().join("tested"), None)).clone()
}

/// Makes a package in `output`, of the tree's version or of another, and returns its path.
#[must_use]
pub fn build(kind: Kind, output: &Path, version: Option<&str>) -> PathBuf {
    std::fs::create_dir_all(output).expect("a folder for packages");
    let mut command = Command::new(tree().join("packaging").join(kind.script()));
    command.arg(binaries()).arg(manual()).arg(output);
    command.envs(version.map(|version| ("PULLGATE_VERSION", version)));
    let printed = String::from_utf8(run(&mut command)).expect("paths of this tree are text");
    PathBuf::from(printed.trim_end())
}

/// What the program `manual` writes.
pub fn manual() -> &'static Path {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let folder = target_folder("manual");
        let config = tree().join("packaging/config.toml");
        run(Command::new(place::built("manual")).arg(config).arg(&folder));
        folder
    })
}

/// The source tree.
#[must_use]
pub fn tree() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a folder of the tree").to_owned()
}

fn binaries() -> PathBuf {
    let daemon = place::built("pullgated");
    daemon.parent().expect("a program lies in a folder").to_owned()
}

fn target_folder(name: &str) -> PathBuf {
    let folder = place::target().join(name);
    std::fs::create_dir_all(&folder).expect("a folder below target");
    folder
}
