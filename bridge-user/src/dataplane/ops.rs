//! Carrying out one op on the real maps and links, and keeping the executor's mirror true.

use std::sync::Arc;

use aya::maps::{MapError, xdp::XdpMapError};
use bridge_common::abi::{
    Control, OWN_DEVICE, PORT_PVID_TAGGED, PORT_RUNNING, PORT_VLAN_ACCESS, PORT_VLAN_AWARE, PORT_VLAN_LISTED, Port,
    Station, StationKey, VlanSet, maps,
};

use super::{Pod, error::DataplaneError, executor::Executor, links, maps::failed};
use crate::{
    desired::HookPoint,
    plan::{Actual, Op, StationEntry},
    policy::lowered::Lowered,
    reconcile::{Fault, Kernel},
};

impl Executor {
    pub(super) fn detach(&mut self, ifindex: u32, point: HookPoint) -> Result<(), DataplaneError> {
        if let Some((attachment, _)) = self.links.remove(&(ifindex, point)) {
            links::detach(&self.pins.link(ifindex, point), ifindex, attachment, point)?;
        }
        self.mirror.attached.remove(&(ifindex, point));
        Ok(())
    }

    /// Gives up links that are no longer ours; whether there were any.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn bury(&mut self) -> Result<bool, DataplaneError> {
        let alive =
            |&(ifindex, point): &_, link| links::is_alive(link, &self.pins.link(ifindex, point), ifindex, point);
        let dead: Vec<_> =
            self.links.iter().filter(|(key, (link, _))| !alive(key, link)).map(|(key, _)| *key).collect();
        for &(ifindex, point) in &dead {
            // The interface is gone, or somebody detached us. Either way nothing of ours sits there.
            self.detach(ifindex, point)?;
        }
        Ok(!dead.is_empty())
    }

    fn attach(&mut self, ifindex: u32, name: &str, point: HookPoint) -> Result<(), Fault<DataplaneError>> {
        let old = self.links.remove(&(ifindex, point)).map(|(attachment, _)| attachment);
        let attached = links::attach(&mut self.ebpf, &self.pins, (ifindex, name), point, old).inspect_err(|_| {
            let path = self.pins.link(ifindex, point);
            // What could not be updated is still there, or has gone with its interface and left its pin.
            match links::find(&path, ifindex, point) {
                Some(found) => _ = self.links.insert((ifindex, point), (found, false)),
                None => links::bury(&path),
            }
        })?;
        self.links.insert((ifindex, point), (attached, true));
        self.mirror.attached.insert((ifindex, point));
        Ok(())
    }

    fn publish(&mut self, generation: u32, policy: &Arc<Lowered>) -> Result<(), DataplaneError> {
        let before = self.mirror.policy.as_ref().map(|(_, policy)| policy.rule_ids.clone()).unwrap_or_default();
        for (slot, id) in policy.rule_ids.iter().enumerate() {
            let held = before.get(slot).and_then(Option::as_ref);
            // A slot that was free may hold what a removed rule counted.
            if id.is_some() && held != id.as_ref() {
                self.maps.zero_rule(slot as u32)?;
            }
        }
        self.maps.publish(generation, policy, &self.limits)?;
        self.mirror.policy = Some((generation, Arc::clone(policy)));
        Ok(())
    }

    fn put_station(&mut self, key: StationKey, entry: StationEntry) -> Result<(), DataplaneError> {
        let old = self.maps.fdb.get(&Pod(key), 0).ok().map(|station| station.0);
        let same_port = old.is_some_and(|old| old.port == entry.port);
        let seen_ns = old.filter(|_| same_port).map_or(0, |old| old.seen_ns);
        let station = Station { seen_ns, port: entry.port, flags: entry.flags, pad: 0 };
        self.maps.fdb.insert(Pod(key), Pod(station), 0).map_err(full(maps::FDB, "stations"))?;
        if let Some(old) = old.filter(Station::is_learned) {
            self.maps.give_back(old.port, 1, 0)?;
        }
        self.mirror.contradicted |= self.mirror.stations.insert(key, entry) != Some(entry);
        Ok(())
    }

    fn set_port(&mut self, slot: u16, port: Port) -> Result<(), DataplaneError> {
        self.maps.ports.set(u32::from(slot), Pod(port), 0).map_err(failed(maps::PORTS))?;
        let old = self.mirror.ports.get(&slot).copied().unwrap_or_default();
        // A Linux bridge forgets the stations of a port that goes down, and floods once it is back. Forgetting is
        // right beside Open vSwitch too, which remembers them: the frames go to it.
        let went_down = old.is(PORT_RUNNING) && !port.is(PORT_RUNNING);
        // Open vSwitch forgets the stations of a port whose VLANs change (ofproto/ofproto-dpif.c `bundle_set`).
        if went_down || old != Port::default() && vlans_of(&old) != vlans_of(&port) {
            self.maps.purge_stations(slot)?;
        }
        if port == Port::default() {
            self.mirror.ports.remove(&slot)
        } else {
            self.mirror.ports.insert(slot, port)
        };
        Ok(())
    }

    fn set_vlans(&mut self, slot: u16, vlans: &VlanSet) -> Result<(), DataplaneError> {
        self.maps.vlans.set(u32::from(slot), Pod(*vlans), 0).map_err(failed(maps::VLANS))?;
        self.maps.purge_stations(slot)?;
        if *vlans == VlanSet::EMPTY {
            self.mirror.vlans.remove(&slot);
        } else {
            self.mirror.vlans.insert(slot, *vlans);
        }
        Ok(())
    }

    fn set_control(&mut self, word: Control, value: u64) -> Result<(), DataplaneError> {
        self.maps.set_control(word, value)?;
        let words = &mut self.mirror.control;
        match word {
            Control::AgeingNs => words.ageing_ns = value,
            Control::Flags => words.flags = value,
            _ => {}
        }
        Ok(())
    }

    /// Whatever it was before, it is only this now. A manager that dies in between leaves nothing that contradicts the hash, which
    /// the next one reads.
    fn set_interface(&mut self, ifindex: u32, word: u32) -> Result<(), DataplaneError> {
        self.maps.set_near(ifindex, 0)?;
        self.maps.slots.insert(ifindex, word, 0).map_err(full(maps::SLOTS, "ports"))?;
        self.maps.set_near(ifindex, word)?;
        self.mirror.slots.remove(&ifindex);
        self.mirror.own.remove(&ifindex);
        Ok(())
    }

    fn clear_interface(&mut self, ifindex: u32) -> Result<(), DataplaneError> {
        // First: what is 0 there is looked up in the other one.
        self.maps.set_near(ifindex, 0)?;
        absent_is_fine(self.maps.slots.remove(&ifindex)).map_err(failed(maps::SLOTS))?;
        self.mirror.slots.remove(&ifindex);
        self.mirror.own.remove(&ifindex);
        Ok(())
    }

    fn forget(&mut self, slot: u16) -> Result<(), DataplaneError> {
        grace_period();
        self.maps.purge(slot)?;
        self.maps.beside.set(u32::from(slot), 0, 0).map_err(failed(maps::BESIDE))?;
        self.beside_at = None;
        self.maps.zero_counters(slot)
    }

    fn execute(&mut self, op: &Op) -> Result<(), DataplaneError> {
        match op {
            Op::SetControl(word, value) => self.set_control(*word, *value)?,
            Op::PublishPolicy { generation, policy } => self.publish(*generation, policy)?,
            Op::SetPort { slot, port } => self.set_port(*slot, *port)?,
            Op::SetVlans { slot, vlans } => self.set_vlans(*slot, vlans)?,
            Op::MapIfindex { slot, ifindex } => {
                self.set_interface(*ifindex, u32::from(*slot))?;
                self.mirror.slots.insert(*ifindex, *slot);
            }
            Op::MarkOwn { ifindex, .. } => {
                self.set_interface(*ifindex, OWN_DEVICE)?;
                self.mirror.own.insert(*ifindex);
            }
            Op::UnmapIfindex { ifindex, .. } | Op::UnmarkOwn { ifindex } => self.clear_interface(*ifindex)?,
            Op::Detach { ifindex, point, .. } => self.detach(*ifindex, *point)?,
            Op::ClearTarget { slot } => {
                // ifindex 0 empties the entry (dev_map_update_elem in kernel/bpf/devmap.c).
                self.put_target(*slot, 0)?;
                self.mirror.targets.remove(slot);
            }
            Op::PutStation { key, station } => self.put_station(*key, *station)?,
            Op::ForgetContradicted => {
                self.maps.purge_contradicted(&self.mirror.stations)?;
                self.mirror.contradicted = false;
            }
            Op::RemoveStation { key, .. } => {
                absent_is_fine(self.maps.fdb.remove(&Pod(*key))).map_err(failed(maps::FDB))?;
                self.mirror.stations.remove(key);
            }
            Op::PutGuard(key) => {
                self.maps.guard.insert(Pod(*key), 1, 0).map_err(failed(maps::GUARD))?;
                self.mirror.guard.insert(*key);
            }
            Op::RemoveGuard(key) => {
                absent_is_fine(self.maps.guard.remove(&Pod(*key))).map_err(failed(maps::GUARD))?;
                self.mirror.guard.remove(key);
            }
            Op::ForgetPort { slot } => self.forget(*slot)?,
            Op::Attach { .. } | Op::SetTarget { .. } => {}
        }
        Ok(())
    }

    fn set_target(&mut self, slot: u16, ifindex: u32) -> Result<(), Fault<DataplaneError>> {
        match self.put_target(slot, ifindex) {
            Ok(()) => {
                self.mirror.targets.insert(slot, ifindex);
                Ok(())
            }
            // dev_map_update_elem in kernel/bpf/devmap.c: no such device.
            Err(DataplaneError::Map { error, .. }) if map_errno(&error) == Some(libc::EINVAL) => {
                Err(Fault::Gone(ifindex))
            }
            Err(error) => Err(Fault::Failed(error)),
        }
    }

    fn put_target(&mut self, slot: u16, ifindex: u32) -> Result<(), DataplaneError> {
        self.maps.targets.set(u32::from(slot), ifindex, None, 0).map_err(|error| match error {
            XdpMapError::MapError(error) => failed(maps::TARGETS)(error),
            other => DataplaneError::Notes(other.to_string()),
        })
    }
}

impl Kernel for Executor {
    type Error = DataplaneError;

    fn observe(&mut self) -> Result<Actual, DataplaneError> {
        self.bury()?;
        Ok(self.mirror.clone())
    }

    fn apply(&mut self, op: &Op) -> Result<(), Fault<DataplaneError>> {
        let done = match op {
            Op::Attach { ifindex, name, point, .. } => self.attach(*ifindex, name, *point),
            Op::SetTarget { slot, ifindex } => self.set_target(*slot, *ifindex),
            other => self.execute(other).map_err(Fault::Failed),
        };
        // Also after a failure: it may have changed something.
        let raised = self.raise_epoch().map_err(Fault::Failed);
        done.and(raised)
    }
}

/// What a port's entry says of VLANs.
fn vlans_of(port: &Port) -> (u32, u16) {
    (port.flags & (PORT_VLAN_AWARE | PORT_VLAN_ACCESS | PORT_VLAN_LISTED | PORT_PVID_TAGGED), port.pvid)
}

/// Waits until no program that runs now still runs.
fn grace_period() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers. Where the call is missing, the map operations before it have waited already in practice.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(call)) if call.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn map_errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(call) => call.io_error.raw_os_error(),
        _ => None,
    }
}

fn full(map: &'static str, limit: &'static str) -> impl FnOnce(MapError) -> DataplaneError {
    move |error| match map_errno(&error) {
        Some(libc::E2BIG | libc::ENOSPC) => DataplaneError::Full { map, limit },
        _ => failed(map)(error),
    }
}
