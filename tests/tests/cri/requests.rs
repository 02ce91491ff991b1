//! Requests that do not come all at once.

use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fake::{Call, Fake, Proxy, Reply};
use crate::raw::reason;

/// Sends back each frame as it comes.
async fn echo(call: Call) -> Result<Reply, h2::Error> {
    let broken = |error| h2::Error::from(reason(&error).unwrap_or(Reason::INTERNAL_ERROR));
    Ok(Response::new(call.body.map_err(broken).boxed_unsync()))
}

/// Begins a call whose frames are sent one by one.
async fn begin(socket: &Path) -> (ResponseFuture, SendStream<Bytes>) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (client, driver) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(driver);
    let uri = "http://localhost/runtime.v1.RuntimeService/Stream";
    let request = Request::post(uri).header("te", "trailers").body(()).unwrap();
    client.ready().await.unwrap().send_request(request, false).unwrap()
}

async fn next(body: &mut RecvStream) -> Bytes {
    let data = body.data().await.unwrap().unwrap();
    body.flow_control().release_capacity(data.len()).unwrap();
    data
}

#[tokio::test]
async fn a_request_passes_frame_by_frame() {
    let proxy = Proxy::start();
    let _fake = Fake::start(&proxy.containerd(), echo);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "abc".parse().unwrap());
    for end in [None, Some(trailers)] {
        let (answer, mut request) = begin(&proxy.socket()).await;
        let mut body = answer.await.unwrap().into_body();
        for number in 0..100 {
            let frame = Bytes::from(vec![number; 1000]);
            request.send_data(frame.clone(), false).unwrap();
            assert_eq!(next(&mut body).await, frame, "{number}");
        }
        match end.clone() {
            None => request.send_data(Bytes::new(), true).unwrap(),
            Some(trailers) => request.send_trailers(trailers).unwrap(),
        }
        while let Some(data) = body.data().await {
            assert!(data.unwrap().is_empty());
        }
        assert_eq!(body.trailers().await.unwrap(), end);
    }
}

#[tokio::test]
async fn a_request_is_not_read_faster_than_containerd_reads_it() {
    let proxy = Proxy::start();
    let (_fake, release) = Fake::held(&proxy.containerd());
    let (answer, mut request) = begin(&proxy.socket()).await;
    let mut sent = 0;
    while let Ok(room) = timeout(Duration::from_millis(500), room(&mut request)).await {
        request.send_data(vec![7; room].into(), false).unwrap();
        sent += room;
    }
    assert!(sent < 4 << 20, "{sent} bytes wait for a containerd that reads none");
    release.send(true).unwrap();
    while sent < 16 << 20 {
        let room = room(&mut request).await;
        request.send_data(vec![7; room].into(), false).unwrap();
        sent += room;
    }
    request.send_data(Bytes::new(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    assert!(next(&mut body).await.ends_with(sent.to_string().as_bytes()));
}

/// How much can be sent now.
async fn room(request: &mut SendStream<Bytes>) -> usize {
    request.reserve_capacity(1 << 20);
    poll_fn(|cx| request.poll_capacity(cx)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_that_breaks_off_breaks_off_for_containerd() {
    for code in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let proxy = Proxy::start();
        let (tell, mut told) = mpsc::unbounded_channel();
        let _fake = Fake::start(&proxy.containerd(), move |mut call: Call| {
            let tell = tell.clone();
            async move {
                let first = call.body.frame().await.unwrap().unwrap().into_data().unwrap();
                tell.send(Ok(first)).unwrap();
                let error = call.body.frame().await.unwrap().unwrap_err();
                tell.send(Err(reason(&error))).unwrap();
                std::future::pending().await
            }
        });
        let (_answer, mut request) = begin(&proxy.socket()).await;
        request.send_data("first".into(), false).unwrap();
        assert_eq!(told.recv().await.unwrap().unwrap(), "first");
        request.send_reset(code);
        assert_eq!(told.recv().await.unwrap(), Err(Some(Reason::CANCEL)), "{code:?}");
    }
}
