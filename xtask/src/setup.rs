//! `setup`: whatever the build, the labs and the tests need. Installs only what is missing, starts no service.
//!
//! On Debian, as root, it installs by apt, cargo and rustup. Anywhere else it prints the exact list and fails.

pub(crate) mod apt;
mod emulator;
mod guests;
mod services;
mod toolchain;
mod tools;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    process::{find, output},
    vm,
};
pub(crate) use emulator::{Emulator, emulator};
use toolchain::Toolchain;

/// Install what the build, the labs and the tests need; only what is missing.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Only say what is missing, and fail if something is.
    #[arg(long)]
    check: bool,
}

/// What is not there yet, in words.
pub(crate) fn missing() -> Vec<String> {
    Missing::look().words()
}

struct Missing {
    tools: Vec<&'static tools::Tool>,
    toolchain: bool,
    linker: bool,
    components: Vec<&'static str>,
    /// libvirt's library with its headers.
    libvirt: bool,
    guest_kernel: bool,
}

/// The package of libvirt's library with its headers: Debian's, and that of Fedora, RHEL and its rebuilds.
const LIBVIRT: [&str; 2] = ["libvirt-dev", "libvirt-devel"];

impl Missing {
    fn look() -> Self {
        Self {
            tools: tools::missing(),
            toolchain: toolchain::find_toolchain().is_none(),
            linker: find(toolchain::LINKER).is_none(),
            components: toolchain::missing_components(),
            libvirt: output("pkg-config", &["--modversion", "libvirt"]).is_none(),
            guest_kernel: !guests::is_there(),
        }
    }

    fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.tools.iter().map(|tool| tool.program.into()).collect();
        if self.toolchain {
            words.push("a toolchain for the BPF target".into());
        }
        if self.linker {
            words.push(toolchain::LINKER.into());
        }
        if self.libvirt {
            words.push("libvirt's headers".into());
        }
        if self.guest_kernel {
            words.push("a kernel for guests".into());
        }
        words.extend(self.components.iter().map(|&name| name.into()));
        words
    }

    fn debian_packages(&self) -> Vec<&'static str> {
        let libvirt = self.libvirt.then_some(LIBVIRT[0]);
        tools::unique(self.tools.iter().map(|tool| tool.deb).chain(libvirt).collect())
    }
}

impl Setup {
    /// Installs what is missing.
    pub(crate) const fn installing() -> Self {
        Self { check: false }
    }

    /// The verb: also the emulated machine of the tests, where it can be had.
    pub(crate) fn verb(&self) -> Result<()> {
        self.run()?;
        if self.check { Ok(()) } else { vm::prepare() }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let missing = Missing::look();
        if missing.words().is_empty() {
            println!("setup: nothing to do; {}", took());
            return Ok(());
        }
        println!("setup: missing: {}", missing.words().join(", "));
        if self.check {
            bail!("`cargo xtask setup` installs what is missing");
        }
        if find("rustup").is_none() {
            bail!(
                "rustup is missing; get it from https://rustup.rs, then run this again, or install:
{}",
                by_hand(&missing)
            );
        }
        if !missing.components.is_empty() {
            toolchain::add_components(&missing.components)?;
        }
        install(&missing)?;
        let still = Missing::look().words();
        if !still.is_empty() {
            bail!("everything was installed, and still missing: {}; look at the output above", still.join(", "));
        }
        println!("setup: done; {}", took());
        Ok(())
    }
}

fn install(missing: &Missing) -> Result<()> {
    let mut packages = missing.debian_packages();
    // Without a toolchain, or with Debian's and no linker to match it, Debian's LLVM is needed as well.
    let debian_linker = missing.linker && toolchain::find_toolchain() == Some(Toolchain::Linked);
    if packages.is_empty() && !missing.toolchain && !debian_linker && !missing.guest_kernel {
        return if missing.linker { toolchain::install_linker(false) } else { Ok(()) };
    }
    if let Some(why) = apt::unusable() {
        bail!("{why}; install these yourself:\n{}", by_hand(missing));
    }
    apt::update()?;
    let debian = missing.toolchain && apt::has_all(&toolchain::DEBIAN_TOOLCHAIN);
    if debian {
        packages.extend(toolchain::DEBIAN_TOOLCHAIN);
    }
    if debian || debian_linker {
        packages.extend(toolchain::DEBIAN_LLVM);
    }
    apt::install(&packages)?;
    if missing.guest_kernel {
        guests::fetch()?;
    }
    if missing.toolchain {
        if debian { toolchain::link()? } else { toolchain::install_nightly()? }
    }
    if missing.linker { toolchain::install_linker(debian || debian_linker) } else { Ok(()) }
}

/// What the build takes of what it found.
fn took() -> String {
    let toolchain = toolchain::find_toolchain().map_or_else(|| "none".into(), |found| found.to_string());
    let linker = find(toolchain::LINKER).map_or_else(|| "none".into(), |path| path.display().to_string());
    format!("BPF programs are built with {toolchain} and {linker}")
}

/// The exact list for people whose system we do not install on.
fn by_hand(missing: &Missing) -> String {
    let mut lines = Vec::new();
    if !missing.tools.is_empty() || missing.libvirt {
        let libvirt = missing.libvirt.then_some(LIBVIRT[1]);
        let rpms: Vec<_> = missing.tools.iter().map(|tool| tool.rpm).chain(libvirt).collect();
        lines.push(format!("  Debian:    apt-get install {}", missing.debian_packages().join(" ")));
        lines.push(format!("  RHEL:      dnf install {}", tools::unique(rpms).join(" ")));
    }
    if missing.toolchain {
        lines.push(format!("  Toolchain: {}", toolchain::BY_HAND));
    }
    if missing.linker {
        lines.push(format!("  Linker:    cargo install {}", toolchain::LINKER));
    }
    if missing.guest_kernel {
        lines.push(format!("  Guests:    {}", guests::BY_HAND));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_for_other_systems_is_exact() {
        let tools = tools::TOOLS.iter().filter(|tool| ["ip", "tc", "promtool"].contains(&tool.program)).collect();
        let (toolchain, linker, libvirt, guest_kernel) = (true, true, true, false);
        let missing = Missing { tools, toolchain, linker, components: vec![], libvirt, guest_kernel };
        assert_eq!(
            by_hand(&missing),
            "  Debian:    apt-get install iproute2 prometheus libvirt-dev\n  \
             RHEL:      dnf install iproute iproute-tc golang-github-prometheus libvirt-devel\n  \
             Toolchain: rustup toolchain install nightly --profile minimal --component rust-src\n  \
             Linker:    cargo install bpf-linker"
        );
        assert_eq!(
            missing.words(),
            ["ip", "tc", "promtool", "a toolchain for the BPF target", "bpf-linker", "libvirt's headers"]
        );
    }
}
