//! Unix sockets that send what is written at one time together.
//!
//! h2 writes and flushes each HTTP/2 frame by itself, and no frame may be larger than 16 KiB at
//! containerd: every one would cost a system call and wake the peer. Here a flush takes effect when the
//! connection's task is polled again, which is at once, but after all frames that it has now. h2 begins
//! each of its polls by reading; [`Batched`] counts on that. Where the calls are short, a flush takes
//! effect at once, but for what nobody waits for ([`Batched::patient`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;

/// Most bytes that wait: as many as a unix socket takes at once (`net.core.wmem_default` is 208 KiB).
const LIMIT: usize = 128 << 10;

/// A connection whose writes are sent together.
#[derive(Debug)]
pub(crate) struct Batched<S> {
    stream: S,
    waiting: Vec<u8>,
    /// How much of `waiting` has been sent.
    sent: usize,
    patience: Option<Patience>,
}

impl<S> Batched<S> {
    /// Batches what is written to `stream`.
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, waiting: Vec::new(), sent: 0, patience: None }
    }

    /// Sends what is written to `stream` with each flush, and what nobody waits for with the next one.
    pub(crate) fn patient(stream: S) -> Self {
        Self { patience: Some(Patience::default()), ..Self::new(stream) }
    }

    /// Whether there is something that is to be sent now. If it is to be sent later, the task is woken.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = self.patience.as_mut();
        let over = |patience: &mut Patience| patience.poll_over(&self.waiting, cx).is_ready();
        !self.waiting.is_empty() && patience.is_none_or(over)
    }
}

impl<S: AsyncWrite + Unpin> Batched<S> {
    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.waiting.clear();
        self.sent = 0;
        if let Some(patience) = &mut self.patience {
            patience.renew();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes as much of `bytes` as there is room for.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let room = LIMIT.saturating_sub(self.waiting.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        taken.len()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Batched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Where the socket is full, sending goes on when it has room: that wakes the task, too.
        if self.is_due(cx)
            && let Poll::Ready(outcome) = self.poll_send(cx)
        {
            outcome?;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= LIMIT {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(self.take(buf)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= LIMIT {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(bufs.iter().map(|buf| self.take(buf)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (self.is_due(cx), &self.patience) {
            (true, Some(_)) => self.poll_send(cx),
            (true, None) => {
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(()))
            }
            (false, _) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::{Context, Poll, Wake};

    use tokio::io::{
        AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf,
    };

    use super::{Batched, LIMIT};

    /// What h2 does when it is polled and there is nothing to read.
    async fn poll_read(stream: &mut Batched<tokio::io::DuplexStream>) {
        poll_fn(|cx| {
            let pending = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut [0; 8]));
            assert!(pending.is_pending(), "nothing to read");
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn frames_go_out_together_at_the_next_poll() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut ours = Batched::new(ours);
        ours.write_all(b"one ").await.unwrap();
        ours.flush().await.unwrap();
        let more = [IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(ours.write_vectored(&more).await.unwrap(), 9);
        ours.flush().await.unwrap();
        let mut read = [0; 64];
        let mut early = ReadBuf::new(&mut read);
        poll_fn(|cx| {
            assert!(Pin::new(&mut theirs).poll_read(cx, &mut early).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_read(&mut ours).await;
        let length = theirs.read(&mut read).await.unwrap();
        assert_eq!(&read[..length], b"one two three");
    }

    #[tokio::test]
    async fn a_flush_of_what_is_waited_for_sends_it_where_calls_are_short() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut ours = Batched::patient(ours);
        ours.write_all(b"one ").await.unwrap();
        ours.write_all(b"two").await.unwrap();
        ours.flush().await.unwrap();
        let mut read = [0; 64];
        let length = theirs.read(&mut read).await.unwrap();
        assert_eq!(&read[..length], b"one two");
    }

    #[tokio::test]
    async fn more_than_fits_waits_for_the_peer() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut ours = Batched::new(ours);
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * LIMIT).collect();
        let write = async {
            ours.write_all(&bytes).await.unwrap();
            ours.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (_, length) = tokio::join!(write, theirs.read_to_end(&mut read));
        assert_eq!(length.unwrap(), bytes.len());
        assert!(read == bytes, "other bytes");
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    #[tokio::test]
    async fn a_flush_of_what_waits_wakes_the_task() {
        let (ours, _theirs) = tokio::io::duplex(1000);
        let (mut ours, woken) = (Batched::new(ours), Arc::new(Woken::default()));
        let waker = Arc::clone(&woken).into();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut ours).poll_flush(&mut cx).is_ready());
        assert!(!woken.0.load(Relaxed), "nothing waits");
        assert!(Pin::new(&mut ours).poll_write(&mut cx, b"frame").is_ready());
        assert!(Pin::new(&mut ours).poll_flush(&mut cx).is_ready());
        assert!(woken.0.load(Relaxed));
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error_of_the_next_read() {
        let (ours, theirs) = tokio::io::duplex(1000);
        drop(theirs);
        let mut ours = Batched::new(ours);
        ours.write_all(b"frame").await.unwrap();
        ours.read(&mut [0; 8]).await.unwrap_err();
    }
}
