//! What the service manager is told: `sd_notify(3)`.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells it, if there is one.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told {states:?}: {error}");
    }
}

/// Tells it that the configuration is being read again. The end is told as [`NotifyState::Ready`].
pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the monotonic clock cannot be read: {error}"),
    }
}

/// How often the watchdog wants to hear of us, if it does: twice in its time.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2).filter(|time| !time.is_zero())
}
