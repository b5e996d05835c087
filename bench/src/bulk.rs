//! One TCP stream through the Linux bridge, with fastbridge beside it and without, in turns. Offloads on, `hook = "auto"`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::Control,
    find_tool,
    lab::{Lab, MachineSpec, SlowPath},
    netns::Netns,
    wait_until,
};
use serde_json::Value;

use crate::{
    progress::Progress,
    report::{Bound, Row},
    stats::ratios,
    topology::Topology,
};

const RATIO: &str = "TCP stream with fastbridge / without";
const SERVER: &str = "10.17.4.22";
const PORT: u16 = 5201;

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    if find_tool("iperf3").is_err() {
        rows.push(Row::skip(RATIO, "iperf3 is not installed; `cargo xtask setup` installs it"));
        return Ok(());
    }
    let (rounds, seconds) = if quick { (3, 3) } else { (7, 5) };
    progress.part("bulk TCP: building the lab", rounds * 2);
    let lab = Lab::builder(SlowPath::LinuxBridge)
        .machine(MachineSpec::new("client", "vnet0").address("10.17.4.21/24"))
        .machine(MachineSpec::new("server", "vnet1").address("10.17.4.22/24"))
        .build()?;
    let stream = Stream { lab: &lab, seconds };
    let (mut with, mut without, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Neither is always the first of a round.
        for beside in [round % 2 == 0, round % 2 != 0] {
            if beside {
                progress.step("iperf3 with fastbridge");
                let (rate, share) = stream.with_fastbridge()?;
                with.push(rate);
                shares.push(share);
            } else {
                progress.step("iperf3 without");
                without.push(stream.run()?);
            }
        }
    }
    rows.push(Row::figure("one TCP stream, Linux bridge alone", "Gbit/s", &without));
    let share = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let note = format!("{:.1} % of the client's frames forwarded by fastbridge", share * 100.0);
    rows.push(Row::figure("one TCP stream, fastbridge hook=auto", "Gbit/s", &with).note(note));
    rows.push(Row::figure(RATIO, "x", &ratios(&with, &without)).required(Bound::AtLeast(0.95)));
    Ok(())
}

struct Stream<'a> {
    lab: &'a Lab,
    seconds: u32,
}

impl Stream<'_> {
    /// Gbit/s that the server received.
    fn run(&self) -> Result<f64> {
        let (client, server) = (self.lab.machine("client")?.netns(), self.lab.machine("server")?.netns());
        let mut listening = server.command("iperf3")?;
        listening.args(["-s", "-1", "-p", &PORT.to_string()]).stdout(std::process::Stdio::null());
        let mut listening = listening.spawn().context("cannot start iperf3 -s")?;
        let ran = await_listener(server).and_then(|()| {
            let seconds = self.seconds.to_string();
            Ok(client.run("iperf3", &["-c", SERVER, "-p", &PORT.to_string(), "-t", &seconds, "-O", "1", "-J"])?)
        });
        // Told to serve one client, it ends by itself unless that one never came.
        if ran.is_err() {
            let _gone_already = listening.kill();
        }
        listening.wait().context("iperf3 -s")?;
        let result: Value = serde_json::from_str(&ran?).context("iperf3 wrote no JSON")?;
        let bits = result["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 tells no rate")?;
        Ok(bits / 1e9)
    }

    /// The same with fastbridge beside the bridge, and the share of the client's frames that it forwarded itself.
    fn with_fastbridge(&self) -> Result<(f64, f64)> {
        let pins = Bpffs::mount()?;
        let control = Control::new(self.lab, pins.path())?;
        let topology = Topology::default().file()?;
        let mut fastbridge = control.start(topology.path())?;
        let rate = self.run();
        let counters = control.show("counters")?;
        fastbridge.terminate()?;
        control.detach()?;
        let port = &counters["ports"]["vnet0"];
        let forward = port["forward"].as_u64().unwrap_or(0);
        let punts: u64 =
            port["punt"].as_object().into_iter().flat_map(|map| map.values()).filter_map(Value::as_u64).sum();
        if forward == 0 {
            bail!("fastbridge forwarded none of the stream's frames: {port}");
        }
        Ok((rate?, forward as f64 / (forward + punts) as f64))
    }
}

fn await_listener(server: &Netns) -> Result<()> {
    let filter = format!("( sport = :{PORT} )");
    wait_until("iperf3 listens", Duration::from_secs(3), || {
        server.run("ss", &["-Hlnt", &filter]).is_ok_and(|listed| !listed.trim().is_empty())
    })?;
    Ok(())
}
