//! The launcher, against a stand-in for the binary: a shell script that tells where it runs. Needs root.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bridge_tests::bpffs::Bpffs;
use bridge_tests::fastbridge::Control;
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::wait_until;

/// Behaves as its `run` and `show` are asked to; `$2` is the pins directory.
const STAND_IN: &str = r#"#!/bin/sh
case "$3" in
run) case "$5" in
     */broken) echo "no such bridge" >&2; exit 3 ;;
     esac
     echo "ERROR something" >&2; echo "ready: 2 ports"; exec sleep 60 ;;
--json) printf '{"what": "%s", "bridge": "%s", "pins": "%s", "ovs": "%s", "link": "%s"}' \
        "$5" "$7" "$2" "$OVS_RUNDIR" "$(ip -o link show dev vnet0 | cut -d: -f2)" ;;
*) echo "unknown verb $3" >&2; exit 2 ;;
esac
"#;

struct Setup {
    // The lab goes before the directories it uses.
    control: Control,
    _lab: Lab,
    pins: Bpffs,
    script: PathBuf,
}

fn setup(slow_path: SlowPath) -> Setup {
    let lab = Lab::builder(slow_path).raw_ports(1).build().unwrap();
    let pins = Bpffs::mount().unwrap();
    let script = std::env::temp_dir().join(format!("{}-stand-in", lab.prefix()));
    std::fs::write(&script, STAND_IN).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Setup { control: Control::with_binary(&lab, pins.path(), script.clone()), _lab: lab, pins, script }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.script);
    }
}

#[test]
fn the_pins_directory_is_a_bpffs_and_goes_away() {
    const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
    let pins = Bpffs::mount().unwrap();
    let path = pins.path().to_owned();
    assert_eq!(nix::sys::statfs::statfs(&path).unwrap().filesystem_type().0, BPF_FS_MAGIC);
    drop(pins);
    assert!(!path.exists());
}

#[test]
fn show_runs_in_the_host_namespace_with_pins_and_ovs_directory() {
    let setup = setup(SlowPath::OvsUserspace);
    let shown = setup.control.show("counters").unwrap();
    assert_eq!((&shown["what"], &shown["bridge"]), (&"counters".into(), &"br0".into()));
    assert_eq!(shown["pins"], setup.pins.path().display().to_string());
    assert!(shown["link"].as_str().unwrap().contains("vnet0"), "not in the host namespace: {shown}");
    assert!(Path::new(shown["ovs"].as_str().unwrap()).join("db.sock").exists());
}

#[test]
fn a_manager_is_awaited_read_and_stopped() {
    let setup = setup(SlowPath::LinuxBridge);
    let mut manager = setup.control.start(Path::new("/any")).unwrap();
    assert_eq!(manager.ready_ports(), 2);
    wait_until("the log is read", Duration::from_secs(5), || manager.errors_in_log() == ["ERROR something"]).unwrap();
    assert_eq!(manager.terminate().unwrap().signal(), Some(15));
    assert_eq!(setup.control.start(Path::new("/any")).unwrap().kill().unwrap().signal(), Some(9));
}

#[test]
fn a_manager_that_refuses_is_told_with_its_log_at_once() {
    let setup = setup(SlowPath::LinuxBridge);
    let error = setup.control.start(Path::new("/broken")).unwrap_err().to_string();
    assert!(error.contains("no such bridge") && error.contains('3'), "{error}");
    let error = setup.control.detach().unwrap_err().to_string();
    assert!(error.contains("unknown verb detach"), "{error}");
}
