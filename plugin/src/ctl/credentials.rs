//! Credentials for registries, containers-auth.json(5): the files of podman, skopeo, docker and kubelet.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use nix::unistd::geteuid;
use pullgate_policy::reference::PullReference;
use serde::Deserialize;

use super::CtlError;
use crate::registry::AuthConfig;

/// The user name by which a helper marks an identity token.
const TOKEN: &str = "<token>";

/// Where credentials come from
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Read registry credentials from this file, see containers-auth.json(5), not from the usual ones
    #[arg(long, value_name = "PATH")]
    authfile: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn read(&self) -> Result<Credentials, CtlError> {
        let named = self.authfile.clone().or_else(|| variable("REGISTRY_AUTH_FILE"));
        let mut files = Vec::new();
        match named {
            Some(path) => files.push(File::read(path)?),
            None => {
                for path in usual() {
                    match File::read(path) {
                        Ok(file) => files.push(file),
                        Err(CtlError::Read { source, .. })
                            if source.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(Credentials { files })
    }
}

/// The files that podman, skopeo and docker read, and kubelet's own.
fn usual() -> Vec<PathBuf> {
    let runtime = variable("XDG_RUNTIME_DIR");
    let runtime = runtime.map_or_else(
        || format!("/run/containers/{}", geteuid()).into(),
        |it| it.join("containers"),
    );
    let home = variable("HOME");
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|it| it.join(".config")));
    [
        Some(runtime.join("auth.json")),
        config.map(|it| it.join("containers/auth.json")),
        home.map(|it| it.join(".docker/config.json")),
        Some(PathBuf::from("/var/lib/kubelet/config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The credentials of the files, first file first.
#[derive(Debug)]
pub(super) struct Credentials {
    files: Vec<File>,
}

impl Credentials {
    /// What the first file that has anything for the image says; nothing for a name that is none.
    pub(super) fn for_image(&self, image: &str) -> Result<AuthConfig, CtlError> {
        let Ok(reference) = PullReference::parse(image) else { return Ok(AuthConfig::default()) };
        for file in &self.files {
            if let Some(found) = file.find(&reference)? {
                return Ok(found);
            }
        }
        Ok(AuthConfig::default())
    }
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    raw: Raw,
}

#[derive(Debug, Default, Deserialize)]
struct Raw {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// Credentials of one registry or namespace. There is no `Debug` that shows them.
#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

impl File {
    fn read(path: PathBuf) -> Result<Self, CtlError> {
        let content = super::read(&path)?;
        match serde_json::from_slice(&content) {
            Ok(raw) => Ok(Self { path, raw }),
            Err(source) => Err(CtlError::Authfile { file: path, why: source.to_string() }),
        }
    }

    /// The helper of the registry, or the entry of the most specific name: repository, its parents,
    /// host.
    fn find(&self, reference: &PullReference) -> Result<Option<AuthConfig>, CtlError> {
        let host = reference.reference().domain();
        let helper = self.raw.helpers.iter().find(|(key, _)| registry(key) == registry(host));
        if let Some((key, helper)) = helper {
            return self.ask(helper, key);
        }
        let repository = reference.reference().repository();
        let mut name = repository.as_str();
        let entry = loop {
            if let Some(entry) = self.raw.auths.get(name) {
                break Some(entry);
            }
            match name.rsplit_once('/') {
                Some((parent, _)) => name = parent,
                None => break None,
            }
        };
        // Docker writes URLs, and other names for its own registry.
        let same = |(key, _): &(&String, &Entry)| {
            registry(key) == registry(host) && (key.contains("://") || !key.contains('/'))
        };
        let entry = entry.or_else(|| self.raw.auths.iter().find(same).map(|(_, entry)| entry));
        match (&self.raw.store, entry) {
            (Some(store), Some(_)) => self.ask(store, host),
            (_, entry) => Ok(entry.map(Entry::auth)),
        }
    }

    /// What `docker-credential-HELPER` has for a server.
    fn ask(&self, helper: &str, server: &str) -> Result<Option<AuthConfig>, CtlError> {
        let program = format!("docker-credential-{helper}");
        let failed = |why: String| {
            let file = self.path.clone();
            CtlError::Authfile { file, why: format!("{program}: {why}") }
        };
        let answer = run(&program, server).map_err(|error| failed(error.to_string()))?;
        if !answer.status.success() {
            let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
            // The fixed text of a helper that works and has nothing.
            return if said.contains("credentials not found") {
                Ok(None)
            } else {
                Err(failed(said))
            };
        }
        let found: Answer = serde_json::from_slice(&answer.stdout)
            .map_err(|error| failed(format!("answered something else: {error}")))?;
        Ok(Some(if found.user == TOKEN {
            AuthConfig { identity_token: found.secret, ..AuthConfig::default() }
        } else {
            AuthConfig { username: found.user, password: found.secret, ..AuthConfig::default() }
        }))
    }
}

fn run(program: &str, server: &str) -> io::Result<std::process::Output> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{server}")?;
    }
    child.wait_with_output()
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Entry {
    fn auth(&self) -> AuthConfig {
        AuthConfig {
            username: self.username.clone(),
            password: self.password.clone(),
            auth: self.auth.clone(),
            identity_token: self.identity_token.clone(),
            server_address: String::new(),
        }
    }
}

/// The registry that a key stands for: without scheme and path, Docker's by one name.
fn registry(key: &str) -> &str {
    let host = key.split_once("://").map_or(key, |(_scheme, rest)| rest);
    match host.split('/').next().unwrap_or(host) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Arguments;
    use crate::ctl::CtlError;

    fn user(folder: &Path, text: &str, image: &str) -> Result<String, CtlError> {
        let path = folder.join("auth.json");
        std::fs::write(&path, text).unwrap();
        let credentials = Arguments { authfile: Some(path) }.read()?;
        let found = credentials.for_image(image)?;
        Ok(format!("{}{}{}", found.username, found.auth, found.identity_token))
    }

    #[test]
    fn the_most_specific_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"auths": {
            "a.example": {"auth": "host"}, "a.example/team": {"username": "team", "password": "x"},
            "a.example/team/app": {"identitytoken": "app"}, "https://b.example/v2/": {"auth": "url"},
            "https://index.docker.io/v1/": {"auth": "hub"}, "c.example/only": {"auth": "c"}}}"#;
        for (image, expected) in [
            ("a.example/x:1", "host"),
            ("a.example/team/x", "team"),
            ("a.example/team/app:2", "app"),
            ("a.example/teams/app", "host"),
            ("b.example/x", "url"),
            ("busybox", "hub"),
            ("docker.io/team/x", "hub"),
            ("c.example/x", ""),
            ("d.example/x", ""),
            ("NOT/a:name", ""),
        ] {
            assert_eq!(user(folder.path(), text, image).unwrap(), expected, "{image}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let helper = r#"{"credHelpers": {"a.example": "pullgate-no-such-helper"}}"#;
        for (text, expected) in [
            ("{", "auth.json: EOF while parsing"),
            (helper, "docker-credential-pullgate-no-such-helper"),
        ] {
            let error = user(folder.path(), text, "a.example/x").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(user(folder.path(), helper, "b.example/x").unwrap(), "");
        let missing = Arguments { authfile: Some("/no/such/file".into()) };
        assert!(matches!(missing.read(), Err(CtlError::Read { .. })));
    }
}
