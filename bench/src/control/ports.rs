//! Many ports: time from the start of the manager to `ready`, and its resident memory then.

use std::{fs, thread, time::Duration, time::Instant};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::Control,
    lab::{Lab, SlowPath},
};

use crate::{
    programs::attach_bare_tc,
    progress::Progress,
    report::{Bound, Row},
    topology::Topology,
};

const PORTS: usize = 200;
/// Beats and housekeeping have run once; what they need is in the figure.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) fn measure(rounds: usize, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let lab = Lab::builder(SlowPath::LinuxBridge).build()?;
    let port = |n| {
        format!("link add vnet{n} type veth peer name far{n}\nlink set far{n} up\nlink set vnet{n} master br0 up\n")
    };
    lab.host().ip(&(0..PORTS).map(port).collect::<String>())?;
    for n in 0..PORTS {
        lab.host().wait_running(&format!("vnet{n}"))?;
    }
    let names: Vec<_> = (0..PORTS).map(|n| format!("vnet{n}")).collect();
    let (mut ready, mut memory, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        progress.step("attaching 200 ports");
        let pins = Bpffs::mount()?;
        let control = Control::new(&lab, pins.path())?;
        let topology = Topology::default().file()?;
        let start = Instant::now();
        let mut fastbridge = control.start(topology.path())?;
        ready.push(start.elapsed().as_secs_f64());
        if fastbridge.ready_ports() != PORTS {
            bail!("{} ports are ready instead of {PORTS}", fastbridge.ready_ports());
        }
        thread::sleep(SETTLE);
        memory.push(resident_mib(fastbridge.pid())?);
        fastbridge.terminate()?;
        control.detach()?;
        bare.push(attach_bare_tc(lab.host(), &names)?.as_secs_f64());
    }
    rows.push(Row::figure("200 ports attached and ready", "s", &ready));
    let note = "the kernel waits for an RCU grace period in each".to_owned();
    rows.push(Row::figure("the floor: 400 bare tcx links on them", "s", &bare).note(note));
    rows.push(Row::figure("manager's resident memory, 200 ports", "MiB", &memory).required(Bound::Below(32.0)));
    Ok(())
}

/// VmRSS (proc(5)): pages of its own and of files, in memory now.
fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the manager's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the manager has no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("the manager's VmRSS")?;
    Ok(kib / 1024.0)
}
