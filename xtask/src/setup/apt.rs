//! Debian's packages: only what is asked for, nothing recommended, nothing removed, no service started.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;

use super::services::NotStarted;
use crate::process::{find, output, run};

/// Packages, and their units that would start, and start again at the next boot: the labs run their own.
const SERVICES: [(&str, &str); 6] = [
    ("openvswitch-switch", "openvswitch-switch.service"),
    ("prometheus", "prometheus.service"),
    ("libvirt-daemon", "libvirtd.service"),
    ("libvirt-daemon", "libvirtd.socket"),
    ("libvirt-daemon", "libvirtd-ro.socket"),
    ("libvirt-daemon", "libvirtd-admin.socket"),
];

/// Why we cannot install here, if so.
pub(crate) fn unusable() -> Option<&'static str> {
    if find("apt-get").is_none() {
        return Some("this system has no apt-get");
    }
    (!geteuid().is_root()).then_some("installing needs root")
}

/// Fetches the lists of packages.
pub(crate) fn update() -> Result<()> {
    run(Command::new("apt-get").args(["-q", "update"]))
}

/// Whether the sources offer every one of `packages`.
pub(crate) fn has_all(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        let output = Command::new("apt-cache").args(["show", "--no-all-versions", package]).output();
        output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
    })
}

/// Installs `packages`; the services among them are neither started nor enabled.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let held = NotStarted::hold()?;
    let mut command = Command::new("apt-get");
    command.args(["-q", "-y", "--no-install-recommends", "--no-remove", "install"]).args(packages);
    command.args(companion(packages).iter().flat_map(|same| ["--allow-downgrades", same]));
    let installed = run(command.env("DEBIAN_FRONTEND", "noninteractive"));
    held.release()?;
    installed.context("apt-get could not install what is missing, and was not allowed to remove anything for it")?;
    let services = SERVICES.iter().filter(|(package, _)| packages.contains(package)).map(|(_, unit)| *unit);
    let there = |unit: &&str| Path::new("/lib/systemd/system").join(unit).exists();
    let services: Vec<_> = services.filter(there).collect();
    if !services.is_empty() && find("systemctl").is_some() {
        // Offline: only the links in /etc/systemd, whether or not systemd runs.
        run(Command::new("systemctl").arg("disable").args(services).env("SYSTEMD_OFFLINE", "1"))?;
    }
    Ok(())
}

/// Unpacks a package into `dir`, without installing it.
pub(crate) fn unpack(package: &str, dir: &Path) -> Result<()> {
    let download = dir.with_extension("download");
    let _old = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
    run(Command::new("apt-get").args(["-q", "download", package]).current_dir(&download))?;
    let file = fs::read_dir(&download)?.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some());
    let file = file.with_context(|| format!("apt-get downloaded no {package}"))?;
    run(Command::new("dpkg-deb").arg("-x").args([&file, dir]))?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

/// qemu-utils of another release keeps this release's QEMU out, and we remove nothing: it becomes this release's as well.
fn companion(packages: &[&str]) -> Option<String> {
    packages.contains(&"qemu-system-x86").then_some(())?;
    let installed =
        output("dpkg-query", &["-W", "-f", "${Version}", "qemu-utils"]).filter(|version| !version.is_empty())?;
    let offered = output("apt-cache", &["show", "--no-all-versions", "qemu-system-x86"])?;
    let version = offered.lines().find_map(|line| line.strip_prefix("Version: "))?;
    (version != installed).then(|| format!("qemu-utils={version}"))
}
