//! When a connection of passed calls sends: after everything that goes with what it has.
//!
//! A call's headers and its message are written by two tasks, and what containerd answers comes together
//! with a PING. So a flush waits until the tasks of the thread have nothing else to do: the headers and the
//! message then go out as one, and the answer has been passed on before the PING is acknowledged.
//!
//! The acknowledgement does not even wake containerd by itself: its server sends a PING with every
//! message that it reads (gRPC's estimation of bandwidth and delay). It goes with the next frame, or
//! after a millisecond.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Sleep;

/// How long an acknowledgement waits for company.
const LONGEST: Duration = Duration::from_millis(1);

/// How the acknowledgement of a PING begins (RFC 9113 6.7), and how long it is.
const ACKNOWLEDGEMENT: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];
const ACKNOWLEDGEMENT_BYTES: usize = 17;

/// What the frames of one flush wait for.
#[derive(Debug, Default)]
pub(super) struct Patience {
    idle: Arc<Idle>,
    acknowledgement: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Comes true when `frames`, the first of which is whole, are to be sent.
    pub(super) fn poll_over(&mut self, frames: &[u8], cx: &mut Context<'_>) -> Poll<()> {
        let mut parts = frames.chunks(ACKNOWLEDGEMENT_BYTES);
        if parts.all(|part| part.starts_with(&ACKNOWLEDGEMENT)) {
            let begin = || Box::pin(tokio::time::sleep(LONGEST));
            self.acknowledgement.get_or_insert_with(begin).as_mut().poll(cx)
        } else {
            self.idle.poll(cx)
        }
    }

    /// Begins anew: everything has been sent.
    pub(super) fn renew(&mut self) {
        self.idle.state.store(Idle::NOT_ASKED, Ordering::Release);
        self.acknowledgement = None;
    }
}

/// Wakes a task when the others of its thread have nothing to do.
#[derive(Debug, Default)]
struct Idle {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Idle {
    const NOT_ASKED: u8 = 0;
    const ASKED: u8 = 1;
    const COME: u8 = 2;

    fn poll(self: &Arc<Self>, cx: &Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        let asked = self.state.compare_exchange(
            Self::NOT_ASKED,
            Self::ASKED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match asked {
            Ok(_) => {
                let waker = Waker::from(Arc::clone(self));
                // tokio wakes what yields after everything else.
                let yielding = pin!(tokio::task::yield_now());
                yielding.poll(&mut Context::from_waker(&waker))
            }
            Err(Self::COME) => Poll::Ready(()),
            Err(_) => Poll::Pending,
        }
    }
}

impl Wake for Idle {
    fn wake(self: Arc<Self>) {
        self.state.store(Self::COME, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::Poll;
    use std::time::Instant;

    use super::{ACKNOWLEDGEMENT, LONGEST, Patience};

    fn acknowledgements(count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| ACKNOWLEDGEMENT.into_iter().chain(*b"whatever")).collect()
    }

    async fn over(patience: &mut Patience, frames: &[u8]) {
        poll_fn(|cx| patience.poll_over(frames, cx)).await;
    }

    async fn is_over(patience: &mut Patience, frames: &[u8]) -> bool {
        poll_fn(|cx| Poll::Ready(patience.poll_over(frames, cx).is_ready())).await
    }

    #[tokio::test]
    async fn frames_wait_for_what_the_other_tasks_have_to_do() {
        let steps = Arc::new(AtomicU32::new(0));
        let work = Arc::clone(&steps);
        tokio::spawn(async move {
            // Each step has to wake the next task, as on the way of a call.
            for _ in 0..5 {
                let work = Arc::clone(&work);
                tokio::spawn(async move { work.fetch_add(1, Relaxed) }).await.unwrap();
            }
        });
        over(&mut Patience::default(), b"a frame").await;
        assert_eq!(steps.load(Relaxed), 5);
    }

    #[tokio::test]
    async fn an_acknowledgement_waits_for_company_for_a_millisecond() {
        for count in [1, 3] {
            let (frames, mut patience) = (acknowledgements(count), Patience::default());
            let begin = Instant::now();
            over(&mut patience, &frames).await;
            assert!(begin.elapsed() >= LONGEST, "{count}");
        }
    }

    #[tokio::test]
    async fn company_does_not_wait_for_the_millisecond() {
        let (mut patience, mut frames) = (Patience::default(), acknowledgements(2));
        assert!(!is_over(&mut patience, &frames).await);
        frames.extend(b"a frame");
        assert!(!is_over(&mut patience, &frames).await);
        tokio::task::yield_now().await;
        assert!(is_over(&mut patience, &frames).await);
    }

    #[tokio::test]
    async fn what_comes_after_the_sending_waits_again() {
        let mut patience = Patience::default();
        over(&mut patience, b"a frame").await;
        assert!(is_over(&mut patience, b"a frame that the socket has no room for").await);
        patience.renew();
        assert!(!is_over(&mut patience, b"another").await);
    }
}
