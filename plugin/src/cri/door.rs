//! Where a call is taken: passed, answered or refused.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;

use super::route::{self, Route};
use super::status::{Code, Status};
use super::upload::Outgoing;
use super::{Approval, Body, Upstream, approve, gated, pull_image};
use crate::audit::{self, Reason};
use crate::metrics::Metrics;
use crate::pull::{ImageId, NotApproved, Pod, Presence, PullError, PullRequest, Wanted};

/// What decides about one call. Dropping the future ends its work.
pub type Decide<Question, Answer> =
    Box<dyn Fn(Question) -> BoxFuture<'static, Result<Answer, PullError>> + Send + Sync>;

/// What answers `PullImage`.
pub type Pull = Decide<PullRequest, ImageId>;

/// What decides about the images of a `CreateContainer`.
pub type Admit = Decide<Vec<Wanted>, Presence>;

/// What decides about a `RunPodSandbox`.
pub type AdmitSandbox = Decide<Pod, ()>;

/// What answers whether an image was accepted.
pub type Approve =
    Box<dyn Fn(Approval) -> BoxFuture<'static, Result<(), NotApproved>> + Send + Sync>;

/// The CRI door: takes every call of every connection. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    pub(super) upstream: Arc<Upstream>,
    pull: Arc<Pull>,
    pub(super) admit: Arc<Admit>,
    pub(super) admit_sandbox: Arc<AdmitSandbox>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) approve: Arc<Approve>,
}

impl Door {
    /// A door in front of `upstream` whose `PullImage` is `pull`. Containers and sandboxes are made
    /// only of what `admit` and `admit_sandbox` let pass; `metrics` counts what it takes.
    #[must_use]
    pub fn new(
        upstream: Upstream,
        pull: Pull,
        admit: Admit,
        admit_sandbox: AdmitSandbox,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (upstream, pull) = (Arc::new(upstream), Arc::new(pull));
        let (admit, admit_sandbox) = (Arc::new(admit), Arc::new(admit_sandbox));
        let nothing = |_| std::future::ready(Err(NotApproved::Never)).boxed();
        let approve: Arc<Approve> = Arc::new(Box::new(nothing));
        Self { upstream, pull, admit, admit_sandbox, metrics, approve }
    }

    /// The same door, which answers by `approve` what containerd may pull by itself: nothing without.
    #[must_use]
    pub fn approving(self, approve: Approve) -> Self {
        Self { approve: Arc::new(approve), ..self }
    }

    /// Takes a call of the user `peer`, as far as it is known.
    ///
    /// # Errors
    /// The reset of the stream, if containerd resets it: it is to be passed on.
    pub(crate) async fn take(
        self,
        request: Request<Incoming>,
        peer: Option<u32>,
    ) -> Result<Response<Body>, h2::Error> {
        let path = request.uri().path();
        // What is only passed on does not carry the room that the others need.
        match Route::of(path) {
            Route::Approve => Ok(approve::answer(&self, request, peer).boxed().await),
            Route::CreateContainer => gated::create_container(&self, request).boxed().await,
            Route::Forward(service) => {
                self.metrics.call_forwarded(service);
                self.upstream.forward(request.map(Outgoing::Left)).await
            }
            Route::PullImage => {
                Ok(pull_image::answer(request, &self.pull, &self.metrics).boxed().await)
            }
            Route::RunPodSandbox => gated::run_pod_sandbox(&self, request).boxed().await,
            Route::UnknownImageMethod => {
                let method = path.rsplit('/').next().unwrap_or_default();
                let service = route::service(path);
                let message = format!("unknown method {method} for service {service}");
                let why = "it could bring an image in";
                audit::refused_call(&self.metrics, path, Reason::UnknownMethod, why);
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
