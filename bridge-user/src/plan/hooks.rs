//! A port's programs, and the one flag that must follow them: `PORT_TC_BEHIND`.
//!
//! With the flag XDP leaves what it does not finish to TC ingress, unjudged; without it XDP judges everything. So it
//! may be set beside an XDP program only while TC ingress is there, and it should be set while both are there, or
//! frames would count twice.

use std::collections::BTreeSet;

use bridge_common::abi::{self, Port};

use super::{Op, Planner};
use crate::desired::{DesiredPort, HookPoint};

/// What `PORT_TC_BEHIND` must be while the programs are as in any of `states`; `None`: it does not matter.
pub(super) fn leans(states: &[BTreeSet<HookPoint>]) -> Option<bool> {
    let xdp = || states.iter().filter(|points| points.contains(&HookPoint::Xdp));
    if xdp().any(|points| !points.contains(&HookPoint::TcIngress)) { Some(false) } else { xdp().next().map(|_| true) }
}

/// `port` with `PORT_TC_BEHIND` as [`leans`] says.
pub(super) fn leaning(port: Port, states: &[BTreeSet<HookPoint>]) -> Port {
    match leans(states) {
        Some(true) => Port { flags: port.flags | abi::PORT_TC_BEHIND, ..port },
        Some(false) => Port { flags: port.flags & !abi::PORT_TC_BEHIND, ..port },
        None => port,
    }
}

impl Planner<'_> {
    /// Where programs of ours sit at the interface.
    pub(super) fn points(&self, ifindex: u32) -> BTreeSet<HookPoint> {
        HookPoint::ALL.into_iter().filter(|point| self.attached.contains(&(ifindex, *point))).collect()
    }

    /// Brings the programs to what the port's hook wants; the entry is `staged` meanwhile.
    ///
    /// New programs come before old ones go, so that some program judges at every moment. Except beside OVS's userspace
    /// datapath: there TC ingress goes first, because it polices nothing (OVS's socket has the frame before it) and
    /// what it forwards arrives twice.
    pub(super) fn set_hooks(&mut self, slot: u16, wanted: &DesiredPort, staged: Port) {
        let ifindex = wanted.port.ifindex;
        let here = self.points(ifindex);
        let missing = HookPoint::ALL.into_iter().filter(|p| wanted.hook.wants(*p) && !here.contains(p));
        let extra = HookPoint::ALL.into_iter().rev().filter(|p| !wanted.hook.wants(*p) && here.contains(p));
        let steps: Vec<HookPoint> = if !wanted.hook.wants(HookPoint::TcIngress) {
            extra.chain(missing).collect()
        } else {
            missing.chain(extra).collect()
        };
        for point in steps {
            self.toggle(slot, wanted, staged, point);
        }
    }

    fn toggle(&mut self, slot: u16, wanted: &DesiredPort, staged: Port, point: HookPoint) {
        let ifindex = wanted.port.ifindex;
        let before = self.points(ifindex);
        let attach = self.attached.insert((ifindex, point));
        if !attach {
            self.attached.remove(&(ifindex, point));
        }
        let after = self.points(ifindex);
        self.set_port(slot, leaning(staged, &[before, after]));
        self.ops.push(if attach {
            Op::Attach { slot, ifindex, name: wanted.name.clone(), point }
        } else {
            Op::Detach { slot, ifindex, point }
        });
    }
}
