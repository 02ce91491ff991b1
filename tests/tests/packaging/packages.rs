//! The packages as files: the same bytes each time, and clean in the eyes of the distributions.

use std::process::Command;

use pullgate_tests::package::{Kind, build, package, tree};
use pullgate_tests::place;
use pullgate_tests::process::run;

#[test]
fn the_same_tree_makes_the_same_bytes() {
    for kind in [Kind::Deb, Kind::Rpm] {
        let again = place::on_disk("again");
        let (first, second) = (package(kind), build(kind, again.path(), None));
        assert_eq!(first.file_name(), second.file_name());
        let same = std::fs::read(&first).unwrap() == std::fs::read(second).unwrap();
        assert!(same, "{} has other bytes when it is made again", first.display());
    }
}

/// `make reproducible` shows that other folders then make the same programs.
#[test]
fn the_programs_do_not_tell_where_they_were_built() {
    let place = place::on_disk("programs");
    let home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let script = "dpkg-deb --fsys-tarfile \"$0\" | tar --extract ./usr/bin
        grep --recursive --text --only-matching --fixed-strings -e \"$1\" -e \"$2/registry\" usr | sort -u";
    let mut search = Command::new("sh");
    search.args(["-c", script]).arg(package(Kind::Deb)).arg(tree()).arg(home);
    let found = String::from_utf8(run(search.current_dir(place.path()))).unwrap();
    assert_eq!(
        found, "",
        "not built by way of packaging/rustc: `cargo clean --profile dev`, and build again"
    );
}

#[test]
fn lintian_finds_nothing() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning,info"]);
    assert_eq!(String::from_utf8(run(lintian.arg(package(Kind::Deb)))).unwrap(), "");
}

#[test]
fn rpmlint_finds_nothing() {
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.arg("--config").arg(tree().join("packaging/rpmlint.toml"));
    let report = String::from_utf8(run(rpmlint.arg(package(Kind::Rpm)))).unwrap();
    assert!(
        report.contains("1 packages and 0 specfiles checked; 0 errors, 0 warnings"),
        "{report}"
    );
}

#[test]
fn both_packages_hold_the_same() {
    let deb = files("dpkg-deb --extract \"$0\" .", Kind::Deb);
    assert_eq!(
        deb,
        files("rpm2cpio \"$0\" | cpio --quiet --extract --make-directories", Kind::Rpm)
    );
    for file in [
        "etc/pullgate/config.toml",
        "usr/bin/pullgate",
        "usr/bin/pullgated",
        "usr/lib/systemd/catalog/pullgate.catalog",
        "usr/lib/systemd/catalog/pullgate.ja.catalog",
        "usr/lib/systemd/system-generators/pullgate-generator",
        "usr/lib/systemd/system/pullgated.service",
        "usr/lib/systemd/system/pullgated.socket",
        "usr/lib/tmpfiles.d/pullgate.conf",
        "usr/share/bash-completion/completions/pullgate",
        "usr/share/doc/pullgate/examples/kubeadm/kubelet",
        "usr/share/man/man1/pullgate.1",
        "usr/share/man/man5/pullgate-config.toml.5",
        "usr/share/man/man5/pullgate-policy.5",
        "usr/share/man/man7/pullgate-journal.7",
        "usr/share/man/man7/pullgate-metrics.7",
        "usr/share/man/man8/pullgated.8",
        "usr/share/pullgate/grafana/pullgate.json",
        "usr/share/pullgate/prometheus/pullgate.rules.yml",
    ] {
        assert!(deb.iter().any(|found| found == file), "{file}: {deb:?}");
    }
}

#[test]
fn the_profiles_for_apparmor_and_selinux_compile() {
    let examples = tree().join("packaging/examples");
    let mut apparmor = Command::new("apparmor_parser");
    apparmor.args(["--skip-kernel-load", "--skip-cache"]);
    run(apparmor.arg(examples.join("apparmor/pullgated")));
    let place = place::on_disk("selinux");
    let script = "cp \"$0\"/selinux/* . && make -f /usr/share/selinux/devel/Makefile pullgate.pp";
    let mut selinux = Command::new("sh");
    run(selinux.args(["-c", script]).arg(examples).current_dir(place.path()));
    assert!(place.path().join("pullgate.pp").metadata().unwrap().len() > 0);
}

/// The files of a package, where packaging/install puts them before a distribution has its way.
fn files(extract: &str, kind: Kind) -> Vec<String> {
    let place = place::on_disk("extracted");
    let script = format!("{extract} && find . -type f -printf '%P\n'");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(package(kind)).current_dir(place.path());
    let listing = String::from_utf8(run(&mut command)).unwrap();
    let own = ["usr/share/doc/pullgate/c", "usr/share/doc/pullgate/C", "usr/share/lintian"];
    let common = listing.lines().filter(|path| !own.iter().any(|own| path.starts_with(own)));
    let mut files: Vec<String> = common
        .map(|path| {
            let path = path.strip_suffix(".gz").unwrap_or(path);
            let path = path.replace("zsh/vendor-completions", "zsh/site-functions");
            if path.starts_with("lib/") { format!("usr/{path}") } else { path }
        })
        .collect();
    files.sort();
    files
}
