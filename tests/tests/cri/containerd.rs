//! In front of a real containerd.

use prost::Message;
use pullgate_proto::{ImageSpec, ImageStatusRequest, RemovePodSandboxRequest, VersionRequest};
use pullgate_tests::containerd::Containerd;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::version::Version;

use crate::raw::Client;

#[tokio::test]
async fn calls_pass_byte_for_byte_and_survive_a_restart() {
    let hosts = Hosts::new();
    let mut containerd = Containerd::start(Version::V1_6, hosts.path()).await;
    let settings = Settings { policy: Some(accept_anything()), ..Settings::default() };
    let mut gate = Pullgated::start(&containerd, &settings).await;
    let direct = Client::connect(&containerd.socket()).await;
    let proxied = Client::connect(&gate.socket()).await;
    let absent =
        ImageSpec { image: "registry.example/absent:1".to_owned(), ..ImageSpec::default() };
    let status = ImageStatusRequest { image: Some(absent), verbose: true }.encode_to_vec();
    let version = VersionRequest { version: "v1".to_owned() }.encode_to_vec();
    let sandbox = RemovePodSandboxRequest { pod_sandbox_id: "none".to_owned() }.encode_to_vec();
    let rows: [(&str, &[u8]); 12] = [
        ("v1.RuntimeService/Version", &version),
        ("v1alpha2.RuntimeService/Version", &version),
        ("v1.RuntimeService/ListContainers", b""),
        ("v1.RuntimeService/ListPodSandbox", b""),
        ("v1.RuntimeService/RemovePodSandbox", &sandbox),
        ("v1.RuntimeService/StopPodSandbox", &sandbox),
        ("v1.RuntimeService/GetContainerEvents", b""),
        ("v1.RuntimeService/MethodOfTomorrow", b""),
        ("v1.ImageService/ListImages", b""),
        ("v1.ImageService/ImageStatus", &status),
        ("v1.ImageService/ImageStatus", b"\xff"),
        ("v1alpha2.ImageService/ListImages", b""),
    ];
    for (path, message) in rows {
        let path = format!("/runtime.{path}");
        let expected = direct.call(&path, message).await;
        assert_eq!(proxied.call(&path, message).await, expected, "{path}");
    }
    containerd.kill();
    let answer = proxied.call("/runtime.v1.RuntimeService/Version", &version).await;
    assert_eq!(answer.code(), "14", "{answer:?}");
    containerd.start_again().await;
    let answer = proxied.call("/runtime.v1.RuntimeService/Version", &version).await;
    assert_eq!(answer.code(), "0", "{answer:?}");
    assert!(gate.log().contains("CONTAINERD_VERSION=\"1.6"), "{}", gate.log());
    assert!(gate.stop().await.success());
}
