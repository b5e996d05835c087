//! A snapshot in which every kind of value is there, for the tests of the page and of the tables.

use bridge_common::abi::{Cell, Counted, Drop, PortCounters, Punt};

use super::{Build, Hook, MapFill, Port, PortTallies, Reconcile, ReconcileState, RuleCount, Snapshot, Tally};

/// The counters of design section 5's example.
pub(crate) fn counters() -> PortCounters {
    let mut counters = PortCounters::default();
    for (counted, packets, bytes) in [
        (Counted::Forward, 9, 576),
        (Counted::Punt(Punt::Multicast), 2, 128),
        (Counted::Drop(Drop::Policy), 1, 64),
        (Counted::EgressPass, 3, 192),
        (Counted::EgressDrop(Drop::Policy), 1, 64),
    ] {
        counters.cells[counted.cell()] = Cell { packets, bytes };
    }
    counters
}

/// One eligible port with those counters, and one that is not eligible and never counted.
pub(crate) fn snapshot() -> Snapshot {
    let port = |name: &str, ifindex| Port {
        name: name.into(),
        ifindex,
        hook: Hook::Tc,
        uplink: false,
        attached: true,
        eligible: true,
        reasons: Vec::new(),
        vlan: "access 10".into(),
        tallies: PortTallies::from(&counters()),
        stations: 1,
        before_attach: 0,
    };
    let uplink = Port {
        hook: Hook::XdpTc,
        uplink: true,
        eligible: false,
        reasons: vec!["it is a bond".into(), "QoS is set".into()],
        vlan: String::new(),
        tallies: PortTallies::from(&PortCounters::default()),
        stations: 7,
        before_attach: 4,
        ..port("eno1", 2)
    };
    let rule = |id: &str, packets, bytes| RuleCount { id: id.into(), tally: Tally { packets, bytes } };
    Snapshot {
        remarks: vec!["a remark".into()],
        build: Build { version: "0.1.0".into(), abi: "5f0c".into() },
        bridge: "br0".into(),
        slow_path: "ovs".into(),
        generation: 3,
        heartbeat_age_seconds: Some(0.5),
        reconcile: Some(Reconcile { state: ReconcileState::InSync, last_success_age_seconds: Some(0.25), failures: 1 }),
        ports: vec![port("vnet3", 7), uplink],
        rules: vec![rule("internal-lan", 9, 576), rule("default", 1, 64)],
        static_stations: 2,
        flows: 5,
        maps: vec![
            MapFill { name: "FDB", used: 10, capacity: 65_536 },
            MapFill { name: "FLOWS", used: 5, capacity: 131_072 },
        ],
        unpoliced_ports: vec!["afx0".into()],
        fdb_full: 0,
        libvirt: None,
    }
}
