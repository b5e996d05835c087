//! `show status`: the whole of one bridge in a few lines.

use std::fmt::Write as _;

use serde::Serialize;

use super::printable;
use crate::{
    dataplane::notes::LibvirtNote,
    metrics::{MapFill, Reconcile, Snapshot},
};

/// `show status --json`, and the source of its text.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    bridge: &'a str,
    slow_path: &'a str,
    version: &'a str,
    abi: &'a str,
    generation: u64,
    manager_alive: bool,
    heartbeat_age_seconds: Option<f64>,
    reconcile: Option<&'a Reconcile>,
    ports: usize,
    attached: usize,
    eligible: usize,
    unpoliced: &'a [String],
    static_stations: u64,
    learned_stations: u64,
    flows: u64,
    fdb_full: u64,
    maps: &'a [MapFill],
    #[serde(skip_serializing_if = "Option::is_none")]
    libvirt: Option<&'a LibvirtNote>,
    remarks: &'a [String],
}

/// What a snapshot comes down to.
pub fn status(snapshot: &Snapshot) -> Status<'_> {
    Status {
        bridge: &snapshot.bridge,
        slow_path: &snapshot.slow_path,
        version: &snapshot.build.version,
        abi: &snapshot.build.abi,
        generation: snapshot.generation,
        manager_alive: snapshot.manager_alive(),
        heartbeat_age_seconds: snapshot.heartbeat_age_seconds,
        reconcile: snapshot.reconcile.as_ref(),
        ports: snapshot.ports.len(),
        attached: snapshot.ports.iter().filter(|port| port.attached).count(),
        eligible: snapshot.ports.iter().filter(|port| port.eligible).count(),
        unpoliced: &snapshot.unpoliced_ports,
        static_stations: snapshot.static_stations,
        learned_stations: snapshot.ports.iter().map(|port| port.stations).sum(),
        flows: snapshot.flows,
        fdb_full: snapshot.fdb_full,
        maps: &snapshot.maps,
        libvirt: snapshot.libvirt.as_ref(),
        remarks: &snapshot.remarks,
    }
}

impl Status<'_> {
    /// The lines of `show status`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.lines() {
            // A String takes every write.
            let _ = writeln!(text, "{name:<12} {}", printable(&value));
        }
        text
    }

    fn lines(&self) -> Vec<(&str, String)> {
        let mut lines = vec![
            ("bridge", format!("{} ({})", self.bridge, self.slow_path)),
            ("version", format!("{}, map layouts {}", self.version, self.abi)),
            ("manager", self.manager()),
        ];
        if let Some(reconcile) = self.reconcile {
            lines.push(("reconcile", format!("{}, {} failures", reconcile.state.name(), reconcile.failures)));
        }
        lines.extend([
            ("policy", self.policy()),
            ("ports", format!("{}: {} attached, {} eligible", self.ports, self.attached, self.eligible)),
            ("stations", format!("{} static, {} learned", self.static_stations, self.learned_stations)),
            ("flows", self.flows.to_string()),
        ]);
        lines.extend(self.libvirt.map(|libvirt| ("libvirt", libvirt.words())));
        if !self.unpoliced.is_empty() {
            lines.push(("unpoliced", self.unpoliced.join(", ")));
        }
        for map in self.maps {
            lines.push(("map", format!("{}: {} of {} entries", map.name, map.used, map.capacity)));
        }
        if self.fdb_full > 0 {
            lines.push(("fdb full", format!("{} stations found no room; raise [limits] stations", self.fdb_full)));
        }
        lines.extend(self.remarks.iter().map(|remark| ("note", remark.clone())));
        lines
    }

    fn manager(&self) -> String {
        match self.heartbeat_age_seconds {
            Some(age) if self.manager_alive => format!("alive, heartbeat {age:.1} s ago"),
            Some(age) => {
                format!("gone: last heartbeat {age:.1} s ago; the slow path carries every frame, the policy holds")
            }
            None => "stopped: the slow path carries every frame, the policy holds".into(),
        }
    }

    fn policy(&self) -> String {
        match self.generation {
            0 => "not loaded: every frame is dropped as not-ready".into(),
            generation => format!("generation {generation}"),
        }
    }
}
