//! Between two namespaces on a Linux bridge.

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
use crate::{busy, progress::Progress, report::Row};

const WHAT: &str = "Linux bridge, veths";
const CLIENT_PORT: &str = "vnet0";
const SERVER: &str = "10.17.4.22";
const PORT: u16 = 5201;

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    if find_tool("iperf3").is_err() {
        rows.push(Row::skip(WHAT, "iperf3 is not installed; `cargo xtask setup` installs it"));
        return Ok(());
    }
    let (rounds, seconds) = if quick { (3, 1) } else { (9, 3) };
    progress.part("bulk TCP: building the lab", rounds * 2 * STREAMS.len());
    let lab = Lab::builder(SlowPath::LinuxBridge)
        .machine(MachineSpec::new("client", CLIENT_PORT).address("10.17.4.21/24"))
        .machine(MachineSpec::new("server", "vnet1").address("10.17.4.22/24"))
        .build()?;
    turns::measure(&mut Veths { lab: &lab, seconds, beside: None }, WHAT, rounds, progress, rows)
}

struct Veths<'a> {
    lab: &'a Lab,
    seconds: u32,
    beside: Option<Beside>,
}

impl Path for Veths<'_> {
    fn begin(&mut self) -> Result<()> {
        self.beside = Some(Beside::begin(self.lab)?);
        Ok(())
    }

    fn run(&mut self, streams: u32) -> Result<Run> {
        let (client, server) = (self.lab.machine("client")?.netns(), self.lab.machine("server")?.netns());
        run(client, server, SERVER, streams, self.seconds)
    }

    fn end(&mut self) -> Result<f64> {
        self.beside.take().context("fastbridge was not started")?.end(CLIENT_PORT)
    }
}

/// Sends from one namespace to an address of the other.
pub(crate) fn run(client: &Netns, server: &Netns, address: &str, streams: u32, seconds: u32) -> Result<Run> {
    let mut listening = Listening::start(server)?;
    let (streams, seconds) = (streams.to_string(), seconds.to_string());
    let options = ["-c", address, "-p", &PORT.to_string(), "-t", &seconds, "-P", &streams, "-i", "0", "-J"];
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
