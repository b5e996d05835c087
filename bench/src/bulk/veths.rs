//! Between two namespaces on a Linux bridge.
//!
//! Once so that no frame overtakes another, as between guests, whose frames one thread brings: each end on a core of its own, with all that it
//! receives (Documentation/networking/scaling.rst, RPS). And once as it comes. A veth then queues frames on the core that sends, which is the program's
//! or the one that an acknowledgement came to: TCP takes what overtakes for a loss, thousands of times in each run, with fastbridge and without, and
//! the rate says as much of that as of the path.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bridge_tests::{
    find_tool,
    lab::{Lab, MachineSpec, SlowPath},
    netns::Netns,
    wait_until,
};

use super::{
    beside::Beside,
    iperf::Run,
    turns::{self, Path, STREAMS},
};
use crate::{
    busy, cores,
    progress::Progress,
    report::{Bound, Row},
};

const ORDERED: &str = "Linux bridge, veths";
const AS_IT_COMES: &str = "Linux bridge, veths, frames may overtake each other";
const CLIENT_PORT: &str = "vnet0";
const SERVER: &str = "10.17.4.22";
const PORT: u16 = 5201;
const CLIENT_CORE: usize = 0;

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    if find_tool("iperf3").is_err() {
        rows.push(Row::skip(ORDERED, "iperf3 is not installed; `cargo xtask setup` installs it"));
        return Ok(());
    }
    let (rounds, again, seconds) = if quick { (3, 0, 1) } else { (9, 5, 3) };
    progress.part("bulk TCP: building the lab", (rounds + again) * 2 * STREAMS.len());
    let lab = Lab::builder(SlowPath::LinuxBridge)
        .machine(MachineSpec::new("client", CLIENT_PORT).address("10.17.4.21/24"))
        .machine(MachineSpec::new("server", "vnet1").address("10.17.4.22/24"))
        .build()?;
    let mut veths = Veths { lab: &lab, seconds, ordered: false, beside: None };
    if again > 0 {
        turns::measure(&mut veths, AS_IT_COMES, again, None, progress, rows)?;
    }
    receive_on(lab.machine("client")?.netns(), CLIENT_CORE)?;
    receive_on(lab.machine("server")?.netns(), cores::highest())?;
    veths.ordered = true;
    turns::measure(&mut veths, ORDERED, rounds, Some(Bound::AtLeast(0.98)), progress, rows)
}

/// All that the machine receives goes to this core.
fn receive_on(machine: &Netns, core: usize) -> Result<()> {
    // Words of 32 bits, the highest first.
    let mask = format!("{:x}{}", 1 << (core % 32), ",00000000".repeat(core / 32));
    // A namespace has its own /sys, which is seen where it was mounted in it.
    let script = format!("mount -t sysfs none /sys && echo {mask} > /sys/class/net/eth0/queues/rx-0/rps_cpus");
    machine.run("unshare", &["--mount", "sh", "-c", &script]).context("RPS could not be set")?;
    Ok(())
}

struct Veths<'a> {
    lab: &'a Lab,
    seconds: u32,
    ordered: bool,
    beside: Option<Beside>,
}

impl Path for Veths<'_> {
    fn begin(&mut self) -> Result<()> {
        self.beside = Some(Beside::begin(self.lab)?);
        Ok(())
    }

    fn run(&mut self, streams: u32) -> Result<Run> {
        let (client, server) = (self.lab.machine("client")?.netns(), self.lab.machine("server")?.netns());
        run(client, server, SERVER, streams, self.seconds, self.ordered)
    }

    fn end(&mut self) -> Result<f64> {
        self.beside.take().context("fastbridge was not started")?.end(CLIENT_PORT)
    }
}

/// Sends from one namespace to an address of the other, each with a core of its own, or not.
pub(crate) fn run(
    client: &Netns,
    server: &Netns,
    address: &str,
    streams: u32,
    seconds: u32,
    pinned: bool,
) -> Result<Run> {
    let mut listening = Listening::start(server)?;
    let (streams, seconds) = (streams.to_string(), seconds.to_string());
    let (port, cores) = (PORT.to_string(), format!("{CLIENT_CORE},{}", cores::highest()));
    let mut options = vec!["-c", address, "-p", &port, "-t", &seconds, "-P", &streams, "-i", "0", "-J"];
    if pinned {
        options.extend(["-A", &cores]);
    }
    let before = busy::all_cores()?;
    let json = client.run("iperf3", &options)?;
    let worked = busy::all_cores()?.saturating_sub(before);
    listening.0.wait().context("iperf3 -s")?;
    Run::read(&json, worked)
}

/// An iperf3 that serves one client and then ends; ended when dropped, if that one never came.
struct Listening(Child);

impl Listening {
    fn start(server: &Netns) -> Result<Self> {
        let mut command = server.command("iperf3")?;
        command.args(["-s", "-1", "-p", &PORT.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let listening = Self(command.spawn().context("cannot start iperf3 -s")?);
        let filter = format!("( sport = :{PORT} )");
        wait_until("iperf3 listens", Duration::from_secs(3), || {
            server.run("ss", &["-Hlnt", &filter]).is_ok_and(|listed| !listed.trim().is_empty())
        })?;
        Ok(listening)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}
