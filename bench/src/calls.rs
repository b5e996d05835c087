//! Programs that fastbridge has attached, run again and again by the kernel on one frame (`BPF_PROG_TEST_RUN`): what a call says and costs.
//! Sends nothing.

use std::{borrow::Cow, time::Duration};

use anyhow::{Context as _, Result};
use aya::programs::{ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;
use bridge_tests::{attached, netns::Netns};

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Xdp,
    TcIngress,
    TcEgress,
}

/// A loaded program, and the interface for which it runs.
pub(crate) struct Call {
    program: Program,
    ifindex: u32,
    /// Instructions that the verifier looked at, where the kernel tells.
    pub(crate) verified: Option<u32>,
}

enum Program {
    Xdp(Xdp),
    Tc(SchedClassifier),
}

impl Call {
    /// The program at one of the host's ports.
    pub(crate) fn find(host: &Netns, port: &str, hook: Hook) -> Result<Self> {
        let places: &[&str] = match hook {
            Hook::Xdp => &["xdp"],
            Hook::TcIngress => &["tcx/ingress", "clsact/ingress"],
            Hook::TcEgress => &["tcx/egress", "clsact/egress"],
        };
        let attached = attached::programs(host)?;
        let id = places.iter().find_map(|place| attached.get(&format!("{port} {place}"))?.first().copied());
        let id = id.with_context(|| format!("{port} has no program at {}", places.join(" or ")))?;
        let info = info(id)?;
        let verified = info.verified_instruction_count();
        let program = match hook {
            Hook::Xdp => Program::Xdp(Xdp::from_program_info(info, Cow::Borrowed("xdp"), XdpAttachType::Interface)?),
            _ => Program::Tc(SchedClassifier::from_program_info(info, Cow::Borrowed("tc"))?),
        };
        let ifindex = host.ifindex(port)?.with_context(|| format!("{port} is gone"))?;
        Ok(Self { program, ifindex, verified })
    }

    /// Runs it `repeat` times on one frame: its return code, and the mean time of a call.
    pub(crate) fn run(&self, host: &Netns, frame: &[u8], repeat: u32) -> Result<(u32, Duration)> {
        let context = match self.program {
            Program::Xdp(_) => xdp_md(frame.len(), self.ifindex),
            Program::Tc(_) => sk_buff(self.ifindex),
        };
        let options = TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), repeat, ..TestRunOptions::new() };
        // The kernel looks the interface up in the caller's namespace.
        let ran = host.enter(|| match &self.program {
            Program::Xdp(program) => program.test_run(options),
            Program::Tc(program) => program.test_run(options),
        })?;
        let ran = ran.context("BPF_PROG_TEST_RUN")?;
        Ok((ran.return_value, ran.duration))
    }
}

fn info(id: u32) -> Result<ProgramInfo> {
    // Others' programs come and go meanwhile.
    let found = loaded_programs().flatten().find(|info| info.id() == id);
    found.with_context(|| format!("the program {id} is gone"))
}

/// `struct xdp_md` (linux/bpf.h): data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
fn xdp_md(length: usize, ifindex: u32) -> Vec<u8> {
    [0, length as u32, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct __sk_buff`, zeros but for its ifindex.
fn sk_buff(ifindex: u32) -> Vec<u8> {
    let mut context = vec![0; 192];
    context[40..44].copy_from_slice(&ifindex.to_ne_bytes());
    context
}
