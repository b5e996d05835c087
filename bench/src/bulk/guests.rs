//! Between two guests of libvirt on a Linux bridge, tap to tap. They are emulated, so that no KVM is needed: their processors, and not the
//! path, are the limit.

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    find_tool,
    lab::{Guest, GuestSpec, Lab, SlowPath, guest_kernel},
};

use super::{
    beside::Beside,
    iperf::Run,
    turns::{self, Path, STREAMS},
};
use crate::{
    busy,
    progress::Progress,
    report::{Bound, Row},
};

const WHAT: &str = "Linux bridge, two guests' taps (emulated guests)";
const SERVER: &str = "10.17.4.22";
/// What is needed besides what everything needs.
const TOOLS: [&str; 5] = ["libvirtd", "virsh", "qemu-system-x86_64", "busybox", "iperf3"];
/// Starts a server for one client, and ends when it listens (0A in proc(5)'s net/tcp) at iperf3's port, 5201, or fails after some 20 s.
const SERVE: &str = "(iperf3 -s -1 >/dev/null 2>&1 &); for try in $(seq 200); do \
                     cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':1451 [0-9A-F]*:0000 0A ' && break; \
                     sleep 0.1; done; [ $try -lt 200 ]";

/// Measures, and adds the rows; one that says SKIP where guests cannot be had.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    if let Some(why) = lacking() {
        rows.push(Row::skip(WHAT, &why));
        return Ok(());
    }
    let (rounds, seconds) = if quick { (2, 2) } else { (5, 4) };
    progress.part("bulk TCP between guests: booting them", rounds * 2 * STREAMS.len());
    let mut lab = Lab::builder(SlowPath::LinuxBridge).build()?;
    lab.start_libvirt(&["iperf3"])?;
    let mut guests = Guests::start(&lab, seconds)?;
    turns::measure(&mut guests, WHAT, rounds, Some(Bound::AtLeast(0.98)), progress, rows)
}

/// What is not here.
fn lacking() -> Option<String> {
    let missing: Vec<_> = TOOLS.into_iter().filter(|tool| find_tool(tool).is_err()).collect();
    if !missing.is_empty() {
        return Some(format!("not installed: {}; `cargo xtask setup` installs them", missing.join(", ")));
    }
    guest_kernel().err().map(|error| error.to_string())
}

struct Guests<'a> {
    lab: &'a Lab,
    client: Guest,
    server: Guest,
    tap: String,
    seconds: u32,
    beside: Option<Beside>,
}

impl<'a> Guests<'a> {
    fn start(lab: &'a Lab, seconds: u32) -> Result<Self> {
        let [client, server] = [("client", "10.17.4.21/24"), ("server", "10.17.4.22/24")]
            .map(|(name, address)| GuestSpec::new(name).address(address));
        let libvirt = lab.libvirt()?;
        let running = [libvirt.create(&client)?, libvirt.create(&server)?];
        running.iter().try_for_each(Guest::await_boot)?;
        let tap = libvirt.tap(client.name(), client.chosen_mac())?;
        let [client, server] = running;
        Ok(Self { lab, client, server, tap, seconds, beside: None })
    }
}

impl Path for Guests<'_> {
    fn begin(&mut self) -> Result<()> {
        self.beside = Some(Beside::begin(self.lab)?);
        Ok(())
    }

    fn run(&mut self, streams: u32) -> Result<Run> {
        if self.server.run(SERVE)?.1 != 0 {
            bail!("iperf3 does not listen in a guest");
        }
        let iperf3 = format!("iperf3 -J -i 0 -t {} -P {streams} -c {SERVER}", self.seconds);
        let before = busy::all_cores()?;
        let (told, _) = self.client.run(&iperf3)?;
        let worked = busy::all_cores()?.saturating_sub(before);
        Run::read(&told, worked)
    }

    fn end(&mut self) -> Result<f64> {
        self.beside.take().context("fastbridge was not started")?.end(&self.tap)
    }
}
