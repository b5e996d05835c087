//! Compiles bridge-ebpf for the BPF target and leaves the object in OUT_DIR.
//!
//! Toolchain: `FASTBRIDGE_BPF_TOOLCHAIN` when set; else a rustup toolchain called `bpf` (a distribution's rustc with a prebuilt `core`, as
//! `cargo xtask setup` links it); else nightly with rust-src, aya's usual set-up.

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=FASTBRIDGE_BPF_TOOLCHAIN");
    let ebpf = concat!(env!("CARGO_MANIFEST_DIR"), "/../bridge-ebpf");
    let common = concat!(env!("CARGO_MANIFEST_DIR"), "/../bridge-common");
    println!("cargo:rerun-if-changed={common}");
    let features: &[&str] = if std::env::var_os("CARGO_FEATURE_TRACE").is_some() { &["trace"] } else { &[] };
    let toolchain = toolchain();
    // aya-build shows each line of the inner cargo as a warning of ours; what is left then is worth a warning.
    // SAFETY: build scripts are single-threaded here.
    unsafe { std::env::set_var("CARGO_TERM_QUIET", "true") };
    if toolchain == "bpf" {
        // A prebuilt `core` needs no build-std; only these two crates may use BPF's inline assembly, which is unstable.
        // SAFETY: build scripts are single-threaded here.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,fastbridge_ebpf") };
    }
    let package = Package { name: "bridge-ebpf", root_dir: ebpf, no_default_features: false, features };
    build_ebpf([package], Toolchain::Custom(&toolchain))
        .context("the BPF programs did not compile; `cargo xtask setup` installs what they need")
}

fn toolchain() -> String {
    if let Ok(named) = std::env::var("FASTBRIDGE_BPF_TOOLCHAIN") {
        return named;
    }
    let listed = std::process::Command::new("rustup").args(["toolchain", "list"]).output();
    let has_bpf = listed.is_ok_and(|out| {
        String::from_utf8_lossy(&out.stdout).lines().any(|line| line.split_whitespace().next() == Some("bpf"))
    });
    if has_bpf { "bpf".into() } else { "nightly".into() }
}
