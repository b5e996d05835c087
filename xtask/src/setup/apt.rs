//! Debian's packages: only what is asked for, nothing recommended, nothing removed, no service started.

use std::process::Command;

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;

use super::services::NotStarted;
use crate::process::{find, run};

/// Packages whose service would start, and start again at the next boot: the labs run their own.
const SERVICES: [&str; 2] = ["openvswitch-switch", "prometheus"];

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
    let installed = run(Command::new("apt-get")
        .args(["-q", "-y", "--no-install-recommends", "--no-remove", "install"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"));
    held.release()?;
    installed.context("apt-get could not install what is missing, and was not allowed to remove anything for it")?;
    let services: Vec<_> = SERVICES.iter().filter(|service| packages.contains(service)).collect();
    if !services.is_empty() && find("systemctl").is_some() {
        // Offline: only the links in /etc/systemd, whether or not systemd runs.
        run(Command::new("systemctl").arg("disable").args(services).env("SYSTEMD_OFFLINE", "1"))?;
    }
    Ok(())
}
