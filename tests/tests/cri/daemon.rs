//! The daemon as a process: its command line, its signals, its socket.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use prost::Message;
use pullgate::audit::message_id;
use pullgate_proto::{ImageSpec, PullImageRequest};
use pullgate_tests::place;
use pullgate_tests::process::Process;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::fake::{Call, Fake, Reply, as_containerd, ok};
use crate::raw::Client;

const WAITING: &str = "/runtime.v1.RuntimeService/Waiting";
const LISTING: &str = "/runtime.v1.ImageService/ListImages";

#[test]
fn the_configuration_can_be_checked() {
    let directory = place::on_disk("check");
    let path = directory.path().join("config.toml");
    let place = path.display();
    let rows = [
        (Some(""), 0, format!("{place}: valid\n")),
        (Some("[log]\nlevel = 'debug'\n"), 0, format!("{place}: valid\n")),
        (
            Some("[log]\nlevle = 'debug'\n"),
            2,
            format!("pullgated: {place}: `log.levle`: unknown field `levle`, expected `level`\n"),
        ),
        (
            None,
            2,
            format!("pullgated: {place}: cannot be read: No such file or directory (os error 2)\n"),
        ),
    ];
    for (text, code, expected) in rows {
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let output = run(&["--config", path.to_str().unwrap(), "--check-config"]);
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(code), "{text:?}");
        assert_eq!(String::from_utf8(said).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn the_command_line_is_strict() {
    for arguments in [&["--confg", "x"][..], &["extra"], &["--config"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        assert_eq!(run(&arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_does_not_start() {
    let node = Node::new("[registry]\nmax_parallel_layers = 0\n");
    let mut process = node.spawn();
    assert_eq!(process.end().await.code(), Some(2));
    assert!(
        process.log().contains("`registry.max_parallel_layers`: found `0`"),
        "{}",
        process.log()
    );
}

#[tokio::test]
async fn a_socket_in_use_does_not_start() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    let _first = node.start().await;
    let mut second = node.spawn();
    assert_eq!(second.end().await.code(), Some(3));
    Client::connect(&node.path("pullgate.sock")).await.call(LISTING, b"").await;
}

#[tokio::test]
async fn the_start_is_recorded() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    let process = node.start().await;
    let log = process.log();
    let fields = [
        "MESSAGE_ID=",
        "SHA256_BACKEND=\"",
        "CONTAINERD_VERSION=\"fake\"",
        "SNAPSHOTTER=\"overlayfs\"",
        "VERSION=\"",
    ];
    for field in fields {
        assert!(log.contains(field), "no {field} in {log}");
    }
    assert!(!log.contains('\u{1b}'), "no colours in a file: {log}");
    assert!(log.contains("every pull is refused until this is repaired"), "no policy: {log}");
    let client = Client::connect(&node.path("pullgate.sock")).await;
    assert_eq!(client.call(LISTING, b"").await.code(), "0", "other calls pass without a policy");
    assert_ne!(client.call("/runtime.v1.ImageService/PullImage", &pull()).await.code(), "0");
}

#[tokio::test]
async fn every_call_that_is_refused_is_recorded_safely() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    let mut process = node.start().await;
    let client = Client::connect(&node.path("pullgate.sock")).await;
    client.call("/runtime.v1.ImageService/ImportImage", b"").await;
    client.call("/runtime.v1.ImageService/PullImage", b"\xff").await;
    process
        .until("recording", async |process| {
            let log = process.log();
            let both =
                log.contains("REASON=\"UNKNOWN_METHOD\"") && log.contains("REASON=\"BAD_REQUEST\"");
            both.then_some(())
        })
        .await;
}

#[tokio::test]
async fn sigterm_lets_calls_end() {
    let node = Node::new("");
    let (release, fake) = waiting(&node.path("containerd.sock"));
    let mut process = node.start().await;
    let client = Client::connect(&node.path("pullgate.sock")).await;
    let call = tokio::spawn(async move { client.call(WAITING, b"").await });
    until_called(&fake, WAITING).await;
    process.signal(Signal::SIGTERM);
    node.until_told("STOPPING=1", &mut process).await;
    release.send(true).unwrap();
    assert_eq!(call.await.unwrap().code(), "0");
    assert_eq!(process.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_sigterm_ends_calls() {
    let node = Node::new("");
    let (_release, fake) = waiting(&node.path("containerd.sock"));
    let mut process = node.start().await;
    let client = Client::connect(&node.path("pullgate.sock")).await;
    let call = tokio::spawn(async move { client.call(WAITING, b"").await });
    until_called(&fake, WAITING).await;
    process.signal(Signal::SIGTERM);
    node.until_told("STOPPING=1", &mut process).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().await.code(), Some(0));
    assert_ne!(call.await.unwrap().code(), "0");
}

#[tokio::test]
async fn sighup_takes_a_valid_configuration_and_no_other() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    let mut process = node.start().await;
    let client = Client::connect(&node.path("pullgate.sock")).await;
    let rows = [
        (
            "[log]\nlevel = 'loud'\n",
            "the configuration stays as it was",
            "`log.level`: found `loud`",
        ),
        ("[log]\nlevel = 'debug'\n", "the configuration was read again", ""),
    ];
    for (extra, outcome, detail) in rows {
        node.configure(extra);
        process.signal(Signal::SIGHUP);
        node.until_told("READY=1", &mut process).await;
        let log = process.log();
        assert!(log.contains(outcome) && log.contains(detail), "{extra}: {log}");
        assert_eq!(client.call(LISTING, b"").await.code(), "0", "{extra}");
    }
    let text = std::fs::read_to_string(node.path("config.toml")).unwrap();
    let moved = text.replace("pullgate.sock", "other.sock");
    std::fs::write(node.path("config.toml"), moved).unwrap();
    process.signal(Signal::SIGHUP);
    node.until_told("READY=1", &mut process).await;
    assert!(process.log().contains("`cri.socket` stays"), "{}", process.log());
    assert!(!node.path("other.sock").exists());
    assert!(process.stop().await.success());
}

#[tokio::test]
async fn a_socket_of_systemd_is_taken_over() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    let passed = node.path("passed.sock");
    let listener = std::os::unix::net::UnixListener::bind(&passed).unwrap();
    let mut process = node.spawn_with(&listener, 1);
    node.until_told("READY=1", &mut process).await;
    drop(listener);
    assert_eq!(Client::connect(&passed).await.call(LISTING, b"").await.code(), "0");
    assert!(!node.path("pullgate.sock").exists(), "it binds none of its own");
}

#[tokio::test]
async fn what_systemd_passes_must_be_one_unix_listener() {
    let node = Node::new("");
    let unix = std::os::unix::net::UnixListener::bind(node.path("passed.sock")).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rows: [(&dyn AsFd, u8, &str); 2] = [
        (&unix, 2, "systemd passed 2 sockets, expected one"),
        (&tcp, 1, "systemd passed something else than a unix stream socket that listens"),
    ];
    for (listener, count, message) in rows {
        let mut process = node.spawn_with(listener, count);
        assert_eq!(process.end().await.code(), Some(3), "{message}");
        assert!(process.log().contains(message), "{message}: {}", process.log());
    }
}

#[tokio::test]
async fn the_journal_gets_fields() {
    let node = Node::new("");
    let _fake = Fake::start(&node.path("containerd.sock"), as_containerd);
    std::fs::create_dir_all(node.path("systemd/journal")).unwrap();
    let journal = UnixDatagram::bind(node.path("systemd/journal/socket")).unwrap();
    let script = "mount -t tmpfs none /run && mkdir /run/systemd && mount --bind \"$1\" /run/systemd \
                  && export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(node.path("systemd"));
    command.arg(place::built("pullgated"));
    let mut process = node.spawn_as(command);
    node.until_told("READY=1", &mut process).await;
    let mut records = Vec::new();
    let mut record = vec![0; 1 << 16];
    while let Ok(length) = journal.try_recv(&mut record) {
        records.push(String::from_utf8_lossy(&record[..length]).into_owned());
    }
    let started = |record: &&String| record.contains(message_id::STARTED);
    let start = records.iter().find(started).expect("a record of the start");
    for field in ["CONTAINERD_VERSION\n", "SHA256_BACKEND\n", "PRIORITY\n", "VERSION\n"] {
        assert!(start.contains(field), "no {field:?} in {start:?}");
    }
    assert_eq!(process.log(), "", "the journal has it all");
}

/// A folder with the daemon's configuration, and the service manager's end of its messages.
struct Node {
    directory: TempDir,
    manager: UnixDatagram,
}

impl Node {
    fn new(extra: &str) -> Self {
        let directory = place::for_sockets("node");
        let manager = UnixDatagram::bind(directory.path().join("notify.sock")).unwrap();
        let node = Self { directory, manager };
        node.configure(extra);
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self, extra: &str) {
        let place = self.directory.path().display();
        let text = format!(
            "[cri]\nsocket = 'unix://{place}/pullgate.sock'\n\
             [containerd]\nsocket = '{place}/containerd.sock'\n\
             [ledger]\npath = '{place}/ledger.db'\n[policy]\npath = '{place}/policy.json'\nregistries_d = '{place}/registries.d'\n{extra}"
        );
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    fn spawn(&self) -> Process {
        self.spawn_as(Command::new(place::built("pullgated")))
    }

    fn spawn_as(&self, mut command: Command) -> Process {
        command.arg("--config").arg(self.path("config.toml"));
        command.env("NOTIFY_SOCKET", self.path("notify.sock"));
        Process::start("pullgated", &command, &self.path("log"))
    }

    /// Starts it with `count` times `listener`, as systemd passes sockets.
    fn spawn_with(&self, listener: &dyn AsFd, count: u8) -> Process {
        fcntl(listener.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let number = listener.as_fd().as_raw_fd();
        let script =
            format!("exec 3<&{number} 4<&{number}; LISTEN_PID=$$ LISTEN_FDS={count} exec \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash"]).arg(place::built("pullgated"));
        self.spawn_as(command)
    }

    async fn start(&self) -> Process {
        let mut process = self.spawn();
        self.until_told("READY=1", &mut process).await;
        process
    }

    async fn until_told(&self, what: &str, process: &mut Process) {
        let told = async |_: &Process| {
            let mut message = [0; 4096];
            let length = self.manager.try_recv(&mut message).ok()?;
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            text.lines().any(|line| line == what).then_some(())
        };
        process.until(what, told).await;
    }
}

/// A containerd whose Waiting ends when it is released.
fn waiting(socket: &Path) -> (tokio::sync::watch::Sender<bool>, Fake) {
    let (release, wait) = tokio::sync::watch::channel(false);
    let answer = move |call: Call| {
        let mut wait = wait.clone();
        async move {
            if !call.uri.ends_with("Waiting") {
                return as_containerd(call).await;
            }
            wait.wait_for(|&released| released).await.unwrap();
            Ok::<Reply, h2::Error>(ok(b""))
        }
    };
    (release, Fake::start(socket, answer))
}

async fn until_called(fake: &Fake, path: &str) {
    fake.until(|calls| calls.iter().any(|call| call == path)).await;
}

fn pull() -> Vec<u8> {
    let image =
        Some(ImageSpec { image: "registry.example/app:1".to_owned(), ..ImageSpec::default() });
    PullImageRequest { image, ..PullImageRequest::default() }.encode_to_vec()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(place::built("pullgated")).args(arguments).output().unwrap()
}
