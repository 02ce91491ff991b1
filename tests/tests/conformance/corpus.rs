//! The file format of the corpus: cases, their inputs and the files these name.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Runs one case; the error says what was expected and what came.
pub(crate) type Runner = fn(&Case) -> Result<(), String>;

/// One case of the corpus.
#[derive(Debug)]
pub(crate) struct Case {
    /// Unique name, `<kind>/<slug>`.
    pub(crate) name: String,
    /// What the case is about; chooses the runner.
    pub(crate) kind: String,
    /// What goes in.
    pub(crate) inputs: Value,
    /// What must come out.
    pub(crate) expected: Value,
    directory: PathBuf,
    found: RefCell<Option<Value>>,
}

impl Case {
    /// Reads every case of the `cases.json` in `directory`.
    pub(crate) fn read_all(directory: &Path) -> Vec<Self> {
        let path = directory.join("cases.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document: Value = serde_json::from_slice(&text).expect("cases.json is JSON");
        assert_eq!(document["format"], 1, "{}: unknown format", path.display());
        let cases = document["cases"].as_array().expect("`cases` is a list");
        cases.iter().map(|case| Self::from_value(case, directory)).collect()
    }

    fn from_value(case: &Value, directory: &Path) -> Self {
        let text = |key: &str| case[key].as_str().expect("a string").to_owned();
        Self {
            name: text("name"),
            kind: text("kind"),
            inputs: case["inputs"].clone(),
            expected: case["expected"].clone(),
            directory: directory.to_owned(),
            found: RefCell::new(None),
        }
    }

    /// The string input `key`, if the case has it.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.inputs.get(key).and_then(Value::as_str)
    }

    /// The string input `key`, which the kind requires.
    pub(crate) fn required_text(&self, key: &str) -> &str {
        self.text(key).unwrap_or_else(|| panic!("{}: no input {key:?}", self.name))
    }

    /// The bytes of input `key`, given as `key_file`, `key_text` or `key_b64`.
    pub(crate) fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        if let Some(path) = self.text(&format!("{key}_file")) {
            return Some(self.read(path).unwrap_or_else(|error| panic!("{path}: {error}")));
        }
        if let Some(text) = self.text(&format!("{key}_text")) {
            return Some(text.as_bytes().to_vec());
        }
        let text = self.text(&format!("{key}_b64"))?;
        Some(STANDARD.decode(text).expect("valid base64"))
    }

    /// Where a path of the case stands: those below `data/` belong to the corpus, the others do not
    /// exist on purpose.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Reads a file that the case names.
    pub(crate) fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        fs::read(self.resolve(path))
    }

    /// Compares what came out, an object with the members of `expected`; `null` stands for a member
    /// that is absent. Some members of `expected` are exceptions of the format and not compared.
    /// Where the format allows to be stricter, `divergences.toml` has to say that we are.
    pub(crate) fn check(&self, found: &Value) -> Result<(), String> {
        self.found.replace(Some(found.clone()));
        if self.result() == "either" {
            return Ok(());
        }
        let found = found.as_object().expect("an object");
        let expected = self.expected.as_object().expect("an object");
        let keys = found.keys().chain(expected.keys().filter(|key| !EXCEPTIONS.contains(&&***key)));
        for key in keys {
            if found.get(key).unwrap_or(&Value::Null) != expected.get(key).unwrap_or(&Value::Null) {
                let (inputs, expected) = (&self.inputs, &self.expected);
                let found = Value::Object(found.clone());
                return Err(format!("inputs {inputs}\n  expected {expected}\n  found {found}"));
            }
        }
        Ok(())
    }

    /// What came out, as far as the runner compared it.
    pub(crate) fn found(&self) -> Value {
        self.found.borrow().clone().unwrap_or_default()
    }

    /// The verdict that is expected.
    pub(crate) fn result(&self) -> &str {
        self.expected["result"].as_str().expect("`expected.result` is a string")
    }

    /// Everything that makes up the case, to recognise the same case in another corpus.
    pub(crate) fn identity(&self) -> String {
        format!("{} {} {}", self.name, self.inputs, self.expected)
    }
}

/// Members of `expected` that are not compared.
const EXCEPTIONS: &[&str] = &["hardening", "optional_fingerprints", "reason_hint", "stricter_ok"];
