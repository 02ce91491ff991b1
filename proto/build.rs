//! Generates the CRI types and clients from the vendored protocol definition.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(&["proto/runtime-v1.proto"], &["proto"])
}
