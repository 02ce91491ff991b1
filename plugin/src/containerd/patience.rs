//! When a connection of passed calls sends: at once, but for what nobody waits for.
//!
//! containerd's server sends a PING with every message that it reads (gRPC's estimation of bandwidth and
//! delay). Its acknowledgement does not wake containerd by itself: it goes with the next frame, or after
//! a millisecond.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How long an acknowledgement waits for company.
const LONGEST: Duration = Duration::from_millis(1);

/// How the acknowledgement of a PING begins (RFC 9113 6.7), and how long it is.
const ACKNOWLEDGEMENT: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];
const ACKNOWLEDGEMENT_BYTES: usize = 17;

/// What the frames of one flush wait for.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Kept for the next time: a timer that is only put off costs no system call.
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Patience {
    /// Comes true when `frames`, the first of which is whole, are to be sent.
    pub(super) fn poll_over(&mut self, frames: &[u8], cx: &mut Context<'_>) -> Poll<()> {
        let mut parts = frames.chunks(ACKNOWLEDGEMENT_BYTES);
        if !parts.all(|part| part.starts_with(&ACKNOWLEDGEMENT)) {
            return Poll::Ready(());
        }
        let mut timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LONGEST))).as_mut();
        if !mem::replace(&mut self.waits, true) {
            timer.as_mut().reset(Instant::now() + LONGEST);
        }
        timer.poll(cx)
    }

    /// Begins anew: everything has been sent.
    pub(super) const fn renew(&mut self) {
        self.waits = false;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Instant;

    use super::{ACKNOWLEDGEMENT, LONGEST, Patience};

    fn acknowledgements(count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| ACKNOWLEDGEMENT.into_iter().chain(*b"whatever")).collect()
    }

    async fn is_over(patience: &mut Patience, frames: &[u8]) -> bool {
        poll_fn(|cx| Poll::Ready(patience.poll_over(frames, cx).is_ready())).await
    }

    #[tokio::test]
    async fn acknowledgements_wait_for_company_for_a_millisecond_each_time() {
        let mut patience = Patience::default();
        for count in [1, 3, 1] {
            let (frames, begin) = (acknowledgements(count), Instant::now());
            poll_fn(|cx| patience.poll_over(&frames, cx)).await;
            assert!(begin.elapsed() >= LONGEST, "{count}");
            patience.renew();
        }
    }

    #[tokio::test]
    async fn what_is_waited_for_goes_at_once() {
        let (mut patience, mut frames) = (Patience::default(), acknowledgements(2));
        assert!(!is_over(&mut patience, &frames).await);
        frames.extend(b"a frame");
        assert!(is_over(&mut patience, &frames).await);
        patience.renew();
        assert!(is_over(&mut patience, b"a frame").await);
        assert!(!is_over(&mut patience, &acknowledgements(1)).await);
    }
}
