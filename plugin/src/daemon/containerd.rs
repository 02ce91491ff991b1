//! Whether containerd answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use pullgate_proto::image_service_client::ImageServiceClient;
use pullgate_proto::runtime_service_client::RuntimeServiceClient;
use pullgate_proto::{ImageFsInfoRequest, VersionRequest};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use crate::audit::{chain, printable};

/// How long the start waits for containerd. Past it the daemon is ready all the same: calls are
/// answered, if only that containerd is absent.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until both CRI services of containerd answer, and returns its version. None if they did not
/// in time, which is recorded with what to look at.
pub(super) async fn wait(socket: &Path) -> Option<String> {
    let end = Instant::now() + PATIENCE;
    let mut said = false;
    loop {
        let problem = match tokio::time::timeout_at(end, ask(socket)).await {
            Ok(Ok(version)) => return Some(version),
            Ok(Err(problem)) => problem.describe(socket),
            Err(_elapsed) => format!("containerd at {} does not answer", socket.display()),
        };
        if Instant::now() + PAUSE >= end {
            tracing::error!("{}; calls will fail until this is repaired", printable(&problem));
            return None;
        }
        if !said {
            tracing::info!("waiting for containerd: {}", printable(&problem));
            said = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What kubelet asks when it starts: Version of the runtime service, `ImageFsInfo` of the image
/// service (containerd-handoff.md 3.3).
async fn ask(socket: &Path) -> Result<String, Problem> {
    let channel = connect(socket).await.map_err(Problem::Connect)?;
    let request = VersionRequest { version: "v1".to_owned() };
    let answer = RuntimeServiceClient::new(channel.clone()).version(request).await;
    let version = answer.map_err(Problem::Answer)?.into_inner().runtime_version;
    let request = ImageFsInfoRequest::default();
    let answer = ImageServiceClient::new(channel).image_fs_info(request).await;
    answer.map_err(Problem::Answer)?;
    Ok(printable(&version).into_owned())
}

async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket: PathBuf = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}

enum Problem {
    Answer(Status),
    Connect(tonic::transport::Error),
}

impl Problem {
    fn describe(&self, socket: &Path) -> String {
        let socket = socket.display();
        match self {
            Self::Answer(status) if status.code() == Code::Unimplemented => format!(
                "containerd at {socket} serves no CRI ({}): its CRI plugin is disabled or failed; \
                 see disabled_plugins in its config.toml and its log",
                status.message()
            ),
            Self::Answer(status) => {
                format!("containerd at {socket} answers {:?}: {}", status.code(), status.message())
            }
            Self::Connect(error) => {
                format!("containerd at {socket} cannot be reached: {}", chain(error))
            }
        }
    }
}
