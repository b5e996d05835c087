//! The toolchain and the linker of the BPF programs: finds what there is, in the order in which bridge-user's build
//! script takes it, or installs one.

use std::{env, fmt, fs, path::Path, process::Command};

use anyhow::Result;

use crate::process::{cargo, output, run};

/// The linker that every toolchain needs for the BPF target.
pub(crate) const LINKER: &str = "bpf-linker";
/// Debian's rustc with a prebuilt `core` for bpfel-unknown-none.
pub(crate) const DEBIAN_TOOLCHAIN: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
/// The LLVM of that rustc, to build the linker with.
pub(crate) const DEBIAN_LLVM: [&str; 4] = ["llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev"];
/// What to do where there is no such package.
pub(crate) const BY_HAND: &str = "rustup toolchain install nightly --profile minimal --component rust-src";
const DEBIAN_LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const TARGET: &str = "bpfel-unknown-none";

/// A toolchain that compiles for the BPF target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that `FASTBRIDGE_BPF_TOOLCHAIN` names; not looked at.
    Named(String),
    /// The toolchain `bpf`: a distribution's rustc with a prebuilt `core`.
    Linked,
    /// Nightly with rust-src: aya's usual one.
    Nightly,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "rustup toolchain `{name}` (FASTBRIDGE_BPF_TOOLCHAIN)"),
            Self::Linked => f.write_str("rustup toolchain `bpf` (prebuilt core)"),
            Self::Nightly => f.write_str("rustup toolchain `nightly` (rust-src)"),
        }
    }
}

/// The toolchain that the build will take, if it can work.
pub(crate) fn find_toolchain() -> Option<Toolchain> {
    if let Ok(named) = env::var("FASTBRIDGE_BPF_TOOLCHAIN") {
        return Some(Toolchain::Named(named));
    }
    let listed = output("rustup", &["toolchain", "list"])?;
    if lists(&listed, "bpf") {
        // The build script takes it because of its name, so nightly is no way out of a broken one.
        let libraries = output("rustup", &["run", "bpf", "rustc", "--print", "target-libdir", "--target", TARGET])?;
        return holds_core(Path::new(&libraries)).then_some(Toolchain::Linked);
    }
    let nightly = listed.lines().any(|line| line.starts_with("nightly-"));
    let root = nightly.then(|| output("rustup", &["run", "nightly", "rustc", "--print", "sysroot"]))??;
    let sources = Path::new(&root).join("lib/rustlib/src/rust/library/core");
    sources.is_dir().then_some(Toolchain::Nightly)
}

fn lists(listed: &str, name: &str) -> bool {
    listed.lines().any(|line| line.split_whitespace().next() == Some(name))
}

fn holds_core(libraries: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(libraries) else { return false };
    entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

/// Makes Debian's rustc known to rustup as `bpf`.
pub(crate) fn link() -> Result<()> {
    run(Command::new("rustup").args(["toolchain", "link", "bpf", "/usr"]))
}

/// Installs nightly with rust-src, aya's usual toolchain.
pub(crate) fn install_nightly() -> Result<()> {
    println!("setup: no packaged rustc for the BPF target here; taking rustup's nightly");
    run(Command::new("rustup").args(BY_HAND.split(' ').skip(1)))
}

/// Installs the linker, against Debian's LLVM or the one that comes with the Rust compiler.
pub(crate) fn install_linker(debian: bool) -> Result<()> {
    let mut command = cargo(&["install", LINKER]);
    if debian {
        command.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", DEBIAN_LLVM_PREFIX);
    }
    run(&mut command)
}

/// The components that format and lints need and that do not answer.
pub(crate) fn missing_components() -> Vec<&'static str> {
    let answers = |verb: &str| cargo(&[verb, "--version"]).output().is_ok_and(|output| output.status.success());
    [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(verb, _)| !answers(verb))
        .map(|(_, component)| component)
        .collect()
}

/// Adds them to the toolchain in use.
pub(crate) fn add_components(components: &[&str]) -> Result<()> {
    run(Command::new("rustup").args(["component", "add"]).args(components))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn toolchains_are_known_by_their_whole_name() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\nbpf\n";
        assert!(lists(listed, "bpf"));
        assert!(!lists("bpf-old\nmy-bpf\n", "bpf"));
    }

    #[test]
    fn a_target_without_core_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!holds_core(directory.path()));
        assert!(!holds_core(&directory.path().join("nowhere")));
        fs::write(directory.path().join("libcore-0123.rlib"), "").unwrap();
        assert!(holds_core(directory.path()));
    }
}
