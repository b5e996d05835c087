//! What is noted beside the maps for `show` and for the next manager.

use super::round::Manager;
use crate::{
    dataplane::notes::{LimitsNote, Notes, PortNote},
    desired::{DesiredPort, Hook, SlowPathKind},
    mac, metrics,
};

impl Manager {
    /// Names and words of this moment.
    pub(super) fn notes(&self) -> Notes {
        let slots = self.executor.slots();
        let port = |(ifindex, port): (&u32, &DesiredPort)| Some((*slots.get(ifindex)?, self.port_note(*ifindex, port)));
        let name = |mac: [u8; 6], name: &str| (mac::format(mac), name.to_owned());
        let guests = self.guests.iter().filter_map(|told| told.snapshot.as_deref()).flat_map(|told| &told.interfaces);
        // The file's names come last and win.
        let stations = guests
            .map(|guest| name(guest.mac, &guest.domain))
            .chain(self.topology.stations.iter().map(|station| name(station.mac, &station.name)));
        Notes {
            version: env!("CARGO_PKG_VERSION").into(),
            bridge: self.desired.bridge.clone(),
            slow_path: slow_path_name(self.desired.slow_path).into(),
            ports: self.desired.ports.iter().filter_map(port).collect(),
            rule_ids: self.lowered.rule_ids.clone(),
            stations: stations.collect(),
            policy: Some(self.topology.policy.clone()),
            unpoliced: self.desired.unpoliced.iter().map(|port| port.name.clone()).collect(),
            remarks: self.remarked.clone(),
            libvirt: self.guests.as_ref().map(|told| told.note.clone()),
            limits: Some(LimitsNote::from(&self.topology.limits)),
        }
    }

    fn port_note(&self, ifindex: u32, port: &DesiredPort) -> PortNote {
        PortNote {
            name: port.name.clone(),
            ifindex,
            hook: hook_name(port.hook).name().into(),
            uplink: port.port.station_limit == u32::MAX,
            vlan: port.vlan.as_ref().map(ToString::to_string).unwrap_or_default(),
            attached: self.is_attached(ifindex, port),
            reasons: port.ineligible.clone(),
            before_attach: self.before_attach.get(&ifindex).copied().unwrap_or_default(),
        }
    }
}

fn slow_path_name(kind: SlowPathKind) -> &'static str {
    match kind {
        SlowPathKind::Linux => "linux",
        SlowPathKind::OvsKernel => "ovs",
        SlowPathKind::OvsUserspace => "ovs-userspace",
    }
}

fn hook_name(hook: Hook) -> metrics::Hook {
    match hook {
        Hook::Tc => metrics::Hook::Tc,
        Hook::XdpTc => metrics::Hook::XdpTc,
        Hook::XdpEgress | Hook::XdpWatched => metrics::Hook::Xdp,
    }
}
