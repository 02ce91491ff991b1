//! Unpacking is most of a pull's time. What pullgated does not decompress, containerd does, with faster
//! programs where it finds them.

use std::path::Path;

use super::finding::Said;
use super::look::Node;
use super::versions::Release;

pub(super) fn check(node: &Node) -> Vec<Said> {
    let Some(Ok(containerd)) = node.live.as_ref().map(|live| &live.containerd.process) else {
        return Vec::new();
    };
    let two = node.release().is_some_and(|release| release >= Release(2, 0));
    let programs: &[(&str, &str)] = if two {
        &[("igzip", "CONTAINERD_DISABLE_IGZIP"), ("unpigz", "CONTAINERD_DISABLE_PIGZ")]
    } else {
        &[("unpigz", "CONTAINERD_DISABLE_PIGZ")]
    };
    let variables = &containerd.environment;
    let path = variables.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    let found = programs.iter().find(|(program, disabled)| {
        let there = path.split(':').any(|folder| Path::new(folder).join(program).is_file());
        there && !variables.contains_key(*disabled)
    });
    vec![match found {
        Some((program, _)) => Said::armed(format!(
            "what pullgated does not decompress, containerd does with {program}"
        )),
        None => Said::advice(
            "what pullgated does not decompress, containerd does with its own gzip, which is slow",
            if two {
                "install igzip (package isal), or unpigz (package pigz)"
            } else {
                "install unpigz (package pigz)"
            },
        ),
    }]
}
