//! What containerd counts of the calls that it gets.

use std::net::TcpListener;

use pullgate::transport::Tls;
use pullgate_tests::containerd;

/// Calls that have begun.
pub(crate) const CALLS: &str = "grpc_server_started_total";

/// Messages that clients have sent.
pub(crate) const MESSAGES: &str = "grpc_server_msg_received_total";

/// The metrics of a containerd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    port: u16,
}

impl Counts {
    /// A place for them that is free.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self { port: listener.local_addr().expect("an address").port() }
    }

    /// A containerd that shows them there.
    pub(crate) fn shown_by(&self, settings: containerd::Settings) -> containerd::Settings {
        let Self { port } = self;
        let extra = format!("{}\n[metrics]\n  address = \"127.0.0.1:{port}\"", settings.extra);
        containerd::Settings { extra, ..settings }
    }

    /// The value of `metric` for a method of a service.
    pub(crate) async fn of(&self, metric: &str, service: &str, method: &str) -> u64 {
        let client = Tls::default().client().expect("a client");
        let url = format!("http://127.0.0.1:{}/v1/metrics", self.port);
        let text = client.get(url).send().await.expect("an answer").text().await.expect("text");
        let lines = text.lines().filter(|line| {
            line.starts_with(&format!("{metric}{{"))
                && line.contains(&format!("grpc_method=\"{method}\""))
                && line.contains(&format!("grpc_service=\"{service}\""))
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }
}
