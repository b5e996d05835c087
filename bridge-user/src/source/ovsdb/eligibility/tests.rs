#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

/// A bridge with a bond, an access port and a plain port, as ovsdb-server writes it, after `edit`.
fn replica(edit: impl Fn(&mut Value)) -> Replica {
    let port = |name: &str, interfaces: Value| json!({"initial": {"name": name, "interfaces": interfaces}});
    let interface = |name: &str, kind: &str, ofport: i64| json!({"initial": {"name": name, "type": kind, "ifindex": 7, "ofport": ofport}});
    let mut rows = json!({
        "Open_vSwitch": {"s": {"initial": {"bridges": ["set", [["uuid", "b"], ["uuid", "b2"]]], "ovs_version": "3.1.0"}}},
        "Bridge": {
            "b": {"initial": {
                "name": "br0", "ports": ["set", [["uuid", "p0"], ["uuid", "p1"], ["uuid", "p2"], ["uuid", "p3"]]], "datapath_type": "netdev",
                "other_config": ["map", [["mac-aging-time", "60"]]]}},
            "b2": {"initial": {"name": "br2", "ports": ["uuid", "p4"]}},
            "gone": {"initial": {"name": "br9"}}},
        "Port": {
            "p0": port("br0", json!(["uuid", "i0"])), "p1": port("vnet1", json!(["uuid", "i1"])), "p2": port("vnet2", json!(["uuid", "i2"])),
            "p3": port("bond0", json!(["set", [["uuid", "i3"], ["uuid", "i4"]]])), "p4": port("vnet9", json!(["uuid", "i9"]))},
        "Interface": {
            "i0": interface("br0", "internal", 65534), "i1": interface("vnet1", "", 1), "i2": interface("vnet2", "system", -1),
            "i3": interface("eno1", "", 3), "i4": interface("vx0", "vxlan", 4), "i9": interface("vnet9", "", 1)},
        "Mirror": {"m": {"initial": {"name": "spy\n"}}},
        "QoS": {"q": {"initial": {"type": "linux-htb"}}},
        "sFlow": {"x": {"initial": {"targets": "127.0.0.1:9"}}},
        "NetFlow": {"x": {"initial": {"targets": "127.0.0.1:9"}}},
        "IPFIX": {"x": {"initial": {"targets": "127.0.0.1:9"}}}
    });
    edit(&mut rows);
    let mut replica = Replica::default();
    replica.apply(&rows.to_string()).unwrap();
    replica
}

fn shown(edit: impl Fn(&mut Value)) -> OvsBridge {
    snapshot(&replica(edit), "br0").unwrap().bridge.unwrap()
}

fn vnet1(bridge: &OvsBridge) -> &OvsInterface {
    bridge.interfaces.iter().find(|interface| interface.name == "vnet1").unwrap()
}

#[test]
fn a_bridge_with_all_its_interfaces_and_why_some_are_left_alone() {
    let bridge = shown(|rows| rows["Interface"]["i2"]["initial"]["error"] = json!("No such\tdevice"));
    assert!(bridge.userspace && bridge.ageing_time == 60 && bridge.ineligible.is_empty(), "{bridge:?}");
    let said: Vec<_> = bridge.interfaces.iter().map(|i| (i.name.as_str(), i.ofport, i.ineligible.join("; "))).collect();
    let bond = "it is one of 2 interfaces of bond bond0";
    assert_eq!(
        said,
        [
            ("br0", Some(65534), "it is the bridge's own interface".into()),
            ("eno1", Some(3), bond.into()),
            ("vnet1", Some(1), String::new()),
            ("vnet2", None, "Open vSwitch has not put the interface into its datapath: No such\\tdevice".into()),
            ("vx0", Some(4), format!("{bond}; Open vSwitch alone serves interfaces of type vxlan")),
        ]
    );
    assert_eq!(bridge.interfaces[0].kind, "internal");
    let seen = |name: &str| snapshot(&replica(|_| {}), name).unwrap();
    assert_eq!((seen("br0").elsewhere, seen("br0").version), (vec!["vnet9".to_owned()], "3.1.0".to_owned()));
    assert_eq!(seen("br1").bridge, None);
    assert_eq!(seen("br9").bridge, None, "a row that the switch does not refer to");
}

#[test]
fn each_thing_that_we_cannot_do_identically_is_a_reason() {
    let row = |uuid: &str| json!(["uuid", uuid]);
    let config = |key: &str, value: &str| json!(["map", [[key, value]]]);
    for (table, uuid, column, value, told) in [
        ("Open_vSwitch", "s", "other_config", config("flow-restore-wait", "true"), "flow-restore-wait"),
        ("Bridge", "b", "mirrors", row("m"), "(column mirrors: spy\\n)"),
        ("Bridge", "b", "sflow", row("x"), "sFlow (to 127.0.0.1:9)"),
        ("Bridge", "b", "netflow", row("x"), "NetFlow (to 127.0.0.1:9)"),
        ("Bridge", "b", "ipfix", row("x"), "IPFIX (to 127.0.0.1:9)"),
        ("Bridge", "b", "stp_enable", json!(true), "stp_enable"),
        ("Bridge", "b", "rstp_enable", json!(true), "rstp_enable"),
        ("Bridge", "b", "mcast_snooping_enable", json!(true), "mcast_snooping_enable"),
        ("Bridge", "b", "fail_mode", json!("secure"), "fail_mode is secure"),
        ("Bridge", "b", "flood_vlans", json!(7), "flood_vlans"),
        ("Bridge", "b", "datapath_type", json!("odd"), "\"odd\" is not known"),
        ("Port", "p1", "vlan_mode", json!("dot1q-tunnel"), "dot1q-tunnel"),
        ("Port", "p1", "other_config", config("priority-tags", "if-nonzero"), "priority-tags=if-nonzero"),
        ("Port", "p1", "other_config", config("priority-tags", "newer"), "priority-tags=newer"),
        ("Port", "p1", "qos", row("q"), "QoS record of type linux-htb"),
        ("Port", "p1", "protected", json!(true), "protected"),
        ("Interface", "i1", "type", json!("patch"), "of type patch"),
        ("Interface", "i1", "ofport", json!(["set", []]), "its datapath"),
        ("Interface", "i1", "ingress_policing_rate", json!(1000), "1000 kbit/s"),
        ("Interface", "i1", "ingress_policing_kpkts_rate", json!(1), "1 kpkt/s"),
        ("Interface", "i1", "bfd", config("enable", "true"), "bfd:enable"),
    ] {
        let bridge = shown(|rows| rows[table][uuid]["initial"][column] = value.clone());
        let whole = matches!(table, "Bridge" | "Open_vSwitch");
        let (here, there) = (&bridge.ineligible, &vnet1(&bridge).ineligible);
        let (here, there) = if whole { (here, there) } else { (there, here) };
        assert!(here.len() == 1 && there.is_empty() && here[0].contains(told), "{column}: {bridge:?}");
    }
}

#[test]
fn what_changes_nothing_for_a_frame_that_could_be_forwarded_is_no_reason() {
    let config = |key: &str, value: &str| json!(["map", [[key, value]]]);
    for (table, uuid, column, value) in [
        ("Open_vSwitch", "s", "other_config", config("flow-restore-wait", "false")),
        ("Bridge", "b", "fail_mode", json!("standalone")),
        ("Bridge", "b", "other_config", config("forward-bpdu", "true")),
        ("Bridge", "b", "other_config", config("mac-table-size", "10")),
        ("Port", "p1", "vlan_mode", json!("trunk")),
        ("Port", "p1", "other_config", config("priority-tags", "never")),
        ("Port", "p1", "other_config", config("stp-enable", "true")),
        ("Interface", "i1", "bfd", config("enable", "false")),
        ("Interface", "i1", "bfd", config("min_rx", "100")),
    ] {
        let bridge = shown(|rows| rows[table][uuid]["initial"][column] = value.clone());
        assert_eq!((&bridge.ineligible[..], &vnet1(&bridge).ineligible[..]), (&[][..], &[][..]), "{column} {value}");
    }
}

#[test]
fn a_ports_vlans_are_typed() {
    let vlan = |edit: fn(&mut Value)| vnet1(&shown(|rows| edit(&mut rows["Port"]["p1"]["initial"]))).vlan.clone();
    assert_eq!(vlan(|_| {}), PortVlan::PLAIN);
    assert_eq!(vlan(|row| row["tag"] = json!(10)), PortVlan::access(10));
    let trunks = [10, 20].into();
    assert_eq!(vlan(|row| row["trunks"] = json!(["set", [20, 10]])), PortVlan::trunk(&trunks));
    let native = |row: &mut Value| *row = json!({"name": "vnet1", "interfaces": ["uuid", "i1"], "tag": 5, "trunks": ["set", [10, 20]], "vlan_mode": "native-tagged"});
    assert_eq!(vlan(native), PortVlan::native(5, true, &trunks));
}

#[test]
fn ageing_is_what_vswitchd_makes_of_the_text() {
    for (text, seconds) in
        [("0", 300), ("", 300), ("x", 300), ("1", 15), ("20s", 20), (" 99999", 3600), ("-1", 3600), ("+30", 30)]
    {
        let config = json!(["map", [["mac-aging-time", text]]]);
        let bridge = shown(|rows| rows["Bridge"]["b"]["initial"]["other_config"] = config.clone());
        assert_eq!(bridge.ageing_time, seconds, "{text}");
    }
    assert_eq!(shown(|rows| rows["Bridge"]["b"]["initial"]["other_config"] = json!(["map", []])).ageing_time, 300);
}

#[test]
fn a_reference_to_a_row_never_sent_is_an_error() {
    for (table, uuid) in
        [("Bridge", "b"), ("Port", "p1"), ("Interface", "i3"), ("Mirror", "m"), ("QoS", "q"), ("sFlow", "x")]
    {
        let replica = replica(|rows| {
            rows["Bridge"]["b"]["initial"]["mirrors"] = json!(["uuid", "m"]);
            rows["Bridge"]["b"]["initial"]["sflow"] = json!(["uuid", "x"]);
            rows["Port"]["p1"]["initial"]["qos"] = json!(["uuid", "q"]);
            rows[table].as_object_mut().unwrap().remove(uuid);
        });
        let error = snapshot(&replica, "br0").unwrap_err().to_string();
        assert!(error.contains(&format!("refers to row {uuid} of table {table}")), "{error}");
    }
}

/// A few rows that all refer to the same ones: what is made of them must not be their product.
#[test]
fn what_rows_refer_to_is_bounded() {
    let many = |prefix: &str, count: usize| {
        json!(["set", (0..count).map(|n| json!(["uuid", format!("{prefix}{n}")])).collect::<Vec<_>>()])
    };
    let rows = |prefix: &str, count: usize, row: Value| -> Value {
        (0..count).map(|n| (format!("{prefix}{n}"), json!({"initial": row}))).collect::<serde_json::Map<_, _>>().into()
    };
    for own in ["br0", "br1"] {
        let mut replica = Replica::default();
        for updates in [
            json!({"Open_vSwitch": {"s": {"initial": {"bridges": many("b", 300)}}}}),
            json!({"Bridge": rows("b", 300, json!({"name": own, "ports": many("p", 300)}))}),
            json!({"Port": rows("p", 300, json!({"interfaces": many("i", 300)}))}),
            json!({"Interface": rows("i", 300, json!({"name": "v"}))}),
        ] {
            replica.apply(&updates.to_string()).unwrap();
        }
        assert!(matches!(snapshot(&replica, "br0"), Err(OvsdbError::TooMuch(_))));
    }
}
