//! Where a run was made: kernel, cores, versions. A figure without them says nothing.

use std::{fs, process::Command, thread};

use anyhow::{Context as _, Result};
use bridge_tests::fastbridge;
use serde::Serialize;

/// The machine and the programs of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) kernel: String,
    pub(crate) machine: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Load average over one minute when the run began: other work makes the spread wider.
    pub(crate) load: String,
    pub(crate) fastbridge: String,
    pub(crate) iperf3: Option<String>,
    pub(crate) jit: bool,
    pub(crate) quick: bool,
}

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
        iperf3: bridge_tests::find_tool("iperf3").ok().and_then(|tool| first_line(Command::new(tool).arg("--version"))),
        jit: fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|text| text.trim() != "0"),
        quick,
    })
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}
