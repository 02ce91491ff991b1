//! What `pullgate status` says.

use std::path::Path;
use std::process::Command;

use pullgate_tests::containerd::{self, Containerd};
use pullgate_tests::place;
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::version::Version;

fn status(config: &Path) -> (i32, String) {
    let mut command = Command::new(place::built("pullgate"));
    let output = command.arg("--config").arg(config).arg("status").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn the_daemon_and_what_it_decides_by_are_shown() {
    let containerd = Containerd::start_with(Version::V1_6, containerd::Settings::default()).await;
    let settings = Settings { policy: Some(accept_anything()), ..Settings::default() };
    let mut gate = Pullgated::start(&containerd, &settings).await;
    let (code, text) = status(&gate.config());
    let lines: Vec<&str> = text.lines().collect();
    let [daemon, policy, ledger, doors] = lines[..] else { panic!("{text}") };
    let socket = gate.socket();
    assert!(daemon.starts_with(&format!("daemon  answers at {} in ", socket.display())), "{text}");
    assert!(daemon.contains(" us: 1.6."), "{text}");
    let file = gate.policy();
    assert!(policy.starts_with(&format!("policy  {} (sha256:", file.display())), "{text}");
    assert!(policy.ends_with("), 0 scopes"), "{text}");
    assert!(ledger.starts_with("ledger  "), "{text}");
    assert!(doors.starts_with("doors   ") && doors.contains(" armed, "), "{text}");
    assert_eq!(code, 0, "{text}");

    std::fs::write(&file, "{").unwrap();
    let (code, text) = status(&gate.config());
    assert!(text.contains("policy  unusable, every pull is refused: "), "{text}");
    assert_eq!(code, 2);

    gate.stop().await;
    let (code, text) = status(&gate.config());
    assert!(
        text.starts_with(&format!("daemon  does not answer at {}: ", socket.display())),
        "{text}"
    );
    assert_eq!(code, 3);
}
