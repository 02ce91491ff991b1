//! What passes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::fake::{Call, Fake, Proxy, Reply, as_containerd, ok, reply, trailers};
use crate::raw::{Answer, Client, framed, read, request};

const PATH: &str = "/runtime.v1.RuntimeService/Exec";

/// The answers that a gRPC server can give, by the last word of the path.
async fn any(call: Call) -> Result<Reply, h2::Error> {
    let name = call.uri.rsplit('/').next().unwrap().to_owned();
    let seen = format!("{} {:?}", call.uri, call.headers);
    let body = call.body.collect().await.unwrap().to_bytes();
    let mut rich = trailers("0");
    rich.append("grpc-status-details-bin", "CAESA2FiYw".parse().unwrap());
    rich.append("x-twice", "one".parse().unwrap());
    rich.append("x-twice", "two".parse().unwrap());
    Ok(match name.as_str() {
        "Echo" => ok(&body),
        "Seen" => ok(seen.as_bytes()),
        "Empty" => ok(b""),
        "Large" => ok(&vec![7; (16 << 20) - 5]),
        "Many" => {
            let frames = (0..500_u16).map(|number| Frame::data(framed(&number.to_be_bytes())));
            reply(frames.chain([Frame::trailers(rich)]).collect())
        }
        "OnlyTrailers" => {
            let mut answer = Response::new(Full::default().map_err(|e| match e {}).boxed_unsync());
            *answer.headers_mut() = trailers("5");
            answer.headers_mut().insert("grpc-message", "no such %E7%BD%B2".parse().unwrap());
            answer
        }
        "LongMessage" => {
            let mut long = trailers("2");
            long.insert("grpc-message", "x".repeat(1 << 20).parse().unwrap());
            reply(vec![Frame::trailers(long)])
        }
        "Headers" => {
            let mut answer = reply(vec![Frame::data(framed(b"a")), Frame::trailers(rich)]);
            answer.headers_mut().append("x-twice", "one".parse().unwrap());
            answer.headers_mut().append("x-twice", "two".parse().unwrap());
            let odd = http::HeaderValue::from_bytes(b"caf\xc3\xa9 \xff").unwrap();
            answer.headers_mut().insert("x-not-ascii", odd);
            answer.headers_mut().insert("grpc-encoding", "identity".parse().unwrap());
            answer
        }
        "Reset" => return Err(Reason::REFUSED_STREAM.into()),
        _ => reply(vec![Frame::trailers(trailers("12"))]),
    })
}

#[tokio::test]
async fn answers_pass_byte_for_byte() {
    let proxy = Proxy::start();
    let _fake = Fake::start(&proxy.containerd(), any);
    let direct = Client::connect(&proxy.containerd()).await;
    let proxied = Client::connect(&proxy.socket()).await;
    let names = [
        "Echo",
        "Seen",
        "Empty",
        "Large",
        "Many",
        "OnlyTrailers",
        "LongMessage",
        "Headers",
        "Reset",
        "MethodOfTomorrow",
    ];
    for name in names {
        for service in ["v1.RuntimeService", "v1alpha2.RuntimeService"] {
            let path = format!("/runtime.{service}/{name}");
            let message = vec![42; 100_000];
            let expected = direct.call(&path, &message).await;
            let found = proxied.call(&path, &message).await;
            assert!(expected == found, "{path}: {:?} {:?}", expected.headers, found.headers);
            assert!(found.code() != "none" || found.reset.is_some(), "{path} was answered");
        }
    }
}

#[tokio::test]
async fn requests_pass_byte_for_byte() {
    let proxy = Proxy::start();
    let _fake = Fake::start(&proxy.containerd(), any);
    let direct = Client::connect(&proxy.containerd()).await;
    let proxied = Client::connect(&proxy.socket()).await;
    let rich = || {
        let mut request = request("/runtime.v1.RuntimeService/Seen", framed(b"abc"));
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert("grpc-timeout", "2000000u".parse().unwrap());
        headers.insert("grpc-encoding", "identity".parse().unwrap());
        headers.insert("x-bin", "AAEC".parse().unwrap());
        headers.append("x-twice", "one".parse().unwrap());
        headers.append("x-twice", "two".parse().unwrap());
        request
    };
    let found = proxied.send(rich()).await;
    assert_eq!(direct.send(rich()).await, found);
    let seen = String::from_utf8_lossy(&found.data);
    assert!(
        seen.contains("http://localhost/runtime.v1") && seen.contains("grpc-timeout"),
        "{seen}"
    );
}

#[tokio::test]
async fn one_connection_carries_more_calls_than_h2_forgives_mistakes() {
    let proxy = Proxy::start();
    let _fake = Fake::start(&proxy.containerd(), as_containerd);
    let client = Client::connect(&proxy.socket()).await;
    for number in 0..1000 {
        assert_eq!(client.call(PATH, b"").await.code(), "0", "call {number}");
    }
}

#[tokio::test]
async fn calls_at_a_time_are_not_limited() {
    let proxy = Proxy::start();
    let (fake, release) = Fake::held(&proxy.containerd());
    let client = Client::connect(&proxy.socket()).await;
    let calls =
        tokio::spawn(async move { join_all((0..600).map(|_| client.call(PATH, b""))).await });
    fake.until(|calls| calls.len() == 600).await;
    release.send(true).unwrap();
    for answer in calls.await.unwrap() {
        assert_eq!(answer.code(), "0");
    }
}

#[tokio::test]
async fn a_stream_passes_message_by_message() {
    let proxy = Proxy::start();
    let (send, receive) = mpsc::unbounded_channel();
    let receive = std::sync::Mutex::new(Some(receive));
    let _fake = Fake::start(&proxy.containerd(), move |_| {
        let reply = streamed(receive.lock().unwrap().take().unwrap());
        async { Ok(reply) }
    });
    let client = Client::connect(&proxy.socket()).await;
    let path = "/runtime.v1.RuntimeService/GetContainerEvents";
    let answer = client.start(request(path, framed(b""))).await.unwrap();
    let mut body = answer.into_body();
    for number in 0..200_u8 {
        send.send(Frame::data(framed(&[number]))).unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), framed(&[number]));
    }
    send.send(Frame::trailers(trailers("0"))).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
}

#[tokio::test]
async fn a_client_that_goes_away_is_gone_for_containerd() {
    let proxy = Proxy::start();
    let (gone, mut seen) = mpsc::unbounded_channel();
    let (_send, receive) = mpsc::unbounded_channel();
    let receive = Arc::new(std::sync::Mutex::new(Some(receive)));
    let fake = Fake::start(&proxy.containerd(), move |call| {
        let guard = Guard(gone.clone(), call.uri.replace("http://localhost", ""));
        let receive = Arc::clone(&receive);
        async move {
            if call.uri.ends_with("Streaming") {
                let receive = receive.lock().unwrap().take().unwrap();
                return Ok(streamed(receive).map(|body| {
                    let guarded = body.map_frame(move |frame| {
                        let _held = &guard;
                        frame
                    });
                    guarded.boxed_unsync()
                }));
            }
            let _held = guard;
            std::future::pending().await
        }
    });
    let client = Client::connect(&proxy.socket()).await;
    let waiting = spawn_call(&client, "/runtime.v1.RuntimeService/Waiting");
    fake.until(|calls| calls.len() == 1).await;
    waiting.abort();
    assert_eq!(next(&mut seen).await, "/runtime.v1.RuntimeService/Waiting");
    let path = "/runtime.v1.RuntimeService/Streaming";
    let answer = client.start(request(path, framed(b""))).await.unwrap();
    drop(answer);
    assert_eq!(next(&mut seen).await, path);
}

#[tokio::test]
async fn containerd_absent_is_said_in_words() {
    let proxy = Proxy::start();
    let client = Client::connect(&proxy.socket()).await;
    let answer = client.call(PATH, b"").await;
    assert_eq!(answer.code(), "14");
    let path = proxy.containerd().display().to_string();
    assert!(answer.message().contains(&path), "{}", answer.message());
    assert!(answer.message().contains("is containerd running"), "{}", answer.message());
    assert!(answer.trailers.is_empty() && answer.data.is_empty(), "headers alone: {answer:?}");
}

#[tokio::test]
async fn a_restart_of_containerd_ends_calls_and_no_more() {
    let proxy = Proxy::start();
    let fake = Fake::start(&proxy.containerd(), |call: Call| async move {
        match call.uri.rsplit('/').next() {
            Some("Waiting") => std::future::pending().await,
            Some("Streaming") => {
                let (send, receive) = mpsc::unbounded_channel();
                send.send(Frame::data(framed(b"first"))).unwrap();
                tokio::spawn(async move { send.closed().await });
                Ok(streamed(receive))
            }
            _ => Ok(ok(b"")),
        }
    });
    let client = Client::connect(&proxy.socket()).await;
    assert_eq!(client.call(PATH, b"").await.code(), "0");
    let waiting = spawn_call(&client, "/runtime.v1.RuntimeService/Waiting");
    fake.until(|calls| calls.len() == 2).await;
    let path = "/runtime.v1.RuntimeService/Streaming";
    let streaming = client.start(request(path, framed(b""))).await.unwrap();
    fake.stop().await;
    for answer in [waiting.await.unwrap(), read(streaming).await] {
        assert_eq!(answer.code(), "14", "{answer:?}");
    }
    assert_eq!(client.call(PATH, b"").await.code(), "14");
    let _fake = Fake::start(&proxy.containerd(), as_containerd);
    assert_eq!(client.call(PATH, b"").await.code(), "0");
}

#[tokio::test]
async fn only_cri_exists_on_the_socket() {
    let proxy = Proxy::start();
    let fake = Fake::start(&proxy.containerd(), as_containerd);
    let client = Client::connect(&proxy.socket()).await;
    let rows = [
        (
            "/containerd.services.images.v1.Images/Create",
            "unknown service containerd.services.images.v1.Images",
        ),
        ("/grpc.health.v1.Health/Check", "unknown service grpc.health.v1.Health"),
        ("/runtime.v2.ImageService/ListImages", "unknown service runtime.v2.ImageService"),
        (
            "/runtime.v1.ImageService/ImportImage",
            "unknown method ImportImage for service runtime.v1.ImageService",
        ),
        (
            "/runtime.v1alpha2.ImageService/pullImage",
            "unknown method pullImage for service runtime.v1alpha2.ImageService",
        ),
    ];
    for (path, expected) in rows {
        let answer = client.call(path, b"").await;
        assert_eq!((answer.code(), answer.message()), ("12", expected), "{path}");
    }
    assert_eq!(fake.calls(), Vec::<String>::new(), "nothing of it reached containerd");
    let passing = [
        "/runtime.v1.RuntimeService/MethodOfTomorrow",
        "/runtime.v1.ImageService/StreamImages",
        "/runtime.v1alpha2.ImageService/RemoveImage",
    ];
    for path in passing {
        assert_eq!(client.call(path, b"").await.code(), "0", "{path}");
    }
    assert_eq!(fake.calls(), passing);
}

#[tokio::test]
async fn draining_lets_calls_end() {
    let proxy = Proxy::start();
    let (fake, release) = Fake::held(&proxy.containerd());
    let client = Client::connect(&proxy.socket()).await;
    let call = spawn_call(&client, PATH);
    fake.until(|calls| calls.len() == 1).await;
    let early = tokio::time::timeout(Duration::from_millis(200), proxy.server.drain()).await;
    assert!(early.is_err(), "drained with a call under way");
    release.send(true).unwrap();
    proxy.server.drain().await;
    assert_eq!(call.await.unwrap().code(), "0");
}

fn spawn_call(client: &Client, path: &'static str) -> JoinHandle<Answer> {
    let client = client.clone();
    tokio::spawn(async move { client.call(path, b"").await })
}

async fn next(events: &mut mpsc::UnboundedReceiver<String>) -> String {
    let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
    event.expect("the call to be cancelled").unwrap()
}

fn streamed(receive: mpsc::UnboundedReceiver<Frame<Bytes>>) -> Reply {
    let frames = futures_util::stream::unfold(receive, |mut receive| async {
        let frame = receive.recv().await?;
        Some((Ok(frame), receive))
    });
    Response::new(StreamBody::new(frames).boxed_unsync())
}

/// Tells when it is dropped.
struct Guard(mpsc::UnboundedSender<String>, String);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send(self.1.clone()).unwrap_or_default();
    }
}
