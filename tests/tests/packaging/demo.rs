//! The demonstration with the package's units, as `make demo` shows it where systemd runs.

use std::process::Command;

use pullgate_tests::place;
use pullgate_tests::process::run;

#[test]
fn the_units_admit_one_image_and_refuse_four() {
    let shown = String::from_utf8(run(Command::new(place::built("demo")).arg("node"))).unwrap();
    assert_eq!(shown.matches("\nas expected\n").count(), 5, "{shown}");
    assert!(shown.contains("pullgated["), "the journal of systemd is shown: {shown}");
}
