//! The body of an answer: containerd's as it comes, or one of our own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio_util::task::AbortOnDropHandle;

use super::status;

/// The body of an answer.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    /// containerd's. Its end must stay visible through `is_end_stream`: a body that hides it sends an
    /// empty frame after each call, and h2 ends a connection after 100 of those (crates.md 1.4).
    Forwarded {
        body: RecvStream,
        /// What still goes the other way.
        _upload: Option<AbortOnDropHandle<()>>,
    },
    Own {
        message: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
}

impl Body {
    /// containerd's, whose call ends with it.
    pub(crate) const fn forwarded(body: RecvStream, upload: Option<AbortOnDropHandle<()>>) -> Self {
        Self(Kind::Forwarded { body, _upload: upload })
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
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match &mut self.0 {
            Kind::Forwarded { body, .. } => match ready!(poll_frame(body, cx)) {
                Some(Err(error)) if !error.is_reset() => {
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
            Kind::Forwarded { body, .. } => body.is_end_stream(),
            Kind::Own { message, trailers } => message.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // gRPC answers carry no Content-Length.
        SizeHint::default()
    }
}

fn poll_frame(
    body: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    if let Some(data) = ready!(body.poll_data(cx)) {
        let taken = data.and_then(|data| {
            body.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        });
        return Poll::Ready(Some(taken));
    }
    let trailers = ready!(body.poll_trailers(cx));
    Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
}
