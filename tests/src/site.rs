//! A lab with everything a manager needs beside it: pins of its own and a topology file. Tells what of ours is in the kernel by looking
//! only at the lab's namespace and pins, so that labs of other processes do not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::bpffs::Bpffs;
use crate::error::{Error, Result};
use crate::fastbridge::{Control, Fastbridge};
use crate::lab::{Builder, Lab, Machine, MachineSpec, SlowPath};
use crate::{attached, run, sweep};

/// Programs are freed after an RCU grace period and a work queue.
const FREE_LIMIT: Duration = Duration::from_secs(5);

/// Frames that came in at a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Sent on by the fast path.
    pub forward: u64,
    /// Left to the bridge, by reason.
    pub punt: BTreeMap<String, u64>,
    /// Dropped, by reason.
    pub drop: BTreeMap<String, u64>,
}

impl Verdicts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.forward + self.punt.values().sum::<u64>() + self.drop.values().sum::<u64>()
    }

    /// Frames punted for this reason.
    #[must_use]
    pub fn punted(&self, reason: &str) -> u64 {
        self.punt.get(reason).copied().unwrap_or_default()
    }

    /// Frames dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: &str) -> u64 {
        self.drop.get(reason).copied().unwrap_or_default()
    }
}

/// A lab, its pins and its topology file.
#[derive(Debug)]
pub struct Site {
    /// The lab.
    pub lab: Lab,
    pins: Bpffs,
    dir: PathBuf,
    control: Control,
    /// Ids of programs of ours seen so far.
    seen: Mutex<BTreeSet<u32>>,
}

impl Site {
    /// Pins and a topology file (`text`) for a lab.
    pub fn new(lab: Lab, text: &str) -> Result<Self> {
        let pins = Bpffs::mount()?;
        let dir = Path::new(sweep::RUN_DIR).join(format!("{}-site", sweep::fresh_prefix()));
        std::fs::create_dir(&dir).map_err(|e| Error::io(format!("cannot create {}", dir.display()), e))?;
        let control = Control::new(&lab, pins.path())?;
        let site = Self { lab, pins, dir, control, seen: Mutex::default() };
        site.write(text)?;
        Ok(site)
    }

    /// The same, with a command changed by `change` (a variable, a wrapper).
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(Control) -> Control) -> Self {
        self.control = change(self.control.clone());
        self
    }

    /// Two raw machines, `a` on `vnet0` and `b` on `vnet1`, without addresses.
    pub fn pair(slow_path: SlowPath, text: &str) -> Result<Self> {
        let machines = [MachineSpec::raw("a", "vnet0"), MachineSpec::raw("b", "vnet1")];
        let builder = machines.into_iter().fold(Lab::builder(slow_path), Builder::machine);
        Self::new(builder.build()?, text)
    }

    /// Machines `a` and `b`.
    pub fn machines(&self) -> Result<(&Machine, &Machine)> {
        Ok((self.lab.machine("a")?, self.lab.machine("b")?))
    }

    /// How to call the binary.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What `--pins` names.
    #[must_use]
    pub fn pins(&self) -> &Path {
        self.pins.path()
    }

    /// The topology file.
    #[must_use]
    pub fn topology(&self) -> PathBuf {
        self.dir.join("topology.toml")
    }

    /// Replaces the topology file by renaming, as editors do.
    pub fn write(&self, text: &str) -> Result<()> {
        let (new, path) = (self.dir.join("new"), self.topology());
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
    }

    /// `run` until ready.
    pub fn start(&self) -> Result<Fastbridge> {
        let manager = self.control.start(&self.topology())?;
        self.programs()?;
        Ok(manager)
    }

    /// `run` that is expected to refuse: exit code and words.
    pub fn refused(&self) -> Result<(Option<i32>, String)> {
        self.control.ends(&["run", "--topology", &self.topology().display().to_string()])
    }

    /// What came in at a port, by verdict.
    pub fn verdicts(&self, port: &str) -> Result<Verdicts> {
        let counters = self.control.show("counters")?;
        let port = &counters["ports"][port];
        let reasons = |what: &str| -> BTreeMap<String, u64> {
            let all = port[what].as_object().into_iter().flatten();
            all.filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?))).collect()
        };
        let forward = port["forward"].as_u64().unwrap_or_default();
        Ok(Verdicts { forward, punt: reasons("punt"), drop: reasons("drop") })
    }

    /// Everything pinned, as paths below the pins directory.
    pub fn pinned(&self) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        walk(self.pins(), self.pins(), &mut found)?;
        // Every new bpffs holds these two iterators of the kernel's own (kernel/bpf/preload).
        found.retain(|path| !matches!(path.as_str(), "maps.debug" | "progs.debug"));
        Ok(found)
    }

    /// Name of a pinned link (`7-in`) to the bpf_link's id; a program pinned for a clsact filter is left out.
    pub fn link_ids(&self) -> Result<BTreeMap<String, u64>> {
        let mut ids = BTreeMap::new();
        for path in self.pinned()?.into_iter().filter(|path| path.contains("/links/")) {
            let full = self.pins().join(&path);
            if let Ok(shown) = bpftool(&["link", "show", "pinned", &full.display().to_string()]) {
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                ids.insert(name, shown["id"].as_u64().unwrap_or_default());
            }
        }
        Ok(ids)
    }

    /// Programs named like ours at interfaces of the lab's host: `vnet0 tcx/ingress` to program ids.
    pub fn programs(&self) -> Result<BTreeMap<String, Vec<u32>>> {
        let mut found = attached::programs(self.lab.host())?;
        for ids in found.values_mut() {
            ids.retain(|id| is_ours(*id));
        }
        found.retain(|_, ids| !ids.is_empty());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(found.values().flatten());
        Ok(found)
    }

    /// What is left of ours: pins, programs at interfaces, programs seen earlier that the kernel still holds. Empty after a detach.
    pub fn remains(&self) -> Result<Vec<String>> {
        let mut left: Vec<String> = self.pinned()?.into_iter().map(|path| format!("pin {path}")).collect();
        left.extend(self.programs()?.into_keys().map(|name| format!("attached {name}")));
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let alive = |id: &u32| bpftool(&["prog", "show", "id", &id.to_string()]).is_ok();
        let _still_some = run::wait_until("programs are freed", FREE_LIMIT, || !seen.iter().any(alive));
        left.extend(seen.iter().filter(|id| alive(id)).map(|id| format!("program {id}")));
        Ok(left)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        sweep::remove_dir(&self.dir);
    }
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io(format!("cannot list {}", dir.display()), e))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            walk(root, &path, found)?;
        }
        found.insert(path.strip_prefix(root).unwrap_or(&path).display().to_string());
    }
    Ok(())
}

/// Programs of other owners and those that are gone meanwhile are not.
fn is_ours(id: u32) -> bool {
    let shown = bpftool(&["prog", "show", "id", &id.to_string()]);
    shown.is_ok_and(|program| program["name"].as_str().is_some_and(|name| name.starts_with("fastbridge")))
}

fn bpftool(args: &[&str]) -> Result<Value> {
    parse(&run::run(Command::new(run::find_tool("bpftool")?).arg("-j").args(args), None)?)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::Invalid(format!("bpftool said no JSON ({e}): {text}")))
}
