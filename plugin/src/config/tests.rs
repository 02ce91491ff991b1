use std::path::Path;

use pullgate_policy::decision::{Mode, Modes};
use pullgate_policy::namespace::Namespace;

use super::{Config, Listen};

#[test]
fn nothing_said_gives_the_defaults() {
    let config = Config::parse(Path::new("c"), "").unwrap();
    assert_eq!(config.socket, Path::new("/run/pullgate/pullgate.sock"));
    assert_eq!(config.containerd.socket, Path::new("/run/containerd/containerd.sock"));
    assert_eq!(config.registry.config_path.len(), 2);
    assert_eq!(config.registry.max_parallel_layers.get(), 3);
    assert_eq!(config.registry.no_progress_timeout.as_secs(), 300);
    assert!(config.registry.interleave_hashing);
    assert!(config.containerd.place_layers && config.containerd.decompress_layers);
    assert_eq!(config.mode.modes, Modes::enforce());
    assert_eq!(config.break_glass.folder, Path::new("/etc/pullgate/exemptions"));
    assert_eq!(config.break_glass.admins, None);
    assert_eq!(config.mode.audit_deadline.as_secs(), 60);
    assert_eq!(config.policy.namespaces, Path::new("/etc/pullgate/policies"));
    assert_eq!((config.policy.path, config.policy.keep_last_good), (None, false));
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    let defaults = Config::parse(path, "").unwrap();
    assert_eq!(Config::parse(path, &text).unwrap(), defaults, "as shipped");
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = Config::parse(path, &uncommented).unwrap();
    assert_eq!(config.socket, defaults.socket);
    assert_eq!(config.containerd.socket, defaults.containerd.socket);
    assert_eq!(config.registry, defaults.registry);
    assert_eq!(config.policy.namespaces, defaults.policy.namespaces);
    assert_eq!(config.ledger, defaults.ledger);
    assert_eq!(config.mode.modes.default, defaults.mode.modes.default);
    assert_eq!(config.mode.audit_deadline, defaults.mode.audit_deadline);
    assert_eq!(config.break_glass.folder, defaults.break_glass.folder);
    let admins = config.break_glass.admins.unwrap();
    assert_eq!((admins.required.get(), admins.longest.as_secs()), (2, 24 * 60 * 60));
    assert_eq!(config.log_level, defaults.log_level);
    assert!(config.metrics.is_some(), "an example");
    assert!(config.containerd.sandbox_image.is_some(), "every key stands in the shipped file");
    assert!(config.policy.path.is_some() && config.policy.registries_d.is_some());
}

#[test]
fn a_socket_may_be_written_as_kubelet_writes_it() {
    let config = Config::parse(Path::new("c"), "[cri]\nsocket = 'unix:///run/p.sock'").unwrap();
    assert_eq!(config.socket, Path::new("/run/p.sock"));
}

#[test]
fn modes_are_said_by_scope_and_namespace() {
    let text = "[mode.scopes]\n'a.example/b' = 'audit'\n[mode.namespaces]\ndev = 'audit'\n";
    let config = Config::parse(Path::new("c"), text).unwrap();
    let expected = Modes {
        scopes: [("a.example/b".to_owned(), Mode::Audit)].into(),
        namespaces: [(Namespace::parse("dev").unwrap(), Mode::Audit)].into(),
        ..Modes::enforce()
    };
    assert_eq!(config.mode.modes, expected);
}

#[test]
fn errors_name_file_key_and_expectation() {
    let rows = [
        ("[cri]\nsockt = 'a'", "c: `cri.sockt`: unknown field `sockt`, expected `socket`"),
        (
            "[crii]",
            "c: `crii`: unknown field `crii`, expected one of `cri`, `containerd`, `policy`, \
             `mode`, `break_glass`, `registry`, `ledger`, `metrics`, `log`",
        ),
        ("[cri]\nsocket = 3", "c: `cri.socket`: invalid type: integer `3`, expected a string"),
        (
            "[cri]\nsocket = 'p.sock'",
            "c: `cri.socket`: found `p.sock`, expected an absolute path, with or without unix:// \
             before it",
        ),
        (
            "[cri]\nsocket = '/run/containerd/containerd.sock'",
            "c: `cri.socket`: found `/run/containerd/containerd.sock`, expected another socket than \
             containerd's",
        ),
        (
            "[policy]\npath = 'policy.json'",
            "c: `policy.path`: found `policy.json`, expected an absolute path",
        ),
        (
            "[policy]\nnamespaces = 'policies'",
            "c: `policy.namespaces`: found `policies`, expected an absolute path",
        ),
        (
            "[policy]\nkeep_last_good = 'yes'",
            "c: `policy.keep_last_good`: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "[registry]\nconfig_path = '/a:'",
            "c: `registry.config_path`: found `/a:`, expected absolute paths with `:` between them",
        ),
        (
            "[registry]\nmax_parallel_layers = 0",
            "c: `registry.max_parallel_layers`: found `0`, expected 1 to 64",
        ),
        (
            "[registry]\nno_progress_timeout = '5'",
            "c: `registry.no_progress_timeout`: found `5`, expected a number from 1 on and its unit, \
             `s`, `m` or `h`, for example `5m`",
        ),
        (
            "[log]\nlevel = 'loud'",
            "c: `log.level`: found `loud`, expected `error`, `warn`, `info`, `debug` or `trace`",
        ),
        ("[cri]\nsocket = '/a'\nsocket = '/b'", "c: line 3: duplicate key"),
        ("[cri\n", "c: line 1: unclosed table, expected `]`"),
    ];
    refused(&rows);
}

#[test]
fn errors_of_modes_and_of_the_ledger_do_so_too() {
    refused(&[
        (
            "[break_glass]\nkeys = ['/a.asc']",
            "c: `break_glass.required`: found `nothing`, expected how many of the keys must have \
             signed, from 1 on",
        ),
        (
            "[break_glass]\nkeys = ['/a.asc']\nrequired = 0",
            "c: `break_glass.required`: found `0`, expected how many of the keys must have signed, \
             from 1 on",
        ),
        (
            "[break_glass]\nrequired = 2",
            "c: `break_glass.keys`: found `nothing`, expected the files of the admins' keys",
        ),
        (
            "[break_glass]\nkeys = ['a.asc']\nrequired = 1",
            "c: `break_glass.keys`: found `a.asc`, expected an absolute path",
        ),
        (
            "[break_glass]\nlongest = '169h'",
            "c: `break_glass.longest`: found `169h`, expected a number from 1 on and its unit, `s`, \
             `m` or `h`, at most `168h`",
        ),
        (
            "[mode]\ndefault = 'warn'",
            "c: `mode.default`: unknown variant `warn`, expected `audit` or `enforce`",
        ),
        (
            "[mode]\nscopes = {'' = 'audit'}",
            "c: `mode.scopes`: found ``, expected a scope of policy.json; for every image there is \
             `mode.default`",
        ),
        (
            "[mode]\nnamespaces = {'Dev' = 'audit'}",
            "c: `mode.namespaces`: found `Dev`, expected a namespace's name",
        ),
        (
            "[mode]\naudit_deadline = '1d'",
            "c: `mode.audit_deadline`: found `1d`, expected a number from 1 on and its unit, `s`, `m` \
             or `h`, for example `5m`",
        ),
        (
            "[ledger]\npath = 'ledger.db'",
            "c: `ledger.path`: found `ledger.db`, expected an absolute path",
        ),
        ("[ledger]\nmax_rows = 10", "c: `ledger.max_rows`: found `10`, expected 1000 or more"),
        (
            "[ledger]\nretention = '12h'",
            "c: `ledger.retention`: found `12h`, expected a number of days from 1 to 3653, for example \
             `90d`",
        ),
    ]);
}

fn refused(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let error = Config::parse(Path::new("c"), text).unwrap_err();
        assert_eq!(error.to_string(), *expected, "{text}");
    }
}

#[test]
fn a_file_that_was_named_must_exist() {
    let error = Config::read(Some(Path::new("/nonexistent/config.toml"))).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/config.toml: cannot be read");
}

#[test]
fn metrics_are_off_unless_told_where() {
    let unix = || Some(Listen::Unix("/run/pullgate/metrics.sock".into()));
    let tcp = |address: &str| Some(Listen::Tcp(address.parse().unwrap()));
    let rows = [
        ("", None),
        ("metrics.listen = ''", None),
        ("metrics.listen = '127.0.0.1:9750'", tcp("127.0.0.1:9750")),
        ("metrics.listen = '[::1]:9750'", tcp("[::1]:9750")),
        ("metrics.listen = 'unix:/run/pullgate/metrics.sock'", unix()),
        ("metrics.listen = 'unix:///run/pullgate/metrics.sock'", unix()),
        ("metrics = { listen = '10.0.0.1:9750', allow_remote = true }", tcp("10.0.0.1:9750")),
    ];
    for (text, expected) in rows {
        assert_eq!(Config::parse(Path::new("c"), text).unwrap().metrics, expected, "{text}");
    }
}

#[test]
fn metrics_of_a_place_that_others_reach_must_be_wanted() {
    let place = "expected an IP address with a port, or `unix:` and an absolute path";
    let loopback = "expected a loopback address, or `allow_remote = true` beside it";
    let rows = [
        ("0.0.0.0:9750", loopback),
        ("[::]:9750", loopback),
        ("10.0.0.1:9750", loopback),
        ("localhost", place),
        ("127.0.0.1", place),
        ("unix:metrics.sock", place),
    ];
    for (listen, expected) in rows {
        let text = format!("metrics.listen = '{listen}'");
        let error = Config::parse(Path::new("c"), &text).unwrap_err();
        let expected = format!("c: `metrics.listen`: found `{listen}`, {expected}");
        assert_eq!(error.to_string(), expected);
    }
}
