//! A lab with paths in it: machines and bridges, fastbridge where a path wants it, and both stations of each path known.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    lab::{Lab, SlowPath},
    wait_until,
};
use serde_json::Value;
use tempfile::NamedTempFile;

pub(super) use super::path::Clock;
use super::{
    denied,
    kind::{self, Kind},
    load::Load,
    ovs,
    path::{Path, Sent},
};
use crate::{
    policy::{Policy, nftables},
    topology::{Rules, Topology},
};

/// What a site shall be.
#[derive(Clone)]
pub(super) struct Plan<'a> {
    pub(super) slow_path: SlowPath,
    pub(super) kinds: &'a [Kind],
    pub(super) loads: &'a [Load],
    /// Whose policy all enforce that have one.
    pub(super) topology: Topology,
    /// From an access port of this VLAN to a trunk.
    pub(super) vlan: Option<u16>,
    /// Managed ports on which nothing happens.
    pub(super) idle_ports: usize,
    pub(super) clock: Clock,
}

impl<'a> Plan<'a> {
    /// Beside the Linux bridge, with the reference policy.
    pub(super) fn new(kinds: &'a [Kind], loads: &'a [Load]) -> Self {
        let (slow_path, topology) = (SlowPath::LinuxBridge, Topology::default());
        Self { slow_path, kinds, loads, topology, vlan: None, idle_ports: 0, clock: Clock::Core }
    }

    /// With another policy.
    pub(super) fn rules(self, rules: Rules) -> Self {
        Self { topology: Topology { rules, ..self.topology }, ..self }
    }
}

/// fastbridge beside the lab's bridge. Dropped in this order: the manager before its pins.
struct Beside {
    _manager: Fastbridge,
    control: Control,
    _pins: Bpffs,
    _topology: NamedTempFile,
}

/// All paths of a plan, ready.
pub(super) struct Site {
    // Programs before their interfaces.
    beside: Option<Beside>,
    paths: Vec<Path>,
    lab: Lab,
    cpu: usize,
    clock: Clock,
    /// What must be said of its figures.
    pub(super) remark: String,
}

impl Site {
    pub(super) fn build(plan: &Plan<'_>) -> Result<Self> {
        let mut lab = Lab::builder(plan.slow_path).build()?;
        kind::add_bridges(&lab, plan.kinds, plan.vlan)?;
        for kind in plan.kinds {
            for machine in kind.machines(plan.vlan) {
                lab.add_machine(machine)?;
            }
        }
        let policy = Policy::of(&plan.topology.text()?)?;
        let remark = if plan.kinds.contains(&Kind::Nftables) {
            nftables::load(lab.host(), &policy)?.remark().to_owned()
        } else {
            String::new()
        };
        if lab.ovs().is_some() {
            ovs::prepare(&lab, plan.kinds, &policy)?;
        }
        let path = |&kind: &Kind| Path::new(&lab, kind, plan.loads, plan.topology.rules, plan.vlan);
        let paths = plan.kinds.iter().map(path).collect::<Result<_>>()?;
        add_idle_ports(&lab, plan.idle_ports)?;
        let beside = match plan.kinds.iter().filter(|kind| kind.is_managed()).count() {
            0 => None,
            pairs => Some(start(&lab, plan, pairs * 2 + plan.idle_ports)?),
        };
        // The highest core: the lower ones serve most interrupts.
        let cpu = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        let mut site = Self { beside, paths, lab, cpu, clock: plan.clock, remark };
        site.learn()?;
        Ok(site)
    }

    /// Lets both stations of each path be known: one frame each way, until one gets through to the sink.
    fn learn(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.prime()?;
        }
        for path in self.paths.iter_mut().filter(|path| path.kind != Kind::BareDrop) {
            let before = path.taken()?;
            let waited = wait_until("a frame gets through", Duration::from_secs(5), || {
                path.prime(&self.lab, self.cpu).is_ok() && path.taken().is_ok_and(|taken| taken > before)
            });
            waited.with_context(|| format!("{:?}: nothing gets through", path.kind))?;
        }
        Ok(())
    }

    /// One frame each way, so that no station has aged.
    pub(super) fn prime(&mut self) -> Result<()> {
        self.paths.iter_mut().try_for_each(|path| path.prime(&self.lab, self.cpu))
    }

    /// Sends `count` frames down a path. Of frames that are denied none may arrive, and those count which the path says it dropped.
    pub(super) fn send(&mut self, kind: Kind, load: Load, count: u32) -> Result<Sent> {
        if !load.is_denied() {
            return self.dispatch(kind, load, count);
        }
        let before = self.denied(kind)?;
        let sent = self.dispatch(kind, load, count)?;
        if sent.counted > 0 {
            bail!("{kind:?}: {} of {count} frames arrived that the policy denies", sent.counted);
        }
        Ok(Sent { counted: self.denied(kind)? - before, ..sent })
    }

    fn dispatch(&mut self, kind: Kind, load: Load, count: u32) -> Result<Sent> {
        let path = self.paths.iter_mut().find(|path| path.kind == kind);
        let path = path.with_context(|| format!("no path of the kind {kind:?}"))?;
        path.send(&self.lab, self.cpu, load, count, self.clock)
    }

    fn denied(&self, kind: Kind) -> Result<u64> {
        denied::count(&self.lab, self.beside.as_ref().map(|beside| &beside.control), kind)
    }

    /// Its lab.
    pub(super) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// See [`Path::introduce`].
    pub(super) fn introduce(&self, kind: Kind, stations: u32, salt: u8) -> Result<[Duration; 2]> {
        let path = self.paths.iter().find(|path| path.kind == kind);
        let path = path.with_context(|| format!("no path of the kind {kind:?}"))?;
        path.introduce(&self.lab, self.cpu, (stations, salt))
    }

    /// How to ask its fastbridge.
    fn control(&self) -> Result<&Control> {
        self.beside.as_ref().map(|beside| &beside.control).context("there is no fastbridge in this lab")
    }

    /// Frames that fastbridge says it forwarded itself, of those that entered the path.
    pub(super) fn forwarded(&self, kind: Kind) -> Result<u64> {
        Ok(self.verdicts(kind)?["forward"].as_u64().unwrap_or(0))
    }

    /// All that fastbridge says of what entered the path.
    pub(super) fn verdicts(&self, kind: Kind) -> Result<Value> {
        let counters = self.control()?.show("counters")?;
        Ok(counters["ports"][kind.ports()[0]].clone())
    }
}

/// Ports whose machines say nothing.
fn add_idle_ports(lab: &Lab, count: usize) -> Result<()> {
    let bridge = lab.bridge();
    let name = |n| format!("vnet{}", 100 + n);
    let add = |n| {
        let port = name(n);
        format!("link add {port} type veth peer name far{n}\nlink set far{n} up\nlink set {port} master {bridge} up\n")
    };
    lab.host().ip(&(0..count).map(add).collect::<String>())?;
    (0..count).try_for_each(|n| Ok(lab.host().wait_running(&name(n))?))
}

fn start(lab: &Lab, plan: &Plan<'_>, ports: usize) -> Result<Beside> {
    let pins = Bpffs::mount()?;
    let control = Control::new(lab, pins.path())?;
    let topology = Topology { xdp: Kind::Xdp.ports().map(String::from).to_vec(), ..plan.topology.clone() }.file()?;
    let manager = control.start(topology.path())?;
    if manager.ready_ports() != ports {
        bail!("fastbridge took {} ports instead of {ports}", manager.ready_ports());
    }
    Ok(Beside { _manager: manager, control, _pins: pins, _topology: topology })
}
