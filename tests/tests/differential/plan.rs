//! What was chosen for a case. Texts hold names in `@…@` that are filled in when the case is written
//! (see [`crate::case`]), so that a plan is the same in each run of its seed.

use serde_json::{Map, Value, json};

use crate::chance::Chance;

/// Everything that makes up a case but the bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// `@HOST@`, or the same registry under the name localhost.
    pub(crate) host: &'static str,
    pub(crate) repository: String,
    pub(crate) tag: &'static str,
    pub(crate) by_digest: bool,
    pub(crate) signatures: Vec<Signature>,
    pub(crate) default: Vec<Value>,
    pub(crate) scopes: Vec<(String, Vec<Value>)>,
    /// A mistake in the text of policy.json.
    pub(crate) slip: Option<(&'static str, &'static str)>,
    /// The files of registries.d.
    pub(crate) files: Vec<Vec<Section>>,
}

/// One section of a file of registries.d.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    /// A namespace, or none for `default-docker`.
    pub(crate) namespace: Option<String>,
    pub(crate) lines: Vec<String>,
}

/// One signature of the image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signature {
    pub(crate) by: Signer,
    /// The name that it carries.
    pub(crate) claim: String,
    /// Whether it is for another manifest.
    pub(crate) other_digest: bool,
    pub(crate) change: Change,
}

/// Who made a signature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Signer {
    /// The holder of an OpenPGP key; stored in the lookaside.
    OpenPgp(usize),
    /// The holder of a key, as cosign attaches it.
    Sigstore { key: usize, attached: Attached },
    /// The holder of a certificate, as cosign attaches it.
    Certificate { number: usize, attached: Attached },
}

/// What belongs to an attached signature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attached {
    /// The log that recorded it.
    pub(crate) log: Option<usize>,
    /// Which part of it is changed.
    pub(crate) changed: Part,
    pub(crate) other_media_type: bool,
    /// An annotation that is left out.
    pub(crate) without: Option<&'static str>,
}

/// A part of an attached signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Certificate,
    LogEntry,
    Payload,
    Signature,
}

/// A change of bytes. Places are taken modulo the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// One bit is another.
    Bit {
        place: usize,
        bit: usize,
    },
    /// The end is missing.
    Cut {
        place: usize,
    },
    /// There is more.
    More {
        text: &'static [u8],
    },
    /// A piece stands twice.
    Twice {
        place: usize,
    },
}

impl Change {
    fn by(chance: &mut Chance) -> Self {
        let place = chance.below(1 << 16);
        match chance.below(28) {
            0 | 1 => Self::Bit { place, bit: chance.below(8) },
            2 => Self::Cut { place },
            3 => Self::More { text: chance.one::<&'static [u8]>(&[b"\n", b" ", b"\0", b"}"]) },
            4 => Self::Twice { place },
            _ => Self::None,
        }
    }

    /// Changes bytes.
    pub(crate) fn apply(self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match self {
            Self::None => {}
            Self::Bit { place, bit } => {
                if let Some(byte) = bytes.get_mut(place % length) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut { place } => bytes.truncate(place % length),
            Self::More { text } => bytes.extend(text),
            Self::Twice { place } => bytes.extend_from_within(place % length..),
        }
    }
}

/// The names that a signature may carry; the first are right.
const CLAIMS: [&str; 9] = [
    "@NAME@:@TAG@",
    "@NAME@",
    "@NAME@:other",
    "@NAME@@@DIGEST@",
    "@HOST@/other/app:@TAG@",
    "signed.example/app:@TAG@",
    "signed.example/app/@REPOSITORY@:@TAG@",
    "Not A Name",
    "",
];

const TAGS: [&str; 4] = ["v1", "1.0_rc-2", "V1", "latest"];

impl Plan {
    /// Makes up a case.
    pub(crate) fn new(chance: &mut Chance, index: u64, keys: Count) -> Self {
        let paths = ["app", "a/b/c/app", "team_1/my-app", "a__b/c.d"];
        let repository = format!("c{index}/{}", paths[chance.favour_first(paths.len())]);
        let signed = !chance.once_in(8);
        let signatures = if signed { signatures(chance, keys) } else { Vec::new() };
        let scopes = (0..chance.below(4)).map(|_| scope(chance)).collect::<Vec<_>>();
        let slips = [(",", ""), ("type", "Type"), ("[", "{"), ("\"default\"", "\"defaults\"")];
        Self {
            host: if chance.once_in(6) { "@LOCALHOST@" } else { "@HOST@" },
            repository,
            tag: TAGS[chance.favour_first(TAGS.len())],
            by_digest: chance.once_in(3),
            signatures,
            default: requirements(chance, keys),
            scopes: scopes.into_iter().map(|name| (name, requirements(chance, keys))).collect(),
            slip: chance.once_in(30).then(|| *chance.one(&slips)),
            files: files(chance),
        }
    }

    /// The text of policy.json, to be filled in.
    pub(crate) fn policy(&self) -> String {
        let scopes: Map<_, _> =
            self.scopes.iter().map(|(name, list)| (name.clone(), json!(list))).collect();
        let mut policy = json!({ "default": self.default });
        if !scopes.is_empty() {
            policy["transports"] = json!({ "docker": scopes });
        }
        let text = policy.to_string();
        self.slip.map_or_else(|| text.clone(), |(from, to)| text.replacen(from, to, 1))
    }

    /// The texts of the files of registries.d, to be filled in.
    pub(crate) fn registries_d(&self) -> Vec<String> {
        self.files.iter().map(|sections| registries_d(sections)).collect()
    }
}

/// How many keys of each kind a run has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) openpgp: usize,
    pub(crate) sigstore: usize,
    pub(crate) certificates: usize,
}

fn signatures(chance: &mut Chance, keys: Count) -> Vec<Signature> {
    let mut signatures = Vec::new();
    for _ in 0..=chance.below(3) {
        let key = chance.favour_first(keys.openpgp);
        signatures.push(signature(chance, Signer::OpenPgp(key)));
    }
    for _ in 0..chance.below(3) {
        let log = if chance.once_in(3) { None } else { Some(chance.favour_first(2)) };
        let parts = [Part::Payload, Part::Signature, Part::LogEntry, Part::Certificate];
        let annotations = [
            "dev.cosignproject.cosign/signature",
            "dev.sigstore.cosign/bundle",
            "dev.sigstore.cosign/certificate",
        ];
        let attached = Attached {
            log,
            changed: *chance.one(&parts),
            other_media_type: chance.once_in(10),
            without: chance.once_in(14).then(|| *chance.one(&annotations)),
        };
        let by = if chance.once_in(3) {
            Signer::Certificate { number: chance.favour_first(keys.certificates), attached }
        } else {
            Signer::Sigstore { key: chance.favour_first(keys.sigstore), attached }
        };
        signatures.push(signature(chance, by));
    }
    signatures
}

fn signature(chance: &mut Chance, by: Signer) -> Signature {
    Signature {
        by,
        claim: CLAIMS[chance.favour_first(CLAIMS.len())].to_owned(),
        other_digest: chance.once_in(8),
        change: Change::by(chance),
    }
}

fn scope(chance: &mut Chance) -> String {
    let scopes = [
        "@NAME@",
        "@NAME@:@TAG@",
        "@NAME@@@DIGEST@",
        "@HOST@",
        "@HOST@/@FIRST@",
        "@LOCALHOST@",
        "@NAME@:other",
        "*.0.0.1",
        "*.1",
        "*",
        "*.localhost",
        "127.0.0.1",
        "localhost",
        "",
    ];
    (*chance.one(&scopes)).to_owned()
}

fn requirements(chance: &mut Chance, keys: Count) -> Vec<Value> {
    let count = if chance.once_in(5) { 2 } else { 1 };
    (0..count).map(|_| requirement(chance, keys)).collect()
}

fn requirement(chance: &mut Chance, keys: Count) -> Value {
    let mut requirement = match chance.below(20) {
        0 => return json!({"type": "reject"}),
        1 | 2 => return json!({"type": "insecureAcceptAnything"}),
        3 => {
            let identity = json!({"type": "matchExact"});
            return json!({"type": "signedBaseLayer", "baseLayerIdentity": identity});
        }
        4..=9 => {
            let mut requirement = json!({"type": "signedBy", "keyType": "GPGKeys"});
            keys_of(chance, &mut requirement, "OPENPGP", keys.openpgp, false);
            requirement
        }
        10..=14 => {
            let mut requirement = json!({"type": "sigstoreSigned"});
            keys_of(chance, &mut requirement, "SIGSTORE", keys.sigstore, true);
            if chance.once_in(3) {
                log_of(chance, &mut requirement);
            }
            requirement
        }
        15..=17 => fulcio(chance),
        _ => pki(chance),
    };
    if !chance.once_in(3) {
        requirement["signedIdentity"] = identity(chance);
    }
    requirement
}

/// Names keys of `kind` in one of the ways that the policy has.
fn keys_of(chance: &mut Chance, requirement: &mut Value, kind: &str, count: usize, datas: bool) {
    let path = |number: usize| format!("@{kind}{number}@");
    let data = |number: usize| format!("@DATA-{kind}{number}@");
    let chosen: Vec<_> = (0..=chance.below(3)).map(|_| chance.favour_first(count)).collect();
    match chance.below(7) {
        0 => requirement["keyData"] = json!(data(chosen[0])),
        1 => requirement["keyPaths"] = chosen.into_iter().map(path).collect(),
        2 if datas => requirement["keyDatas"] = chosen.into_iter().map(data).collect(),
        3 if chance.once_in(6) => requirement["keyPath"] = json!("/nowhere/key"),
        4 if chance.once_in(4) => {
            requirement["keyPaths"] = json!([path(chosen[0]), "/nowhere/key"]);
        }
        _ => requirement["keyPath"] = json!(path(chosen[0])),
    }
}

fn log_of(chance: &mut Chance, requirement: &mut Value) {
    let chosen = chance.favour_first(2);
    match chance.below(4) {
        0 => requirement["rekorPublicKeyData"] = json!(format!("@DATA-LOG{chosen}@")),
        1 => requirement["rekorPublicKeyPaths"] = json!(["@LOG1@", "@LOG0@"]),
        2 => requirement["rekorPublicKeyDatas"] = json!([format!("@DATA-LOG{chosen}@")]),
        _ => requirement["rekorPublicKeyPath"] = json!(format!("@LOG{chosen}@")),
    }
}

const ISSUERS: [&str; 2] = ["https://login.example", "https://other.example"];
const EMAILS: [&str; 3] = ["release@example.com", "other@example.com", "Release@example.com"];

fn fulcio(chance: &mut Chance) -> Value {
    let mut requirement = json!({"type": "sigstoreSigned", "fulcio": {
        "oidcIssuer": ISSUERS[chance.favour_first(2)],
        "subjectEmail": EMAILS[chance.favour_first(3)],
    }});
    if chance.once_in(2) {
        requirement["fulcio"]["caPath"] = json!("@ROOTS@");
    } else {
        requirement["fulcio"]["caData"] = json!("@DATA-ROOTS@");
    }
    log_of(chance, &mut requirement);
    requirement
}

fn pki(chance: &mut Chance) -> Value {
    let mut pki = json!({});
    if chance.once_in(2) {
        pki["caRootsPath"] = json!("@ROOTS@");
    } else {
        pki["caRootsData"] = json!("@DATA-ROOTS@");
    }
    let by_email = chance.once_in(2);
    if by_email {
        pki["subjectEmail"] = json!(EMAILS[chance.favour_first(3)]);
    }
    if !by_email || chance.once_in(4) {
        let names = ["build.example.com", "Build.Example.com", "example.com", "*.example.com"];
        pki["subjectHostname"] = json!(names[chance.favour_first(names.len())]);
    }
    json!({"type": "sigstoreSigned", "pki": pki})
}

fn identity(chance: &mut Chance) -> Value {
    match chance.below(9) {
        0 => json!({"type": "matchExact"}),
        1 => json!({"type": "matchRepoDigestOrExact"}),
        2..=4 => json!({"type": "matchRepository"}),
        5 => {
            let names = ["@NAME@:@TAG@", "@NAME@:other", "signed.example/app:@TAG@", "@NAME@"];
            json!({"type": "exactReference", "dockerReference": chance.one(&names)})
        }
        6 => {
            let names = ["@NAME@", "@HOST@/other/app", "signed.example/app", "@NAME@:@TAG@"];
            json!({"type": "exactRepository", "dockerRepository": chance.one(&names)})
        }
        _ => {
            let prefixes = ["@HOST@", "@NAME@", "@HOST@/c", "@HOST@/@FIRST@", "@LOCALHOST@"];
            let signed = ["signed.example/app", "@NAME@", "signed.example", "@HOST@"];
            json!({
                "type": "remapIdentity",
                "prefix": chance.one(&prefixes),
                "signedPrefix": chance.one(&signed),
            })
        }
    }
}

fn files(chance: &mut Chance) -> Vec<Vec<Section>> {
    let mut files = vec![vec![Section { namespace: None, lines: lines(chance) }]];
    if chance.once_in(2) {
        let names = ["@HOST@", "@NAME@", "@HOST@/@FIRST@", "@HOST@/c", "*.0.0.1", "@LOCALHOST@"];
        let mut section = || {
            let namespace = Some((*chance.one(&names)).to_owned());
            Section { namespace, lines: lines(chance) }
        };
        let (first, second) = (section(), section());
        let two = chance.once_in(3);
        if chance.once_in(3) {
            files.push(vec![first]);
        } else {
            files[0].push(first);
        }
        if two {
            files[0].push(second);
        }
    }
    files
}

fn lines(chance: &mut Chance) -> Vec<String> {
    let mut lines = Vec::new();
    if !chance.once_in(4) {
        let key = chance.one(&["lookaside", "lookaside", "sigstore", "lookaside-staging"]);
        let places =
            ["file://@FOLDER@/store", "@HTTP@/store", "file://@FOLDER@/empty", "@HTTP@/none", ""];
        let place = places[chance.favour_first(places.len())];
        lines.push(format!("{key}: \"{place}\""));
    }
    if !chance.once_in(4) {
        let value = chance.one(&["true", "true", "true", "false", "yes"]);
        lines.push(format!("use-sigstore-attachments: {value}"));
    }
    if chance.once_in(12) {
        lines.push("other: 1".to_owned());
    }
    lines
}

fn registries_d(sections: &[Section]) -> String {
    let mut text = String::new();
    let block = |text: &mut String, section: &Section, indent: &str| {
        for line in &section.lines {
            *text += &format!("{indent}{line}\n");
        }
    };
    for section in sections.iter().filter(|section| section.namespace.is_none()) {
        text += if section.lines.is_empty() { "default-docker: {}\n" } else { "default-docker:\n" };
        block(&mut text, section, "  ");
    }
    let named = sections.iter().filter_map(|section| Some((section.namespace.as_ref()?, section)));
    for (number, (name, section)) in named.enumerate() {
        if number == 0 {
            text += "docker:\n";
        }
        text += &format!("  \"{name}\":{}\n", if section.lines.is_empty() { " {}" } else { "" });
        block(&mut text, section, "    ");
    }
    text
}
