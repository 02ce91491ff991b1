//! What a client sends to containerd after the headers of its call.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

/// What is sent before h2 says that there is room for it: it says so only when the headers are sent, and
/// a unary call's message goes with them.
const AHEAD: usize = 16 << 10;

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a call that is passed on: as it comes, or as it was read.
pub(super) type Outgoing = Either<Incoming, Full<Bytes>>;

/// The sending of a call's body. It ends with the call.
pub(super) struct Upload {
    body: Outgoing,
    stream: SendStream<Bytes>,
    sent: usize,
}

impl Upload {
    /// Sends `body` to `stream`, whose headers have just been sent.
    pub(super) const fn new(body: Outgoing, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, sent: 0 }
    }

    /// Comes true when all is sent, or containerd wants no more. It is an error if the client broke off.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            let wanted = self.sent < AHEAD || ready!(self.poll_room(cx));
            if !wanted || self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
            let last = frame.as_ref().is_none_or(Frame::is_trailers) || self.body.is_end_stream();
            let frame = frame.unwrap_or_else(|| Frame::data(Bytes::new()));
            let sent = match frame.into_data() {
                Ok(data) => {
                    self.sent = self.sent.saturating_add(data.len());
                    self.stream.send_data(data, last)
                }
                Err(frame) => self.stream.send_trailers(frame.into_trailers().unwrap_or_default()),
            };
            if last || sent.is_err() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether there is room for more. A frame that goes beyond it waits in memory.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.stream.reserve_capacity(1);
        while self.stream.capacity() == 0 {
            if !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }
}

impl Future for Upload {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_sent(cx)).is_err() {
            self.stream.send_reset(Reason::CANCEL);
        }
        Poll::Ready(())
    }
}
