//! From replica to snapshot: one bridge, and why it or a port of it must be left to Open vSwitch. Pure.

use super::OvsdbError;
use super::rows::{Bridge, Interface, Port, Replica};
use crate::source::{OvsBridge, OvsInterface, OvsSnapshot};

/// vswitch.xml, `other_config:mac-aging-time`.
const DEFAULT_AGEING: u32 = 300;

/// The bridge of this name with all its interfaces, and the names of all others'. A reference to a row that was never
/// told is an error.
pub(super) fn snapshot(replica: &Replica, name: &str) -> Result<OvsSnapshot, OvsdbError> {
    let mut found = None;
    let mut elsewhere = Vec::new();
    for (uuid, bridge) in &replica.bridges {
        let mut interfaces = interfaces(replica, uuid, bridge)?;
        if bridge.name != name {
            elsewhere.extend(interfaces.into_iter().map(|interface| interface.name));
            continue;
        }
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        found = Some(OvsBridge {
            userspace: bridge.datapath_type == "netdev",
            ageing_time: ageing_time(bridge),
            interfaces,
            ineligible: of_bridge(bridge),
        });
    }
    elsewhere.sort();
    Ok(OvsSnapshot { bridge: found, elsewhere })
}

fn interfaces(replica: &Replica, uuid: &str, bridge: &Bridge) -> Result<Vec<OvsInterface>, OvsdbError> {
    let mut interfaces = Vec::new();
    for reference in &bridge.ports {
        let port = replica.ports.get(reference).ok_or_else(|| dangling("Bridge", uuid, "port", reference))?;
        for interface in &port.interfaces {
            let found = replica.interfaces.get(interface);
            let found = found.ok_or_else(|| dangling("Port", reference, "interface", interface))?;
            interfaces.push(ovs_interface(&bridge.name, port, found));
        }
    }
    Ok(interfaces)
}

fn dangling(table: &'static str, row: &str, what: &str, reference: &str) -> OvsdbError {
    OvsdbError::Row { table, row: row.into(), what: format!("refers to {what} {reference}, which was not sent") }
}

/// ovs-vswitchd reads it with atoi, takes 300 for 0 (vswitchd/bridge.c `bridge_configure_mac_table`), and keeps it, as an unsigned number, within 15
/// and 3600 (lib/mac-learning.c `normalize_idle_time`).
fn ageing_time(bridge: &Bridge) -> u32 {
    match bridge.other_config.get("mac-aging-time").map_or(0, |text| atoi(text)) {
        0 => DEFAULT_AGEING,
        seconds => (seconds as u32).clamp(15, 3600),
    }
}

/// What C makes of the number at the start of a text; 0 if there is none.
fn atoi(text: &str) -> i32 {
    let text = text.trim_start();
    let sign = text.starts_with(['+', '-']) as usize;
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().unwrap_or(0)
}

fn of_bridge(bridge: &Bridge) -> Vec<String> {
    let mut reasons = Vec::new();
    if !matches!(bridge.datapath_type.as_str(), "" | "system" | "netdev") {
        reasons.push(format!("datapath_type \"{}\" is not known", bridge.datapath_type));
    }
    reasons.extend(bridge.records.iter().map(|column| {
        String::from(match *column {
            "mirrors" => "the bridge mirrors traffic (column mirrors)",
            "sflow" => "the bridge samples traffic for sFlow",
            "netflow" => "the bridge counts traffic for NetFlow",
            _ => "the bridge samples traffic for IPFIX",
        })
    }));
    reasons.extend(bridge.enabled.iter().map(|column| {
        String::from(match *column {
            "stp_enable" => "the bridge runs STP (stp_enable)",
            "rstp_enable" => "the bridge runs RSTP (rstp_enable)",
            _ => "the bridge snoops multicast (mcast_snooping_enable)",
        })
    }));
    if bridge.fail_mode.as_deref() == Some("secure") {
        reasons.push("fail_mode is secure: only a controller's flows may forward".into());
    }
    if bridge.flood_vlans {
        reasons.push("the bridge floods some VLANs without learning (flood_vlans)".into());
    }
    reasons
}

fn ovs_interface(bridge: &str, port: &Port, interface: &Interface) -> OvsInterface {
    let local = interface.name == bridge;
    OvsInterface {
        name: interface.name.clone(),
        kind: if local { "internal".into() } else { interface.kind.clone() },
        ifindex: interface.ifindex.and_then(|n| u32::try_from(n).ok()).filter(|&n| n != 0),
        // -1: could not be added to the datapath; OFPP_MAX is 0xff00, OFPP_LOCAL 0xfffe (OpenFlow 1.0, 5.2.1).
        ofport: interface.ofport.and_then(|n| u16::try_from(n).ok()).filter(|&n| matches!(n, 1..0xff00 | 0xfffe)),
        vlan: crate::source::PortVlan::PLAIN,
        ineligible: of_port(local, port, interface),
    }
}

fn of_port(local: bool, port: &Port, interface: &Interface) -> Vec<String> {
    let mut reasons = Vec::new();
    if local {
        reasons.push("it is the bridge's own interface".into());
    }
    if port.interfaces.len() > 1 {
        reasons.push(format!("it is one of {} interfaces of bond {}", port.interfaces.len(), port.name));
    }
    if !matches!(interface.kind.as_str(), "" | "system" | "afxdp" | "tap" | "internal") {
        reasons.push(format!("Open vSwitch alone serves interfaces of type {}", interface.kind));
    }
    if let Some(tag) = port.tag {
        reasons.push(format!("the port is in VLAN {tag} (tag)"));
    }
    if port.trunks > 0 {
        reasons.push("the port carries only some VLANs (trunks)".into());
    }
    if let Some(mode) = &port.vlan_mode {
        reasons.push(format!("the port's vlan_mode is {mode}"));
    }
    if interface.policing != 0 {
        reasons.push(format!(
            "Open vSwitch limits what it may send to {} kbit/s or kpkt/s (ingress policing)",
            interface.policing
        ));
    }
    if port.qos {
        reasons.push("the port has a QoS record".into());
    }
    if port.protected {
        reasons.push("the port is protected".into());
    }
    reasons
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    /// A bridge with a bond, an access port and a plain port, as ovsdb-server writes it, after `edit`.
    fn replica(edit: impl Fn(&mut Value)) -> Replica {
        let none = json!(["set", []]);
        let port = |name: &str, interfaces: Value, tag: Value| json!({"new": {"name": name, "interfaces": interfaces, "tag": tag, "trunks": none, "vlan_mode": none, "qos": none, "protected": false}});
        let interface = |name: &str, kind: &str, ofport: i64| json!({"new": {"name": name, "type": kind, "ifindex": 7, "ofport": ofport, "ingress_policing_rate": 0}});
        let mut rows = json!({
            "Bridge": {"b": {"new": {
                "name": "br0", "ports": ["set", [["uuid", "p0"], ["uuid", "p1"], ["uuid", "p2"], ["uuid", "p3"]]], "datapath_type": "netdev",
                "other_config": ["map", [["mac-aging-time", "60"]]], "mirrors": none, "sflow": none, "netflow": none, "ipfix": none,
                "fail_mode": none, "stp_enable": false, "rstp_enable": false, "mcast_snooping_enable": false, "flood_vlans": none}}},
            "Port": {
                "p0": port("br0", json!(["uuid", "i0"]), none.clone()), "p1": port("vnet1", json!(["uuid", "i1"]), none.clone()),
                "p2": port("vnet2", json!(["uuid", "i2"]), json!(10)),
                "p3": port("bond0", json!(["set", [["uuid", "i3"], ["uuid", "i4"]]]), none.clone())},
            "Interface": {
                "i0": interface("br0", "internal", 65534), "i1": interface("vnet1", "", 1), "i2": interface("vnet2", "system", -1),
                "i3": interface("eno1", "", 3), "i4": interface("vx0", "vxlan", 4)}
        });
        edit(&mut rows);
        let mut replica = Replica::default();
        replica.apply(&rows).unwrap();
        replica
    }

    fn shown(edit: impl Fn(&mut Value)) -> OvsBridge {
        snapshot(&replica(edit), "br0").unwrap().bridge.unwrap()
    }

    #[test]
    fn a_bridge_with_all_its_interfaces_and_why_some_are_left_alone() {
        let bridge = shown(|_| {});
        assert!(bridge.userspace && bridge.ageing_time == 60 && bridge.ineligible.is_empty(), "{bridge:?}");
        let said: Vec<_> =
            bridge.interfaces.iter().map(|i| (i.name.as_str(), i.ofport, i.ineligible.join("; "))).collect();
        let bond = "it is one of 2 interfaces of bond bond0";
        assert_eq!(
            said,
            [
                ("br0", Some(65534), "it is the bridge's own interface".into()),
                ("eno1", Some(3), bond.into()),
                ("vnet1", Some(1), String::new()),
                ("vnet2", None, "the port is in VLAN 10 (tag)".into()),
                ("vx0", Some(4), format!("{bond}; Open vSwitch alone serves interfaces of type vxlan")),
            ]
        );
        assert_eq!(bridge.interfaces[0].kind, "internal");
        assert_eq!(snapshot(&replica(|_| {}), "br1").unwrap().bridge, None);
    }

    #[test]
    fn each_thing_that_we_cannot_do_identically_is_a_reason() {
        let row = || json!(["uuid", "x"]);
        for (table, uuid, column, value) in [
            ("Bridge", "b", "mirrors", row()),
            ("Bridge", "b", "sflow", row()),
            ("Bridge", "b", "netflow", row()),
            ("Bridge", "b", "ipfix", row()),
            ("Bridge", "b", "stp_enable", json!(true)),
            ("Bridge", "b", "rstp_enable", json!(true)),
            ("Bridge", "b", "mcast_snooping_enable", json!(true)),
            ("Bridge", "b", "fail_mode", json!("secure")),
            ("Bridge", "b", "flood_vlans", json!(7)),
            ("Bridge", "b", "datapath_type", json!("odd")),
            ("Port", "p1", "tag", json!(1)),
            ("Port", "p1", "trunks", json!(["set", [1, 2]])),
            ("Port", "p1", "vlan_mode", json!("access")),
            ("Port", "p1", "qos", row()),
            ("Port", "p1", "protected", json!(true)),
            ("Interface", "i1", "type", json!("patch")),
            ("Interface", "i1", "ingress_policing_rate", json!(1000)),
            ("Interface", "i1", "ingress_policing_kpkts_rate", json!(1)),
        ] {
            let bridge = shown(|rows| rows[table][uuid]["new"][column] = value.clone());
            let vnet1 = bridge.interfaces.iter().find(|i| i.name == "vnet1").unwrap();
            let (here, there) = if table == "Bridge" {
                (&bridge.ineligible, &vnet1.ineligible)
            } else {
                (&vnet1.ineligible, &bridge.ineligible)
            };
            assert_eq!((here.len(), there.len()), (1, 0), "{column}: {bridge:?}");
        }
        assert!(shown(|rows| rows["Bridge"]["b"]["new"]["fail_mode"] = json!("standalone")).ineligible.is_empty());
    }

    #[test]
    fn ageing_is_what_vswitchd_makes_of_the_text() {
        for (text, seconds) in
            [("0", 300), ("", 300), ("x", 300), ("1", 15), ("20s", 20), (" 99999", 3600), ("-1", 3600), ("+30", 30)]
        {
            let bridge =
                shown(|rows| rows["Bridge"]["b"]["new"]["other_config"] = json!(["map", [["mac-aging-time", text]]]));
            assert_eq!(bridge.ageing_time, seconds, "{text}");
        }
        assert_eq!(shown(|rows| rows["Bridge"]["b"]["new"]["other_config"] = json!(["map", []])).ageing_time, 300);
    }

    #[test]
    fn a_reference_to_a_row_never_sent_is_an_error() {
        for (table, uuid) in [("Port", "p1"), ("Interface", "i3")] {
            let replica = replica(|rows| {
                rows[table].as_object_mut().unwrap().remove(uuid);
            });
            assert!(snapshot(&replica, "br0").is_err());
        }
    }
}
