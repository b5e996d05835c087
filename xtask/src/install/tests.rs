//! Into a directory of its own, and the unit against systemd's own opinion.

#![allow(clippy::unwrap_used)]
use std::process::Command;

use super::*;

fn installed(prefix: &str) -> (tempfile::TempDir, Install) {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("built");
    fs::write(&binary, "#!/bin/true\n").unwrap();
    let install = Install { prefix: prefix.into(), destdir: directory.path().join("root"), binary: Some(binary) };
    install.run().unwrap();
    (directory, install)
}

#[test]
fn everything_lands_in_its_place_and_a_second_time_too() {
    let (_directory, install) = installed("/usr/local");
    let at = |path: &str| install.under(Path::new(path));
    let mode = |path: &str| fs::metadata(at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("/usr/local/sbin/fastbridge"), 0o755);
    assert_eq!(mode("/etc/systemd/system/fastbridge.service"), 0o644);
    assert_eq!(
        fs::read_to_string(at("/etc/systemd/system/fastbridge.service")).unwrap(),
        packaged("fastbridge.service").unwrap()
    );
    install.run().unwrap();
    assert_eq!(fs::read_dir(at("/usr/local/sbin")).unwrap().count(), 1, "something was left beside the binary");
}

#[test]
fn an_operators_topology_is_never_overwritten() {
    let (_directory, install) = installed("/usr/local");
    let topology = install.under(Path::new("/etc/fastbridge/topology.toml"));
    assert_eq!(fs::read_to_string(&topology).unwrap(), packaged("topology.example.toml").unwrap());
    fs::write(&topology, "mine").unwrap();
    install.run().unwrap();
    assert_eq!(fs::read_to_string(&topology).unwrap(), "mine");
}

#[test]
fn another_prefix_reaches_the_unit() {
    let (_directory, install) = installed("/opt/fb");
    let unit = fs::read_to_string(install.under(Path::new("/etc/systemd/system/fastbridge.service"))).unwrap();
    assert!(unit.contains("\nExecStart=/opt/fb/sbin/fastbridge run --topology /etc/fastbridge/topology.toml\n"));
    assert!(!unit.contains(UNIT_BINARY));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("fastbridge.service");
    fs::write(&unit, packaged("fastbridge.service").unwrap().replace(UNIT_BINARY, "/bin/true")).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&unit)
        .output()
        .expect("this test needs systemd-analyze (package systemd); `cargo xtask setup` installs it");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Each of these gives the service a mount namespace, in which pins can be read-only or on a file system of its own.
#[test]
fn the_unit_stays_in_the_hosts_mount_namespace() {
    let unit = packaged("fastbridge.service").unwrap();
    let keys: Vec<_> = unit
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key)
        .collect();
    for key in ["Type", "WatchdogSec", "NotifyAccess", "CapabilityBoundingSet", "ExecReload", "Restart"] {
        assert!(keys.contains(&key), "{key}= is gone");
    }
    let unshares = |key: &&&str| {
        ["Private", "Protect", "ReadWrite", "ReadOnly", "Inaccessible", "Bind", "Temporary", "Root", "Mount", "Dynamic"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
            || ["ExecPaths", "NoExecPaths", "StateDirectory", "RuntimeDirectory"].contains(key)
    };
    assert_eq!(keys.iter().filter(unshares).collect::<Vec<_>>(), Vec::<&&str>::new());
}
