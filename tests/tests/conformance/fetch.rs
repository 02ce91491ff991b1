//! Signatures read from a registry, a lookaside and attachments, over real HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use http_body_util::Full;
use pullgate::evidence::{Collector, Evidence};
use pullgate::registry::{Credentials, Registry, Settings};
use pullgate_policy::digest::Digest;
use pullgate_policy::lookaside::Lookaside;
use pullgate_policy::reference::PullReference;
use pullgate_policy::signature::UntrustedSignature;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::server::{Answer, Server};
use serde_json::{Value, json};

use crate::corpus::{Case, Runner};

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[("signature-fetch", signature_fetch)];

const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;

/// containers/image tells failures before and after the manifest apart; a pull is refused by either.
const REFUSALS: [&str; 3] = ["error", "manifest-error", "pull-error"];

fn signature_fetch(case: &Case) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.expect("a runtime").block_on(fetch(case)) {
        Ok((evidence, requests)) => {
            let mut found = json!({
                "result": "ok",
                "count": evidence.signatures.len(),
                "signatures": evidence.signatures.iter().map(shown).collect::<Vec<_>>(),
            });
            // The cases with very many signatures do not list the requests.
            if case.expected.get("requests").is_some() {
                found["requests"] = json!(requests);
            }
            case.check(&found)
        }
        Err(_) if REFUSALS.contains(&case.result()) => Ok(()),
        Err(error) => case
            .check(&json!({ "result": "error" }))
            .map_err(|problem| format!("{problem}: {error}")),
    }
}

fn shown(signature: &UntrustedSignature) -> String {
    let start = |bytes: &[u8]| Digest::sha256(bytes).hex().chars().take(8).collect::<String>();
    match signature {
        UntrustedSignature::Bundle(bundle) => format!("bundle:{}", start(&bundle.text)),
        UntrustedSignature::Simple(message) => format!("simple:{}", start(message)),
        UntrustedSignature::Sigstore(attachment) => {
            format!("sigstore:{}:{}", attachment.media_type, start(&attachment.payload))
        }
    }
}

/// The signatures of the case's image, and the requests that were made after its manifest was read.
async fn fetch(case: &Case) -> Result<(Evidence, Vec<String>), String> {
    let root = tempfile::tempdir().expect("a scratch directory");
    let answers = answers(case);
    let server = Server::start(move |request| answer(&answers, request.uri().path())).await;
    let fill = |text: &str| {
        let root = root.path().display().to_string();
        text.replace("@SERVER@", &server.host()).replace("@ROOT@", &root)
    };
    for (name, file) in case.inputs["lookaside_files"].as_object().into_iter().flatten() {
        write(&root.path().join(name), &body(case, file));
    }
    let hosts = Hosts::new();
    if case.text("registries_conf_text").is_some() {
        let mirror = format!("[host.\"{}/v2/mirror\"]\noverride_path = true\n", server.url());
        hosts.write("primary.example.com", &mirror);
    }
    let text = fill(case.text("registries_d_text").unwrap_or_default());
    let said = |error: &dyn std::error::Error| pullgate::audit::chain(error);
    let lookaside =
        Lookaside::parse([("a.yaml", text.as_bytes())]).map_err(|error| said(&error))?;
    let reference =
        PullReference::parse(&fill(case.required_text("ref"))).map_err(|error| said(&error))?;
    let patience = Duration::from_secs(10);
    let registry = Registry::new(Settings {
        config_path: vec![hosts.path().to_owned()],
        no_progress: patience,
        pause: Duration::from_millis(1),
    });
    let repository = registry.repository(reference.reference(), &Credentials::default());
    let repository = repository.map_err(|error| said(&error))?;
    let resolved = repository.resolve(&reference).await.map_err(|error| said(&error))?;
    let child = case.text("instance_digest").map(|text| text.parse().expect("a digest"));
    let digest = child.as_ref().unwrap_or_else(|| resolved.blob.digest());
    let before = server.requests().len();
    let collector = Collector::new(patience).expect("a client");
    let evidence = collector.collect(&lookaside, &resolved.source, digest).await;
    let evidence = evidence.map_err(|error| said(&error))?;
    Ok((evidence, asked(&server.requests().split_off(before))))
}

/// The requests without the question what the registry offers, and without the name of the mirrored
/// registry.
fn asked(requests: &[String]) -> Vec<String> {
    let path = |request: &String| request.split('?').next().unwrap_or_default().to_owned();
    requests.iter().map(path).filter(|request| !OFFERS.contains(&request.as_str())).collect()
}

const OFFERS: [&str; 2] = ["GET /v2/", "GET /v2/mirror/"];

type Answers = BTreeMap<String, (u16, Vec<(String, String)>, Vec<u8>)>;

fn answers(case: &Case) -> Answers {
    let mut answers = Answers::new();
    for (path, response) in case.inputs["responses"].as_object().into_iter().flatten() {
        let status = response["status"].as_u64().unwrap_or(200);
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers = headers
            .map(|(name, value)| (name.clone(), value.as_str().expect("a string").to_owned()));
        let status = u16::try_from(status).expect("a status");
        answers.insert(path.clone(), (status, headers.collect(), body(case, response)));
    }
    answers
}

fn answer(answers: &Answers, path: &str) -> Answer {
    let missing = if path.contains("/manifests/") { UNKNOWN } else { "" };
    let Some((status, headers, body)) = answers.get(path) else {
        return Response::builder().status(404).body(Full::from(missing)).expect("an answer");
    };
    let mut answer = Response::builder().status(*status);
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    answer.body(Full::from(body.clone())).expect("header values")
}

fn body(case: &Case, value: &Value) -> Vec<u8> {
    if let Some(path) = value["body_file"].as_str() {
        return case.read(path).expect("a file of the corpus");
    }
    if let Some(text) = value["body_text"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(text) = value["body_b64"].as_str() {
        return STANDARD.decode(text).expect("base64");
    }
    let filler = value["body_filler"].as_u64().unwrap_or_default();
    vec![0x90; usize::try_from(filler).expect("a size")]
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}
