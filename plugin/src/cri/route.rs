//! Which call goes where.

use super::approve;
use crate::metrics::Service;

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// containerd asks what it may pull by itself.
    Approve,
    /// It passes if every image of the container is accepted.
    CreateContainer,
    /// It passes byte for byte to this service.
    Forward(Service),
    /// It is ours.
    PullImage,
    /// It passes if the sandbox image is accepted.
    RunPodSandbox,
    /// An `ImageService` has a method that we do not know: it could bring an image in.
    UnknownImageMethod,
    /// A service that does not exist on this socket.
    UnknownService,
}

/// Methods of `ImageService` that bring no image in: CRI v1 of Kubernetes 1.36.
const IMAGE_METHODS: [&str; 5] =
    ["ImageFsInfo", "ImageStatus", "ListImages", "RemoveImage", "StreamImages"];

impl Route {
    /// The route of a request path, `/package.Service/Method`.
    pub(crate) fn of(path: &str) -> Self {
        if path == approve::PATH {
            return Self::Approve;
        }
        let call =
            path.strip_prefix("/runtime.v1.").or_else(|| path.strip_prefix("/runtime.v1alpha2."));
        let Some((service, method)) = call.and_then(|call| call.split_once('/')) else {
            return Self::UnknownService;
        };
        match (service, method) {
            ("ImageService", "PullImage") => Self::PullImage,
            ("ImageService", method) if IMAGE_METHODS.contains(&method) => {
                Self::Forward(Service::Image)
            }
            ("ImageService", _) => Self::UnknownImageMethod,
            ("RuntimeService", "CreateContainer") => Self::CreateContainer,
            ("RuntimeService", "RunPodSandbox") => Self::RunPodSandbox,
            ("RuntimeService", _) => Self::Forward(Service::Runtime),
            _ => Self::UnknownService,
        }
    }
}

/// The service of a request path, for messages.
pub(crate) fn service(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(service, _)| service)
}

#[cfg(test)]
mod tests {
    use super::{Route, service};
    use crate::metrics::Service;

    #[test]
    fn only_cri_exists() {
        let rows = [
            ("/runtime.v1.ImageService/PullImage", Route::PullImage),
            ("/runtime.v1alpha2.ImageService/PullImage", Route::PullImage),
            ("/runtime.v1.ImageService/ImageStatus", Route::Forward(Service::Image)),
            ("/runtime.v1.ImageService/StreamImages", Route::Forward(Service::Image)),
            ("/runtime.v1alpha2.ImageService/ListImages", Route::Forward(Service::Image)),
            ("/runtime.v1.RuntimeService/CreateContainer", Route::CreateContainer),
            ("/runtime.v1alpha2.RuntimeService/CreateContainer", Route::CreateContainer),
            ("/runtime.v1.RuntimeService/RunPodSandbox", Route::RunPodSandbox),
            ("/runtime.v1alpha2.RuntimeService/RunPodSandbox", Route::RunPodSandbox),
            ("/runtime.v1.RuntimeService/Version", Route::Forward(Service::Runtime)),
            ("/runtime.v1.RuntimeService/MethodOfTomorrow", Route::Forward(Service::Runtime)),
            ("/runtime.v1.ImageService/PullImages", Route::UnknownImageMethod),
            ("/runtime.v1.ImageService/pullImage", Route::UnknownImageMethod),
            ("/runtime.v1.ImageService/PullImage/", Route::UnknownImageMethod),
            ("/runtime.v1.ImageService/", Route::UnknownImageMethod),
            ("/runtime.v1.ImageServices/PullImage", Route::UnknownService),
            ("/runtime.v1.imageService/PullImage", Route::UnknownService),
            ("/runtime.v1.LoadService/LoadImage", Route::UnknownService),
            ("/runtime.v2.ImageService/PullImage", Route::UnknownService),
            ("/pullgate.v1.Gate/Approve", Route::Approve),
            ("/pullgate.v1.Gate/Approve/", Route::UnknownService),
            ("/pullgate.v1.Gate/Pull", Route::UnknownService),
            ("/runtime.v1", Route::UnknownService),
            ("//runtime.v1.ImageService/PullImage", Route::UnknownService),
            ("/%72untime.v1.ImageService/PullImage", Route::UnknownService),
            ("/containerd.services.images.v1.Images/Create", Route::UnknownService),
            ("/grpc.health.v1.Health/Check", Route::UnknownService),
            ("/", Route::UnknownService),
        ];
        for (path, expected) in rows {
            assert_eq!(Route::of(path), expected, "{path}");
        }
    }

    #[test]
    fn a_service_is_named_as_grpc_names_it() {
        assert_eq!(
            service("/containerd.services.images.v1.Images/Create"),
            "containerd.services.images.v1.Images"
        );
        assert_eq!(service("/"), "");
    }
}
