//! Checkpoints of containers, which containerd 2.1 and later restore from what looks like an image.

use crate::strict::json;

/// What the annotations of a checkpoint begin with.
const CHECKPOINT: &str = "org.criu.checkpoint.";

/// Whether a manifest or an index says that it is the checkpoint of a container. One that cannot be
/// read says nothing: it is no image either.
#[must_use]
pub fn checkpoint(body: &[u8]) -> bool {
    let Ok(document) = json(body) else { return false };
    let Ok(object) = document.root().object() else { return false };
    let annotations = object.get("annotations").and_then(|node| node.object().ok());
    annotations.is_some_and(|found| found.iter().any(|(key, _)| key.starts_with(CHECKPOINT)))
}

#[cfg(test)]
mod tests {
    use super::checkpoint;

    #[test]
    fn checkpoints_say_so() {
        for (body, expected) in [
            (r#"{"annotations":{"org.criu.checkpoint.container.name":"a"}}"#, true),
            (r#"{"annotations":{"a":"b","org.criu.checkpoint.engine.name":"c"}}"#, true),
            (r#"{"annotations":{"org.opencontainers.image.title":"org.criu.checkpoint."}}"#, false),
            (r#"{"annotations":null}"#, false),
            (r#"{"config":{"annotations":{"org.criu.checkpoint.container.name":"a"}}}"#, false),
            ("{}", false),
            ("[", false),
        ] {
            assert_eq!(checkpoint(body.as_bytes()), expected, "{body}");
        }
    }
}
