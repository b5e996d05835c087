//! What sends: frames that the kernel makes, one after the other or in bursts.
//!
//! Must not: send from anywhere but a machine of a lab.

use std::{io::ErrorKind, time::Duration};

use anyhow::{Context as _, Result};
use aya::{Ebpf, TestRunAttrs, TestRunOptions, maps::PerCpuArray, programs::TestRun as _};
use bridge_tests::netns::Netns;

use super::{BATCH, index, load_varying, redirecting, xdp};
use crate::{cores, frames::Variety, work};

/// Sends one frame out of a machine's `eth0` again and again, as fast as one core can.
pub(crate) struct Generator {
    ebpf: Ebpf,
    frame: Vec<u8>,
}

impl Generator {
    /// For the machine in `netns`.
    pub(crate) fn new(netns: &Netns, frame: Vec<u8>, variety: Variety) -> Result<Self> {
        Self::load(netns, frame, variety, Duration::ZERO)
    }

    /// One that sends bursts of [`BATCH`] frames, this many frames in a second.
    pub(crate) fn in_bursts(netns: &Netns, frame: Vec<u8>, rate: f64) -> Result<Self> {
        Self::load(netns, frame, Variety::None, Duration::from_secs_f64(f64::from(BATCH) / rate))
    }

    fn load(netns: &Netns, frame: Vec<u8>, variety: Variety, gap: Duration) -> Result<Self> {
        let target = index(netns, "eth0")?;
        let ebpf = netns.enter(|| redirecting(load_varying(target, &frame, variety, gap)?, target, "generate"))??;
        Ok(Self { ebpf, frame })
    }

    /// What counts the frames of bursts, so far.
    pub(crate) fn bursts(&mut self) -> Result<Bursts> {
        let map = self.ebpf.take_map("BURSTS").context("the object has no map BURSTS")?;
        Ok(Bursts(PerCpuArray::try_from(map)?))
    }

    /// Sends bursts from core `cpu` until a signal ends the system call, or some minutes; `tell` is called in the thread that is to get it.
    pub(crate) fn send_bursts(&mut self, netns: &Netns, cpu: usize, tell: impl FnOnce() + Send) -> Result<()> {
        let program = xdp(&mut self.ebpf, "generate")?;
        netns.enter(|| {
            cores::pin(cpu)?;
            tell();
            let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
            let options =
                TestRunOptions { data_in: Some(&self.frame), repeat: u32::MAX, attrs, ..TestRunOptions::new() };
            match program.test_run(options) {
                Err(error) if is_interrupted(&error) => Ok(()),
                ended => ended.map(drop).context("BPF_PROG_TEST_RUN with live frames (needs Linux 5.18)"),
            }
        })?
    }

    /// Sends the frame `count` times from core `cpu`, and says how much time of that core it took: what the frames go through on
    /// the way runs there too, in the same call or, when there is too much of it, in the core's ksoftirqd.
    pub(crate) fn send(&mut self, netns: &Netns, cpu: usize, count: u32) -> Result<Duration> {
        let program = xdp(&mut self.ebpf, "generate")?;
        netns.enter(|| {
            cores::pin(cpu)?;
            let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
            let options = TestRunOptions { data_in: Some(&self.frame), repeat: count, attrs, ..TestRunOptions::new() };
            let before = work::on(cpu)?;
            program.test_run(options).context("BPF_PROG_TEST_RUN with live frames (needs Linux 5.18)")?;
            Ok(work::on(cpu)?.saturating_sub(before))
        })?
    }
}

fn is_interrupted(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::Interrupted) || error.source().is_some_and(is_interrupted)
}

/// Frames that bursts had.
pub(crate) struct Bursts(PerCpuArray<aya::maps::MapData, [u64; 3]>);

impl Bursts {
    /// So far.
    pub(crate) fn sent(&self) -> Result<u64> {
        Ok(self.0.get(&0, 0)?.iter().map(|[_, _, sent]| sent).sum())
    }
}
