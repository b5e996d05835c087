//! Where a run was made: kernel, cores, versions of everything that figures are compared with. A figure without them says nothing.

use std::{fmt, fs, path::Path, process::Command, thread};

use anyhow::{Context as _, Result};
use bridge_tests::{fastbridge, find_tool};
use serde::Serialize;

/// The machine and the programs of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    kernel: String,
    machine: String,
    cpu: String,
    cores: usize,
    /// Load average over one minute when the run began: other work makes the spread wider.
    load: String,
    fastbridge: String,
    jit: bool,
    quick: bool,
    pub(crate) peers: Vec<Peer>,
}

/// A program or a module that something is compared with, or measured by.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    name: String,
    /// `None`: it is not here.
    version: Option<String>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.version.as_deref().unwrap_or("not here"))
    }
}

/// What they are called, the program, and what makes it tell its version.
const PEERS: [(&str, &str, &str); 6] = [
    ("Open vSwitch", "ovs-vswitchd", "--version"),
    ("nftables", "nft", "--version"),
    ("iproute2", "ip", "-Version"),
    ("iperf3", "iperf3", "--version"),
    ("libvirt", "libvirtd", "--version"),
    ("QEMU", "qemu-system-x86_64", "--version"),
];
/// Parts of the kernel, which have its version; those that are built in are not listed here.
const MODULES: [(&str, &str); 3] =
    [("Open vSwitch's kernel datapath", "openvswitch"), ("br_netfilter", "br_netfilter"), ("KVM", "kvm")];

/// Looks.
///
/// # Errors
/// There is no `fastbridge` to measure.
pub(crate) fn describe(quick: bool) -> Result<Host> {
    let binary = fastbridge::binary()?;
    let version = first_line(Command::new(&binary).arg("--version"))
        .with_context(|| format!("{} does not tell its version", binary.display()))?;
    let name = nix::sys::utsname::uname().context("uname")?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    Ok(Host {
        kernel: name.release().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
        cpu: model.trim_start_matches([':', ' ', '\t']).to_owned(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        load: fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned(),
        fastbridge: version,
        jit: fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|text| text.trim() != "0"),
        quick,
        peers: PEERS.into_iter().map(program).chain(MODULES.into_iter().map(module)).collect(),
    })
}

fn program((name, program, option): (&str, &str, &str)) -> Peer {
    let version = find_tool(program).ok().map(|path| {
        first_line(Command::new(path).arg(option)).unwrap_or_else(|| format!("does not tell its version ({option})"))
    });
    Peer { name: name.to_owned(), version }
}

/// A module that is built in has a directory there too, if it has parameters or a version.
fn module((name, module): (&str, &str)) -> Peer {
    let there = Path::new("/sys/module").join(module).exists();
    Peer { name: name.to_owned(), version: there.then(|| "the kernel's own".to_owned()) }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, machine, cpu, cores, load, fastbridge, jit, quick, .. } = self;
        let jit = if *jit { "on" } else { "OFF" };
        let quick = if *quick { ", quick run" } else { "" };
        write!(f, "{fastbridge}, Linux {kernel} {machine}, {cores} cores ({cpu}), load {load}, BPF JIT {jit}{quick}")
    }
}

#[cfg(test)]
impl Host {
    /// One whose every word is this.
    pub(crate) fn example(word: &str) -> Self {
        let word = || word.to_owned();
        let peers = vec![Peer { name: word(), version: Some(word()) }, Peer { name: word(), version: None }];
        let (kernel, machine, cpu, load, fastbridge) = (word(), word(), word(), word(), word());
        Self { kernel, machine, cpu, cores: 2, load, fastbridge, jit: true, quick: true, peers }
    }
}
