//! Kinds about registries.d.

use std::fs;
use std::path::{Path, PathBuf};

use pullgate_policy::digest::Digest;
use pullgate_policy::lookaside::{
    BaseUrl, DIRECTORIES, Location, Lookaside, LookasideError, Section, UrlError, search_order,
};
use pullgate_policy::reference::Reference;
use pullgate_policy::scope;
use serde_json::{Map, Value, json};

use crate::corpus::{Case, Runner};
use crate::names::docker_transport_reference;

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[
    ("lookaside-url", lookaside_url),
    ("registriesd-load", registriesd_load),
    ("registriesd-lookup", registriesd_lookup),
];

/// Where the corpus has the user's own files. A daemon has none; the rest of the rule is the same.
const USER_DIRECTORY: &str = "/xdg/containers/registries.d";

fn lookaside_url(case: &Case) -> Result<(), String> {
    let number = case.inputs["number"].as_u64().expect("a number");
    let number = usize::try_from(number).expect("a small number");
    let base = BaseUrl::parse(case.required_text("base")).expect("a URL");
    case.check(&match case.required_text("digest").parse::<Digest>() {
        Ok(digest) => {
            json!({ "result": "ok", "url": base.signature(&digest, number).to_string() })
        }
        Err(_error) => json!({ "result": "error" }),
    })
}

fn registriesd_load(case: &Case) -> Result<(), String> {
    case.check(&match load(case) {
        Ok(lookaside) => {
            let namespaces = lookaside.namespaces();
            let namespaces: Map<_, _> =
                namespaces.map(|(name, section)| (name.to_owned(), write(section))).collect();
            json!({
                "result": "ok",
                "docker": namespaces,
                "default_docker": lookaside.default_docker().map(write),
            })
        }
        Err(_error) => json!({ "result": "error" }),
    })
}

/// Reads the files of a case: those of a real directory, or those of the file system it describes.
fn load(case: &Case) -> Result<Lookaside, LookasideError> {
    let files = match case.text("dir") {
        Some(directory) => real_files(&case.resolve(directory)),
        None => described_files(case),
    };
    let files = files.iter().map(|(path, text)| (path.as_str(), text.as_slice()));
    Lookaside::parse(files)
}

fn real_files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).expect("a directory");
    let found = entries.map(|entry| entry.expect("an entry").path()).filter(|path| !path.is_dir());
    let read = |path: PathBuf| {
        let text = fs::read(&path).expect("a file");
        (path.display().to_string(), text)
    };
    search_order(found).into_iter().map(read).collect()
}

fn described_files(case: &Case) -> Vec<(String, Vec<u8>)> {
    let files = case.inputs["files"].as_object().expect("an object");
    let directories = match case.text("explicit_dir") {
        Some(directory) => vec![directory],
        None => [USER_DIRECTORY].into_iter().chain(DIRECTORIES).collect(),
    };
    let found = directories.into_iter().flat_map(|directory| {
        files
            .keys()
            .map(PathBuf::from)
            .filter(move |path| path.parent() == Some(Path::new(directory)))
    });
    let read = |path: PathBuf| {
        let name = path.display().to_string();
        let text = files[&name].as_str().expect("a string").as_bytes().to_vec();
        (name, text)
    };
    search_order(found).into_iter().map(read).collect()
}

fn write(section: &Section) -> Value {
    let mut value = json!({});
    for (key, base) in [
        ("lookaside", &section.lookaside),
        ("lookaside-staging", &section.lookaside_staging),
        ("sigstore", &section.sigstore),
        ("sigstore-staging", &section.sigstore_staging),
    ] {
        if let Some(base) = base {
            value[key] = json!(base);
        }
    }
    if let Some(attachments) = section.use_sigstore_attachments {
        value["use-sigstore-attachments"] = json!(attachments);
    }
    value
}

fn registriesd_lookup(case: &Case) -> Result<(), String> {
    let lookaside = load(case).expect("a valid configuration");
    let reference = docker_transport_reference(case.required_text("ref")).expect("a reference");
    let writing = case.inputs.get("write").is_some_and(|write| write == true);
    let configured =
        if writing { staging(&lookaside, &reference) } else { lookaside.base(&reference) };
    let mut found = json!({
        "result": "ok",
        "configured": configured.unwrap_or_default(),
        "use_sigstore_attachments": lookaside.use_sigstore_attachments(&reference),
    });
    let base = BaseUrl::parse(configured.unwrap_or("file:///var/lib/containers/sigstore"));
    match base {
        Ok(base) => {
            let repository = base.append(&format!("/{}", reference.path()));
            found["url"] = json!(repository.to_string());
            found["url_path"] = json!(repository.path());
            if let Some(digest) = case.text("digest") {
                let digest = digest.parse().expect("a digest");
                let signature = repository.signature(&digest, 1);
                found["signature_1"] = json!(signature.to_string());
                if !writing {
                    check_location(&lookaside, &reference, &digest, &signature)?;
                }
            }
        }
        Err(_error) => {
            found["url_error"] = json!(true);
            if lookaside.store(&reference).is_ok() {
                return Err("a base that is no URL gives a store".to_owned());
            }
        }
    }
    case.check(&found)
}

/// Where a signing tool writes: pullgate never does.
fn staging<'a>(lookaside: &'a Lookaside, reference: &Reference) -> Option<&'a str> {
    let section = |scope: &String| {
        lookaside.namespaces().find(|(name, _)| name == scope).map(|(_, section)| section)
    };
    let scopes = scope::candidates(reference);
    let sections = scopes.iter().filter_map(section).chain(lookaside.default_docker());
    sections
        .flat_map(|section| {
            [
                &section.lookaside_staging,
                &section.sigstore_staging,
                &section.lookaside,
                &section.sigstore,
            ]
        })
        .flatten()
        .map(String::as_str)
        .find(|base| !base.is_empty())
}

/// Checks that the store reads from the expected place. It refuses two kinds of base that
/// containers/image takes: what it could not read from anyway, and encoded slashes.
fn check_location(
    lookaside: &Lookaside,
    reference: &Reference,
    digest: &Digest,
    expected: &BaseUrl,
) -> Result<(), String> {
    let found = lookaside.store(reference).map(|store| store.location(digest, 1));
    let agrees = match (&found, expected.scheme()) {
        (Ok(Location::File(path)), Some("file")) => path == Path::new(expected.path()),
        (Ok(Location::Url(url)), Some("http" | "https")) => *url == expected.to_string(),
        (Err(LookasideError::Base { source: UrlError::Scheme, .. }), scheme) => {
            !matches!(scheme, Some("file" | "http" | "https"))
        }
        (Err(LookasideError::Base { source: UrlError::EncodedSlash, .. }), _) => true,
        (Ok(_) | Err(_), _) => false,
    };
    if agrees { Ok(()) } else { Err(format!("expected {expected}, found {found:?}")) }
}
