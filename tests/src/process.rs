//! Processes of a test: logged to a file, ended by their own id.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both its outputs written to `log`. `name` is for messages.
    ///
    /// The process is killed when the calling thread ends: start it from the test's own thread.
    #[must_use]
    pub fn start(name: &'static str, command: &Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log file");
        let child = dying_with_its_parent(command)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name, child, log: log.to_owned() }
    }

    /// Its process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("the log to be readable");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks `probe` until it answers, and returns the answer. Panics with the log when the process
    /// ends, or after [`PATIENCE`].
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut probe: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = probe(self).await {
                return answer;
            }
            if let Some(status) = self.exited() {
                panic!("{} ended with {status} before {what}:\n{}", self.name, self.log());
            }
            assert!(Instant::now() < end, "{}: still not {what}:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process IDs are small");
        kill(Pid::from_raw(id), signal).expect("a signal to an unreaped child arrives");
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.end().await
    }

    /// Waits until the process ends by itself. Panics with the log after [`PATIENCE`].
    pub async fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < end, "{} does not end:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            self.signal(Signal::SIGKILL);
        }
        self.child.wait().expect("a child can be waited for");
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended_by = self.exited().and_then(|status| status.signal());
        let asked = [Signal::SIGKILL as i32, Signal::SIGTERM as i32];
        let crashed = ended_by.is_some_and(|signal| !asked.contains(&signal));
        self.kill();
        if crashed && !std::thread::panicking() {
            panic!("{} crashed:\n{}", self.name, self.log());
        }
    }
}

/// A command that sees `usr` as `/usr` and everything else as it is on this machine, in a mount
/// namespace of its own: whatever it leaves mounted goes away with it.
#[must_use]
pub fn with_usr(usr: &Path, program: &str) -> Command {
    in_namespace("mount --bind \"$0\" /usr && exec \"$@\"", &[usr.as_ref(), program.as_ref()])
}

/// [`with_usr`], with an empty disk of `bytes` at `place`, which nobody else sees.
#[must_use]
pub fn with_usr_and_disk(usr: &Path, place: &Path, bytes: u64, program: &str) -> Command {
    let script = "mount -t tmpfs -o \"size=$1\" tmpfs \"$0\" && mount --bind \"$2\" /usr &&
        shift 2 && exec \"$@\"";
    let size = bytes.to_string();
    in_namespace(script, &[place.as_ref(), size.as_ref(), usr.as_ref(), program.as_ref()])
}

/// A command that sees `root` as `/`, with nothing of this machine in it but the libraries, and has no
/// environment but what is added to it.
#[must_use]
pub fn in_root(root: &Path, program: &Path) -> Command {
    let script = "cd \"$0\" && mkdir -p lib lib64 usr/lib && : > program &&
        mount --bind \"$1\" program && shift &&
        for place in lib lib64 usr/lib; do mount --bind /$place $place || exit; done &&
        exec chroot . /program \"$@\"";
    let mut command = in_namespace(script, &[root.as_ref(), program.as_ref()]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The bytes of a running process that are in memory.
#[must_use]
pub fn resident(id: u32) -> u64 {
    status(id, "VmRSS:")
}

/// The most of [`resident`] that there ever was.
#[must_use]
pub fn peak(id: u32) -> u64 {
    status(id, "VmHWM:")
}

fn status(id: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a running process");
    let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    value.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kibibytes") << 10
}

/// What a running process and its ended children have used of the processors.
#[must_use]
pub fn cpu_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a running process");
    // proc_pid_stat(5): utime, stime, cutime and cstime are the fields 14 to 17; 3 follows the name.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let ticks = fields.split(' ').skip(11).take(4);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

fn in_namespace(script: &str, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "slave", "sh", "-c", script]).args(arguments);
    command
}

/// Kills the processes whose command line is ours, and their children.
pub fn kill_children_of(ours: impl Fn(&str) -> bool) {
    let processes: Vec<(i32, i32, String)> = std::fs::read_dir("/proc")
        .expect("a list of processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: i32| {
            // One that has ended meanwhile is none of ours.
            let command = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let (_, after_name) = stat.rsplit_once(") ")?;
            let parent = after_name.split(' ').nth(1)?.parse().ok()?;
            Some((id, parent, String::from_utf8_lossy(&command).into_owned()))
        })
        .collect();
    for (id, _, _) in processes.iter().filter(|(_, _, command)| ours(command)) {
        let children = processes.iter().filter(|(_, parent, _)| parent == id);
        for (id, _, _) in children.chain(processes.iter().filter(|(other, _, _)| other == id)) {
            // It may have ended by itself.
            kill(Pid::from_raw(*id), Signal::SIGKILL).unwrap_or_default();
        }
    }
}

/// Runs a command to its end and returns what it printed. Panics with its errors if it fails.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    output.stdout
}

fn dying_with_its_parent(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}
