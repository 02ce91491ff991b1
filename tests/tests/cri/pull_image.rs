//! `PullImage`, which never passes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message;
use pullgate::cri::Pull;
use pullgate::pull::{ImageId, PullRequest};
use pullgate_proto::{
    AuthConfig, ImageSpec, PodSandboxConfig, PodSandboxMetadata, PullImageRequest,
    PullImageResponse,
};
use tokio::sync::mpsc;

use crate::fake::{Fake, Proxy, as_containerd};
use crate::raw::{Client, framed, request};

const V1: &str = "/runtime.v1.ImageService/PullImage";
const ALPHA: &str = "/runtime.v1alpha2.ImageService/PullImage";
const ID: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn both_versions_are_answered_by_the_gate() {
    let (pull, pulled) = recording();
    let proxy = Proxy::with(pull);
    let fake = Fake::start(&proxy.containerd(), as_containerd);
    let client = Client::connect(&proxy.socket()).await;
    for path in [V1, ALPHA] {
        let answer = client.call(path, &asking_for("registry.example/app:1").encode_to_vec()).await;
        assert_eq!(answer.code(), "0", "{path}");
        let response = PullImageResponse::decode(&answer.data[5..]).unwrap();
        assert_eq!((answer.data[0], response.image_ref.as_str()), (0, ID), "{path}");
    }
    let images: Vec<String> = pulled.lock().unwrap().iter().map(|it| it.image.clone()).collect();
    assert_eq!(images, ["registry.example/app:1"; 2]);
    assert_eq!(fake.calls(), Vec::<String>::new(), "nothing reached containerd");
}

#[tokio::test]
async fn the_gate_learns_what_the_request_says() {
    let (pull, pulled) = recording();
    let proxy = Proxy::with(pull);
    let client = Client::connect(&proxy.socket()).await;
    let annotated = |handler: &str| {
        HashMap::from([("io.containerd.cri.runtime-handler".to_owned(), handler.to_owned())])
    };
    let metadata = PodSandboxMetadata {
        name: "pod".to_owned(),
        uid: "uid".to_owned(),
        namespace: "space".to_owned(),
        attempt: 1,
    };
    let mut message = asking_for("a");
    message.auth = Some(AuthConfig { password: "secret".to_owned(), ..AuthConfig::default() });
    message.sandbox_config = Some(PodSandboxConfig {
        metadata: Some(metadata),
        annotations: annotated("of-the-pod"),
        ..PodSandboxConfig::default()
    });
    client.call(V1, &message.encode_to_vec()).await;
    message.image.as_mut().unwrap().annotations = annotated("of-the-image");
    client.call(V1, &message.encode_to_vec()).await;
    message.image.as_mut().unwrap().runtime_handler = "field".to_owned();
    client.call(V1, &message.encode_to_vec()).await;
    client.call(V1, &asking_for("b").encode_to_vec()).await;
    let pulled = pulled.lock().unwrap();
    let handlers: Vec<Option<&str>> =
        pulled.iter().map(|request| request.runtime_handler.as_deref()).collect();
    assert_eq!(handlers, [Some("of-the-pod"), Some("of-the-image"), Some("field"), None]);
    let pod = &pulled[0].pod;
    assert_eq!(
        (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()),
        ("space", "pod", "uid")
    );
    assert!(!format!("{pulled:?}").contains("secret"), "credentials have an empty Debug");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let proxy = Proxy::start();
    let client = Client::connect(&proxy.socket()).await;
    let good = asking_for("a").encode_to_vec();
    let mut compressed = framed(&good).to_vec();
    compressed[0] = 1;
    let twice = [framed(&good), framed(&good)].concat();
    let mut oversize = asking_for("a");
    oversize.image.as_mut().unwrap().user_specified_image = "x".repeat(16 << 20);
    let rows = [
        ("nothing", Bytes::new(), "3", "the request has 0 bytes, expected a gRPC message"),
        (
            "part of a frame",
            Bytes::from_static(b"\0\0\0"),
            "3",
            "the request has 3 bytes, expected a gRPC message",
        ),
        (
            "compressed",
            compressed.into(),
            "12",
            "the request is compressed (flag 1), which is not supported",
        ),
        ("too short", framed(&good).slice(..6), "3", "the request declares 5 bytes and has 1"),
        ("two messages", twice.into(), "3", "the request declares 5 bytes and has 15"),
        ("no message", framed(b"\xff\xff\xff"), "3", "the request is no PullImageRequest: "),
        (
            "oversize",
            framed(&oversize.encode_to_vec()),
            "8",
            "the request is larger than 16777216 bytes",
        ),
    ];
    for (name, body, code, message) in rows {
        let answer = client.send(request(V1, body)).await;
        assert_eq!(answer.code(), code, "{name}: {}", answer.message());
        assert!(answer.message().starts_with(message), "{name}: {}", answer.message());
    }
    for timeout in ["", "5", "S", "123456789S", "-1S", "5d", "+5S"] {
        let mut request = request(V1, framed(&good));
        request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        let answer = client.send(request).await;
        assert_eq!(answer.code(), "3", "{timeout:?}: {}", answer.message());
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_pull() {
    let (pull, mut events) = hanging();
    let proxy = Proxy::with(pull);
    let client = Client::connect(&proxy.socket()).await;
    let call = tokio::spawn(async move { client.call(V1, &asking_for("a").encode_to_vec()).await });
    assert_eq!(next(&mut events).await, "begun");
    call.abort();
    assert_eq!(next(&mut events).await, "dropped");
}

#[tokio::test]
async fn the_deadline_of_the_client_ends_the_pull() {
    let (pull, mut events) = hanging();
    let proxy = Proxy::with(pull);
    let client = Client::connect(&proxy.socket()).await;
    let mut request = request(V1, framed(&asking_for("a").encode_to_vec()));
    request.headers_mut().insert("grpc-timeout", "50m".parse().unwrap());
    let answer = client.send(request).await;
    assert_eq!(answer.code(), "4", "{}", answer.message());
    assert_eq!(next(&mut events).await, "begun");
    assert_eq!(next(&mut events).await, "dropped");
}

#[tokio::test]
async fn ending_the_server_drops_pulls() {
    let (pull, mut events) = hanging();
    let proxy = Proxy::with(pull);
    let client = Client::connect(&proxy.socket()).await;
    let call = tokio::spawn(async move { client.call(V1, &asking_for("a").encode_to_vec()).await });
    assert_eq!(next(&mut events).await, "begun");
    proxy.server.end().await;
    assert_eq!(next(&mut events).await, "dropped");
    assert!(call.await.unwrap().code() == "none", "the call was not answered");
}

fn asking_for(image: &str) -> PullImageRequest {
    let image = Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() });
    PullImageRequest { image, ..PullImageRequest::default() }
}

fn recording() -> (Pull, Arc<Mutex<Vec<PullRequest>>>) {
    let pulled = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&pulled);
    let pull: Pull = Box::new(move |request| {
        record.lock().unwrap().push(request);
        async { Ok(ImageId(ID.to_owned())) }.boxed()
    });
    (pull, pulled)
}

fn hanging() -> (Pull, mpsc::UnboundedReceiver<&'static str>) {
    let (send, receive) = mpsc::unbounded_channel();
    let pull: Pull = Box::new(move |_| {
        let guard = Guard(send.clone());
        async move {
            guard.0.send("begun").unwrap();
            std::future::pending().await
        }
        .boxed()
    });
    (pull, receive)
}

async fn next(events: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
    event.expect("something to happen").unwrap()
}

/// Tells when it is dropped.
struct Guard(mpsc::UnboundedSender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send("dropped").unwrap_or_default();
    }
}
