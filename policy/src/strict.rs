//! The one entry point for JSON and the one for YAML: a duplicate key is an error at every depth.
