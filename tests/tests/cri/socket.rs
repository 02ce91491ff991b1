//! The socket that is bound.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};

use pullgate::cri::socket::{SocketError, bind};
use pullgate_tests::place;

#[test]
fn a_socket_left_behind_is_replaced() {
    let directory = place::for_sockets("sock");
    let path = directory.path().join("pullgate.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err(), "nobody listens there");
    let _listener = bind(&path, &directory.path().join("none")).unwrap();
    UnixStream::connect(&path).unwrap();
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["pullgate.sock"], "nothing else stays behind");
}

#[test]
fn a_socket_in_use_is_not_replaced() {
    let directory = place::for_sockets("sock");
    let path = directory.path().join("pullgate.sock");
    let first = bind(&path, &directory.path().join("none")).unwrap();
    let error = bind(&path, &directory.path().join("none")).unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error:?}");
    assert!(error.to_string().ends_with("another process listens at this socket"), "{error}");
    drop(UnixStream::connect(&path).unwrap());
    drop(first);
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let directory = place::for_sockets("sock");
    let path = directory.path().join("pullgate.sock");
    let containerd = directory.path().join("none");
    fs::write(&path, "text").unwrap();
    assert!(matches!(bind(&path, &containerd), Err(SocketError::NoSocket { .. })));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&containerd, &path).unwrap();
    assert!(matches!(bind(&path, &containerd), Err(SocketError::NoSocket { .. })));
}

#[test]
fn owner_and_mode_are_those_of_containerds_socket() {
    let directory = place::for_sockets("sock");
    let containerd = directory.path().join("containerd.sock");
    let _containerd = UnixListener::bind(&containerd).unwrap();
    fs::set_permissions(&containerd, Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&containerd, Some(0), Some(7)).unwrap();
    let path = directory.path().join("below/it/pullgate.sock");
    let _listener = bind(&path, &containerd).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid(), found.gid()), (0o600, 0, 7));
    let parent = fs::metadata(directory.path().join("below/it")).unwrap();
    assert_eq!(parent.mode() & 0o777, 0o755, "the folder is made");
}

#[test]
fn without_containerd_owner_and_group_may_connect() {
    let directory = place::for_sockets("sock");
    let path = directory.path().join("pullgate.sock");
    let _listener = bind(&path, &directory.path().join("none")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
}

#[test]
fn what_cannot_be_bound_is_said() {
    let directory = place::for_sockets("sock");
    let path = directory.path().join("x".repeat(200));
    let error = bind(&path, &directory.path().join("none")).unwrap_err();
    assert!(matches!(error, SocketError::Bind { .. }), "{error:?}");
}
