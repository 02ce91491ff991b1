//! The one entry point for JSON and the one for YAML: a duplicate key is an error at every depth.
//!
//! serde lets the last of two equal keys win in a map, and two readers that disagree about which one
//! counts are how a check and its subject drift apart (CVE-2021-41190). A [`Json`] value therefore
//! holds each key once; [`Node`] and [`Object`] read it with the key path at hand for the message.

mod json;
mod node;
mod path;
mod position;
mod yaml;

pub use json::{Json, JsonError, Number, json};
pub use node::{Node, Object, base64};
pub use path::KeyPath;
pub(crate) use path::excerpt;
pub use position::{Position, position};
pub use yaml::{YamlError, yaml};

#[cfg(test)]
mod tests;
