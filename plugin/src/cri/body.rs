//! The body of an answer: containerd's as it comes, or one of our own.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::status;

/// The body of an answer.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    /// containerd's. Its end must stay visible through `is_end_stream`: a body that hides it sends an
    /// empty frame after each call, and h2 ends a connection after 100 of those (crates.md 1.4).
    Forwarded(Incoming),
    Own {
        message: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
}

impl Body {
    pub(crate) const fn forwarded(body: Incoming) -> Self {
        Self(Kind::Forwarded(body))
    }

    /// No body: the headers say it all.
    pub(crate) const fn none() -> Self {
        Self(Kind::Own { message: None, trailers: None })
    }

    /// One frame of data, and trailers.
    pub(crate) const fn message(message: Bytes, trailers: HeaderMap) -> Self {
        Self(Kind::Own { message: Some(message), trailers: Some(trailers) })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Kind::Forwarded(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Err(error)) if !is_reset(&error) => {
                    let trailers = status::lost(&error).trailers();
                    self.0 = Kind::Own { message: None, trailers: None };
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
                frame => Poll::Ready(frame),
            },
            Kind::Own { message, trailers } => {
                let frame = message.take().map(Frame::data);
                let frame = frame.or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Forwarded(body) => body.is_end_stream(),
            Kind::Own { message, trailers } => message.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Forwarded(body) => body.size_hint(),
            // gRPC answers carry no Content-Length.
            Kind::Own { .. } => SizeHint::default(),
        }
    }
}

/// Whether the peer reset this one stream. The connection lives, and the reset is passed on as it
/// came: gRPC clients read the code of a reset.
pub(crate) fn is_reset(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_reset();
        }
        cause = error.source();
    }
    false
}
