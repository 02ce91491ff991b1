//! A disk of its own for everything that is pulled: ext4 with a journal, as nodes have it, and gone with
//! the process in whatever way it ends.
//!
//! On ext4 without a journal, as on some machines of CI, an inode is not used again for five minutes after
//! its file was removed, and each new file searches past all of those: a pull into a store that was
//! emptied a moment ago then takes up to a third longer, now one side's and now the other's.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use pullgate_tests::place;

/// Said to the program that runs on the disk.
const PRESENT: &str = "PULLGATE_MEASURE_DISK";

/// Takes up no more than what is written to it.
const SIZE: &str = "40G";

const SCRIPT: &str = "mkdir -p \"$1\" && truncate --size=\"$2\" \"$0\" &&
    mkfs.ext4 -q -i 65536 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \"$0\" &&
    mount -o loop \"$0\" \"$1\" && rm \"$0\" && shift 2 && exec \"$@\"";

/// Starts this program again with the disk in the place of `target/tmp`, in a mount namespace of its own.
pub(crate) fn begin() {
    if std::env::var_os(PRESENT).is_some() {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT]);
    command.arg(place::target().join("measure.img")).arg(place::target().join("tmp")).arg(SIZE);
    command.arg(std::env::current_exe().expect("the path of this executable"));
    let error = command.args(std::env::args_os().skip(1)).env(PRESENT, "1").exec();
    panic!("no disk to measure on: {error}");
}
