//! A server behind a dam: what asks it waits until the dam is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay that is closed at first. Dropping it ends it.
pub(crate) struct Dam {
    url: String,
    waiting: Arc<AtomicUsize>,
    gate: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Dam {
    /// Builds one before the server at `host`.
    pub(crate) async fn before(host: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (gate, opened) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&waiting);
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (mut opened, host) = (opened.clone(), host.clone());
                tokio::spawn(async move {
                    opened.wait_for(|&opened| opened).await?;
                    let mut server = TcpStream::connect(host).await?;
                    copy_bidirectional(&mut client, &mut server).await?;
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                });
            }
        });
        Self { url, waiting, gate, task }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many connections have come to it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets everything through, from now on.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }
}

impl Drop for Dam {
    fn drop(&mut self) {
        self.task.abort();
    }
}
