//! A large host: how long a full resync takes there, and what the manager costs while nothing happens.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    lab::{Lab, SlowPath},
    wait_until,
};
use nix::sys::signal::Signal;

use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Topology,
};

const WHAT: &str = "500 OVS ports, 20,000 stations";
const ROUNDS: usize = 7;
const PORTS: usize = 500;
const STATIONS: usize = 20_000;
/// Of `ovs-vsctl`, which waits 10 s for Open vSwitch to act.
const PORTS_A_CALL: usize = 25;
/// Whatever the start leaves to do is done.
const SETTLE: Duration = Duration::from_secs(15);
/// Three rounds of housekeeping.
const IDLE: Duration = Duration::from_secs(30);
const RESYNC_LIMIT: Duration = Duration::from_secs(30);
/// The word before the time that a resync took, in the manager's log.
const TOLD: &str = "read anew and made true in ";

/// Measures, and adds the rows; a quick run has no two minutes for that.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    if quick {
        rows.push(Row::skip(WHAT, "a quick run leaves it out"));
        return Ok(());
    }
    progress.part(WHAT, ROUNDS + 2);
    progress.step("making them");
    let mut lab = Lab::builder(SlowPath::OvsUserspace).build()?;
    let far = lab.add_namespace("far")?.name().to_owned();
    let port = |n| format!("link add vnet{n} type veth peer name far{n} netns {far}\nlink set vnet{n} up\n");
    lab.host().ip(&(0..PORTS).map(port).collect::<String>())?;
    lab.netns("far")?.ip(&(0..PORTS).map(|n| format!("link set far{n} up\n")).collect::<String>())?;
    let ovs = lab.ovs().context("the lab has no Open vSwitch")?;
    let names: Vec<_> = (0..PORTS).map(|n| format!("vnet{n}")).collect();
    for some in names.chunks(PORTS_A_CALL) {
        let add = some.iter().flat_map(|name| ["--", "add-port", "br0", name]);
        ovs.vsctl(&add.skip(1).collect::<Vec<_>>())?;
    }
    let pins = Bpffs::mount()?;
    let topology = Topology { stations: STATIONS, ports: PORTS, ..Topology::default() }.file()?;
    let control = Control::new(&lab, pins.path())?;
    let mut fastbridge = control.start(topology.path())?;
    thread::sleep(SETTLE);
    progress.step("idle");
    let before = worked(fastbridge.pid())?;
    thread::sleep(IDLE);
    let idle = (worked(fastbridge.pid())? - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let row = Row::figure(&format!("{WHAT}: the manager while nothing happens"), "% of a core", &[idle]);
    rows.push(row.required(Bound::Below(1.0)));
    let mut resyncs = Vec::new();
    for round in 0..ROUNDS {
        progress.step("reading everything anew");
        resyncs.push(resync(&fastbridge, round)?);
    }
    fastbridge.terminate()?;
    control.detach()?;
    rows.push(Row::figure(&format!("{WHAT}: full resync"), "ms", &resyncs).required(Bound::Below(1000.0)));
    Ok(())
}

/// Has the manager read everything anew; the milliseconds that it says that took.
fn resync(fastbridge: &Fastbridge, round: usize) -> Result<f64> {
    let told = || -> Vec<String> { fastbridge.log().into_iter().filter(|line| line.contains(TOLD)).collect() };
    fastbridge.signal(Signal::SIGHUP)?;
    wait_until("the manager has read everything anew", RESYNC_LIMIT, || told().len() > round)?;
    let line = told().pop().unwrap_or_default();
    let figure = line.split(TOLD).nth(1).and_then(|rest| rest.split(' ').next());
    figure.and_then(|word| word.parse().ok()).with_context(|| format!("no time in {line:?}"))
}

/// The time that its threads have spent on a core: the first field of each (Documentation/scheduler/sched-stats.rst).
fn worked(pid: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the manager's threads")?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).context("a thread's time")?;
        let time = text.split(' ').next().and_then(|word| word.parse().ok()).context("a thread's time")?;
        sum += Duration::from_nanos(time);
    }
    Ok(sum)
}
