//! The layer that unpacking waits for comes before the others, as long as it arrives without a pause.
//! Otherwise three layers share what the network and the processors can do, and unpacking begins when
//! all three are almost there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A layer that has sent nothing for so long does not hold the others up.
const PAUSE: Duration = Duration::from_millis(2);

/// Which of an image's layers comes first, by its position.
#[derive(Debug, Default)]
pub(super) struct Precedence(Mutex<Option<First>>);

#[derive(Debug, Clone, Copy)]
struct First {
    position: usize,
    /// When it has last arrived in part.
    arrived: Instant,
}

impl Precedence {
    /// Unpacking waits for this layer, or for none.
    pub(super) fn give(&self, position: Option<usize>) {
        let first = position.map(|position| First { position, arrived: Instant::now() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = first;
    }

    /// A part of this layer has arrived. Returns when the next one may be asked for.
    pub(super) async fn arrived(&self, position: usize) {
        while let Some(first) = self.first() {
            if first.position == position {
                return self.give(Some(position));
            }
            if first.arrived.elapsed() > PAUSE {
                return;
            }
            sleep(PAUSE / 2).await;
        }
    }

    fn first(&self) -> Option<First> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::{PAUSE, Precedence};

    #[tokio::test]
    async fn the_first_layer_holds_the_others_up_while_it_arrives() {
        let precedence = Precedence::default();
        precedence.arrived(2).await;
        precedence.give(Some(0));
        let mut second = std::pin::pin!(precedence.arrived(1));
        for _ in 0..20 {
            precedence.arrived(0).await;
            let waited = timeout(Duration::from_micros(100), &mut second).await;
            // A machine that stopped this test for so long has seen a pause.
            let paused = precedence.first().unwrap().arrived.elapsed() > PAUSE;
            assert!(waited.is_err() || paused, "it is not asked for what the first may send");
            if paused {
                return;
            }
        }
        let start = Instant::now();
        second.await;
        assert!(start.elapsed() > PAUSE / 4, "nothing has arrived in the meantime");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_layer_that_pauses_or_that_unpacking_does_not_wait_for() {
        let precedence = Precedence::default();
        precedence.give(Some(0));
        sleep(PAUSE * 2).await;
        precedence.arrived(1).await;
        precedence.give(Some(0));
        precedence.give(None);
        precedence.arrived(1).await;
    }
}
