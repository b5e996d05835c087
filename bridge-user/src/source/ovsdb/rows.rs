//! The rows that are kept, with the columns that are asked for. Must not interpret what a column says.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Cell, Uuid};

/// A row: all its cells by the names of their columns. A new one holds the columns' default values (RFC 7047, 5.2.1).
pub(super) trait Row: Default {
    /// Columns that older or newer schemas lack; their default stands in.
    const OPTIONAL: &'static [&'static str] = &[];

    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)>;
}

/// The one row of table Open_vSwitch.
#[derive(Debug, Default)]
pub(super) struct OpenVswitch {
    pub(super) bridges: BTreeSet<Uuid>,
    pub(super) version: Option<String>,
    pub(super) other_config: BTreeMap<String, String>,
}

impl Row for OpenVswitch {
    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![
            ("bridges", &mut self.bridges),
            ("ovs_version", &mut self.version),
            ("other_config", &mut self.other_config),
        ]
    }
}

/// A row of table Bridge.
#[derive(Debug, Default)]
pub(super) struct Bridge {
    pub(super) name: String,
    pub(super) ports: BTreeSet<Uuid>,
    pub(super) datapath_type: String,
    pub(super) other_config: BTreeMap<String, String>,
    pub(super) fail_mode: Option<String>,
    pub(super) mirrors: BTreeSet<Uuid>,
    pub(super) sflow: Option<Uuid>,
    pub(super) netflow: Option<Uuid>,
    pub(super) ipfix: Option<Uuid>,
    pub(super) stp: bool,
    pub(super) rstp: bool,
    pub(super) snooping: bool,
    pub(super) flood_vlans: BTreeSet<i64>,
}

impl Row for Bridge {
    const OPTIONAL: &'static [&'static str] = &["ipfix", "rstp_enable", "mcast_snooping_enable"];

    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![
            ("name", &mut self.name),
            ("ports", &mut self.ports),
            ("datapath_type", &mut self.datapath_type),
            ("other_config", &mut self.other_config),
            ("fail_mode", &mut self.fail_mode),
            ("mirrors", &mut self.mirrors),
            ("sflow", &mut self.sflow),
            ("netflow", &mut self.netflow),
            ("ipfix", &mut self.ipfix),
            ("stp_enable", &mut self.stp),
            ("rstp_enable", &mut self.rstp),
            ("mcast_snooping_enable", &mut self.snooping),
            ("flood_vlans", &mut self.flood_vlans),
        ]
    }
}

/// A row of table Port.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) interfaces: BTreeSet<Uuid>,
    pub(super) tag: Option<i64>,
    pub(super) trunks: BTreeSet<i64>,
    pub(super) vlan_mode: Option<String>,
    pub(super) other_config: BTreeMap<String, String>,
    pub(super) qos: Option<Uuid>,
    pub(super) protected: bool,
}

impl Row for Port {
    const OPTIONAL: &'static [&'static str] = &["protected"];

    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![
            ("name", &mut self.name),
            ("interfaces", &mut self.interfaces),
            ("tag", &mut self.tag),
            ("trunks", &mut self.trunks),
            ("vlan_mode", &mut self.vlan_mode),
            ("other_config", &mut self.other_config),
            ("qos", &mut self.qos),
            ("protected", &mut self.protected),
        ]
    }
}

/// A row of table Interface.
#[derive(Debug, Default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) ifindex: Option<i64>,
    pub(super) ofport: Option<i64>,
    pub(super) error: Option<String>,
    /// Kilobits a second.
    pub(super) policing_rate: i64,
    /// Kilopackets a second.
    pub(super) policing_packets: i64,
    pub(super) bfd: BTreeMap<String, String>,
}

impl Row for Interface {
    const OPTIONAL: &'static [&'static str] = &["ingress_policing_kpkts_rate"];

    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![
            ("name", &mut self.name),
            ("type", &mut self.kind),
            ("ifindex", &mut self.ifindex),
            ("ofport", &mut self.ofport),
            ("error", &mut self.error),
            ("ingress_policing_rate", &mut self.policing_rate),
            ("ingress_policing_kpkts_rate", &mut self.policing_packets),
            ("bfd", &mut self.bfd),
        ]
    }
}

/// A row of table Mirror.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) name: String,
}

impl Row for Mirror {
    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![("name", &mut self.name)]
    }
}

/// A row of table QoS.
#[derive(Debug, Default)]
pub(super) struct Qos {
    pub(super) kind: String,
}

impl Row for Qos {
    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![("type", &mut self.kind)]
    }
}

/// A row of table NetFlow, sFlow or IPFIX.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    pub(super) targets: BTreeSet<String>,
}

impl Row for Sampling {
    fn cells(&mut self) -> Vec<(&'static str, &mut dyn Cell)> {
        vec![("targets", &mut self.targets)]
    }
}
