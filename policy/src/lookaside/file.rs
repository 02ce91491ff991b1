//! The text of one file of registries.d.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::error::LookasideError;
use super::{Section, UnknownKey};
use crate::strict::yaml;

/// One file, parsed.
pub(super) struct File {
    pub(super) default_docker: Option<Section>,
    pub(super) docker: BTreeMap<String, Section>,
    pub(super) unknown_keys: Vec<UnknownKey>,
}

impl File {
    /// Parses a file. Whatever may be left out may also be null.
    pub(super) fn parse(name: &str, text: &[u8]) -> Result<Self, LookasideError> {
        let raw: Option<RawFile> =
            yaml(text).map_err(|source| LookasideError::Yaml { file: name.to_owned(), source })?;
        let RawFile { default_docker, docker, unknown } = raw.unwrap_or_default();
        let mut unknown_keys = Vec::new();
        let mut report = |section: Option<&str>, keys: Vec<String>| {
            unknown_keys.extend(keys.into_iter().map(|key| UnknownKey {
                file: name.to_owned(),
                section: section.map(str::to_owned),
                key,
            }));
        };
        report(None, unknown);
        let default_docker = default_docker.map(|RawSection { section, unknown }| {
            report(Some("default-docker"), unknown);
            section
        });
        let docker = docker.unwrap_or_default().into_iter().map(|(namespace, raw)| {
            let RawSection { section, unknown } = raw.unwrap_or_default();
            report(Some(&namespace), unknown);
            (namespace, section)
        });
        Ok(Self { default_docker, docker: docker.collect(), unknown_keys })
    }
}

#[derive(Default)]
struct RawFile {
    default_docker: Option<RawSection>,
    docker: Option<BTreeMap<String, Option<RawSection>>>,
    unknown: Vec<String>,
}

impl<'de> Deserialize<'de> for RawFile {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = RawFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with `default-docker` and `docker`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFile, A::Error> {
        let mut file = RawFile::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "default-docker" => file.default_docker = map.next_value()?,
                "docker" => file.docker = map.next_value()?,
                _unknown => {
                    map.next_value::<IgnoredAny>()?;
                    file.unknown.push(key);
                }
            }
        }
        Ok(file)
    }
}

#[derive(Default)]
struct RawSection {
    section: Section,
    unknown: Vec<String>,
}

impl<'de> Deserialize<'de> for RawSection {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(SectionVisitor)
    }
}

struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = RawSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with `lookaside` and the like")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawSection, A::Error> {
        let mut raw = RawSection::default();
        let section = &mut raw.section;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "lookaside" => section.lookaside = map.next_value()?,
                "lookaside-staging" => section.lookaside_staging = map.next_value()?,
                "sigstore" => section.sigstore = map.next_value()?,
                "sigstore-staging" => section.sigstore_staging = map.next_value()?,
                "use-sigstore-attachments" => {
                    section.use_sigstore_attachments = map.next_value::<Switch>()?.0;
                }
                _unknown => {
                    map.next_value::<IgnoredAny>()?;
                    raw.unknown.push(key);
                }
            }
        }
        Ok(raw)
    }
}

/// A truth value as go-yaml v3 reads it: `true` and `false` of YAML 1.2 without quotes, or a word of
/// YAML 1.1 with or without them.
struct Switch(Option<bool>);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(SwitchVisitor)
    }
}

struct SwitchVisitor;

impl Visitor<'_> for SwitchVisitor {
    type Value = Switch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_unit<E>(self) -> Result<Switch, E> {
        Ok(Switch(None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Switch, E> {
        Ok(Switch(Some(value)))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Switch, E> {
        match word {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(Switch(Some(true))),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(Switch(Some(false))),
            other => Err(E::custom(format_args!("expected true or false, found {other:?}"))),
        }
    }
}
