//! Where a call is taken: passed, answered or refused.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;

use super::route::{self, Route};
use super::status::{Code, Status};
use super::{Body, Upstream, pull_image};
use crate::audit::{self, Reason};
use crate::pull::{ImageId, PullError, PullRequest};

/// What answers `PullImage`. Dropping the future ends the pull.
pub type Pull =
    Box<dyn Fn(PullRequest) -> BoxFuture<'static, Result<ImageId, PullError>> + Send + Sync>;

/// The CRI door: takes every call of every connection. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    upstream: Arc<Upstream>,
    pull: Arc<Pull>,
}

impl Door {
    /// A door in front of `upstream` whose `PullImage` is `pull`.
    #[must_use]
    pub fn new(upstream: Upstream, pull: Pull) -> Self {
        Self { upstream: Arc::new(upstream), pull: Arc::new(pull) }
    }

    /// Takes a call.
    ///
    /// # Errors
    /// The reset of the stream, if containerd resets it: it is to be passed on.
    pub(crate) async fn take(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, hyper::Error> {
        let path = request.uri().path();
        match Route::of(path) {
            Route::Forward => self.upstream.forward(request).await,
            Route::PullImage => Ok(pull_image::answer(request, &self.pull).await),
            Route::UnknownImageMethod => {
                let method = path.rsplit('/').next().unwrap_or_default();
                let service = route::service(path);
                let message = format!("unknown method {method} for service {service}");
                audit::refused_call(path, Reason::UnknownMethod, "it could bring an image in");
                Ok(Status::new(Code::Unimplemented, message).response())
            }
            Route::UnknownService => {
                let message = format!("unknown service {}", route::service(path));
                Ok(Status::new(Code::Unimplemented, message).response())
            }
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}
