//! The OVSDB and OpenFlow sources against Debian's Open vSwitch with its userspace datapath, in a namespace of its own. Needs root, iproute2
//! and openvswitch-switch.

#![allow(clippy::unwrap_used)]

#[path = "support/ovs.rs"]
mod ovs;
mod support;

use std::time::Duration;

use bridge_user::source::openflow::{OpenFlow, OpenFlowError, Refresh};
use bridge_user::source::ovsdb::{Health, OvsdbState, OvsdbWatch};
use bridge_user::source::unixctl::{Unixctl, UnixctlError};
use bridge_user::source::{OvsBridge, OvsInterface, PortVlan};
use ovs::{Ovs, start_server};

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x21];

/// Waits for a state; fails with the last one seen.
async fn until(watch: &mut OvsdbWatch, wanted: impl Fn(&OvsdbState) -> bool) -> OvsdbState {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut state = watch.state();
    while !wanted(&state) {
        state = tokio::time::timeout_at(deadline, watch.changed()).await.unwrap_or_else(|_| panic!("still {state:?}"));
    }
    state
}

fn bridge(state: &OvsdbState) -> Option<&OvsBridge> {
    state.snapshot.as_ref()?.bridge.as_ref()
}

fn interface<'a>(state: &'a OvsdbState, name: &str) -> Option<&'a OvsInterface> {
    bridge(state)?.interfaces.iter().find(|interface| interface.name == name)
}

#[test]
fn the_monitor_sees_ports_and_settings_and_survives_a_restart_of_the_server() {
    let ovs = Ovs::start();
    ovs.ns.block_on(async || {
        let mut watch = OvsdbWatch::spawn(ovs.rundir().join("db.sock"), "br0".into());
        let state = until(&mut watch, |s| bridge(s).is_some()).await;
        let br0 = bridge(&state).unwrap();
        assert!(br0.userspace && br0.ageing_time == 300 && br0.ineligible.is_empty(), "{br0:?}");
        let local = interface(&state, "br0").unwrap();
        assert_eq!((local.kind.as_str(), local.ineligible.len()), ("internal", 1));

        ovs.add_port("v0");
        let state =
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ofport.is_some() && i.ifindex.is_some())).await;
        let v0 = interface(&state, "v0").unwrap();
        let ifindex = ovs.ns.run("cat /proc/net/if_inet6");
        assert!(
            ifindex.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words[5] == "v0" && u32::from_str_radix(words[1], 16).ok() == v0.ifindex
            }),
            "{v0:?} {ifindex}"
        );
        assert!(v0.ineligible.is_empty(), "{v0:?}");

        for (set, unset) in [
            ("set port v0 vlan_mode=dot1q-tunnel", "clear port v0 vlan_mode"),
            ("set port v0 other_config:priority-tags=always", "clear port v0 other_config"),
            ("set interface v0 bfd:enable=true", "clear interface v0 bfd"),
            ("set port v0 protected=true", "set port v0 protected=false"),
            ("set interface v0 ingress_policing_rate=1000", "set interface v0 ingress_policing_rate=0"),
            ("set interface v0 ingress_policing_kpkts_rate=10", "set interface v0 ingress_policing_kpkts_rate=0"),
            ("set port v0 qos=@q -- --id=@q create qos type=linux-noop", "clear port v0 qos"),
        ] {
            ovs.vsctl(set);
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ineligible.len() == 1)).await;
            ovs.vsctl(unset);
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ineligible.is_empty())).await;
        }
        let vlan = |s: &OvsdbState| interface(s, "v0").map(|i| i.vlan.clone());
        for (edit, wanted) in [
            ("set port v0 tag=10", PortVlan::access(10)),
            ("set port v0 vlan_mode=native-tagged trunks=20,30", PortVlan::native(10, true, &[20, 30].into())),
            ("remove port v0 trunks 20", PortVlan::native(10, true, &[30].into())),
            ("clear port v0 tag", PortVlan::native(0, true, &[30].into())),
            ("add port v0 trunks 0", PortVlan::native(0, true, &[0, 30].into())),
            ("clear port v0 vlan_mode", PortVlan::trunk(&[0, 30].into())),
            ("clear port v0 trunks", PortVlan::PLAIN),
        ] {
            ovs.vsctl(edit);
            until(&mut watch, |s| vlan(s) == Some(wanted.clone())).await;
        }
        for (set, unset) in [
            ("set bridge br0 mirrors=@m -- --id=@m create mirror name=m", "clear bridge br0 mirrors"),
            (
                "set bridge br0 sflow=@s -- --id=@s create sflow targets=\"127.0.0.1\" agent=lo",
                "clear bridge br0 sflow",
            ),
            ("set bridge br0 netflow=@n -- --id=@n create netflow targets=\"127.0.0.1:9\"", "clear bridge br0 netflow"),
            ("set bridge br0 ipfix=@i -- --id=@i create ipfix targets=\"127.0.0.1:9\"", "clear bridge br0 ipfix"),
            ("set bridge br0 stp_enable=true", "set bridge br0 stp_enable=false"),
            ("set bridge br0 rstp_enable=true", "set bridge br0 rstp_enable=false"),
            ("set bridge br0 mcast_snooping_enable=true", "set bridge br0 mcast_snooping_enable=false"),
            ("set-fail-mode br0 secure", "del-fail-mode br0"),
            (
                "set open_vswitch . other_config:flow-restore-wait=true",
                "remove open_vswitch . other_config flow-restore-wait",
            ),
        ] {
            ovs.vsctl(set);
            until(&mut watch, |s| bridge(s).is_some_and(|b| b.ineligible.len() == 1)).await;
            ovs.vsctl(unset);
            until(&mut watch, |s| bridge(s).is_some_and(|b| b.ineligible.is_empty())).await;
        }
        ovs.vsctl("set bridge br0 other_config:mac-aging-time=60");
        until(&mut watch, |s| bridge(s).is_some_and(|b| b.ageing_time == 60)).await;

        *ovs.server.lock().unwrap() = None;
        let state = until(&mut watch, |s| s.health != Health::Current).await;
        assert!(interface(&state, "v0").is_some(), "the last good snapshot stays");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(watch.state().age() >= Duration::from_millis(300));
        *ovs.server.lock().unwrap() = Some(start_server(&ovs.ns, &ovs.directory));
        let state = until(&mut watch, |s| s.health == Health::Current).await;
        assert!(interface(&state, "v0").is_some() && state.age() == Duration::ZERO);
        ovs.vsctl("del-port br0 v0");
        until(&mut watch, |s| interface(s, "v0").is_none()).await;
        ovs.vsctl("del-br br0");
        until(&mut watch, |s| bridge(s).is_none() && s.health == Health::Current).await;
    });
}

#[test]
fn a_refresh_resets_the_age_and_an_unknown_port_is_refused() {
    let ovs = Ovs::start();
    // Nothing but the refresh may be heard on the ports.
    ovs.ns.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    for port in ["v0", "v1"] {
        ovs.add_port(port);
    }
    let ofport: u16 = ovs.vsctl("get interface v0 ofport").trim().parse().unwrap();
    let station = Refresh { ofport, mac: MAC, tag: None };
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        // The first one teaches the bridge, as the station itself would.
        switch.refresh(&[station]).await.unwrap();
        assert_eq!(ovs.age().unwrap().0, ofport);
        tokio::time::sleep(Duration::from_millis(4200)).await;
        let old = ovs.age().unwrap();
        assert!(old.0 == ofport && old.1 >= 3, "{old:?}");
        let received = |device: &str| {
            ovs.ns.run("cat /proc/net/dev").lines().find(|l| l.trim().starts_with(device)).map(String::from)
        };
        let before = received("v1p:");
        switch.refresh(&[station]).await.unwrap();
        let young = ovs.age().unwrap();
        assert!(young.0 == ofport && young.1 <= 1, "{young:?}");
        assert_eq!(received("v1p:"), before, "while the bridge has the entry the frame goes nowhere");

        let many: Vec<_> =
            (0..1000_u16).map(|n| Refresh { mac: [2, 1, 0, 0, (n >> 8) as u8, n as u8], ..station }).collect();
        switch.refresh(&many).await.unwrap();
        assert_eq!(ovs.appctl("fdb/show br0").matches("02:01:00:00:").count(), 1000);

        let refused = switch.refresh(&[Refresh { ofport: 0xff00, ..station }]).await;
        assert!(matches!(refused, Err(OpenFlowError::Refused { .. })), "{refused:?}");
        switch.refresh(&[station]).await.unwrap();
        assert!(matches!(OpenFlow::connect(ovs.rundir(), "br9").await, Err(OpenFlowError::Connect { .. })));
        ovs.vsctl("set bridge br0 protocols=OpenFlow13");
        let outcome = OpenFlow::connect(ovs.rundir(), "br0").await.map(|_| ());
        assert!(matches!(outcome, Err(OpenFlowError::Version)), "{outcome:?}");
    });
}

#[test]
fn only_the_one_normal_flow_counts_as_such() {
    let ovs = Ovs::start();
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        assert!(switch.orders().await.unwrap().only_normal);
        for flow in [
            "priority=0,actions=drop",
            "priority=1,actions=normal",
            "priority=0,actions=normal,controller",
            "priority=0,in_port=1,actions=normal",
            // OpenFlow 1.0's own statistics would show this one without its match.
            "priority=0,metadata=1,actions=normal",
            "table=3,priority=0,actions=normal",
        ] {
            ovs.ofctl("del-flows table=0");
            ovs.ofctl("del-flows table=3");
            ovs.ofctl(&format!("add-flow {flow}"));
            assert!(!switch.orders().await.unwrap().only_normal, "{flow}");
        }
        ovs.ofctl("add-flow priority=0,actions=normal");
        assert!(!switch.orders().await.unwrap().only_normal, "two of them");
        ovs.ofctl("del-flows table=3");
        assert!(switch.orders().await.unwrap().only_normal);
    });
}

#[test]
fn what_ports_and_fragments_are_told_is_told() {
    let ovs = Ovs::start();
    for port in ["v0", "v1"] {
        ovs.add_port(port);
    }
    let ofport: u16 = ovs.vsctl("get interface v1 ofport").trim().parse().unwrap();
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        for (order, said) in [
            ("mod-port v1 no-receive", "no-receive"),
            ("mod-port v1 receive", ""),
            ("mod-port v1 no-forward", "no-forward"),
            ("mod-port v1 forward", ""),
            ("mod-port v1 no-flood", "no-flood"),
            ("mod-port v1 flood", ""),
            ("mod-port v1 no-packet-in", ""),
            ("mod-port v1 no-receive-stp", ""),
            ("mod-port v1 down", ""),
            ("mod-port v1 up", ""),
            ("set-frags drop", "get-frags"),
            ("set-frags nx-match", ""),
            ("set-frags normal", ""),
        ] {
            ovs.ofctl(order);
            let orders = switch.orders().await.unwrap();
            let told: Vec<_> = orders.of_bridge("br0").chain(orders.of_port(ofport)).collect();
            assert_eq!(told.len(), usize::from(!said.is_empty()), "{order}: {told:?}");
            assert!(told.concat().contains(said), "{order}: {told:?}");
            assert_eq!(orders.of_port(ofport - 1).count(), 0, "{order}: the other port");
        }
        // More ports than one reply holds.
        let many =
            (0..1500).map(|n| format!("-- add-port br0 p{n} -- set interface p{n} type=patch options:peer=q{n}"));
        ovs.vsctl(&many.collect::<Vec<_>>().join(" "));
        for port in ["p0", "p1499"] {
            ovs.ofctl(&format!("mod-port {port} no-forward"));
            let ofport = ovs.vsctl(&format!("get interface {port} ofport")).trim().parse().unwrap();
            assert_eq!(switch.orders().await.unwrap().of_port(ofport).count(), 1, "{port}");
        }
    });
}

#[test]
fn the_fdb_is_read_as_ovs_vswitchd_shows_it_and_losses_are_told_from_ageing() {
    let ovs = Ovs::start();
    ovs.ns.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    for port in ["v0", "v1"] {
        ovs.add_port(port);
    }
    ovs.vsctl("set port v1 vlan_mode=native-untagged tag=20");
    let number = |port: &str| ovs.vsctl(&format!("get interface {port} ofport")).trim().parse::<u16>().unwrap();
    let [v0, v1] = ["v0", "v1"].map(number);
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        let mut control = Unixctl::connect(ovs.rundir()).await.unwrap();
        assert_eq!(control.fdb("br0").await.unwrap(), []);
        let start = control.fdb_stats("br0").await.unwrap();
        // Untagged, in the port's VLAN; with a tag, in the tag's.
        let refresh = |ofport, tag| Refresh { ofport, mac: MAC, tag };
        switch.refresh(&[refresh(v0, None), refresh(v0, Some(10)), refresh(v1, None)]).await.unwrap();
        let mut found = control.fdb("br0").await.unwrap();
        found.sort_by_key(|entry| entry.vlan);
        let places: Vec<_> = found.iter().map(|entry| (entry.ofport, entry.vlan, entry.mac)).collect();
        assert_eq!(places, [(v0, 0, MAC), (v0, 10, MAC), (v1, 20, MAC)]);
        assert!(found.iter().all(|entry| entry.age.is_some_and(|age| age <= 2)), "{found:?}");
        let learned = control.fdb_stats("br0").await.unwrap();
        assert!((learned.current, learned.learned) == (3, 3) && !learned.lost_since(&start), "{learned:?}");
        ovs.appctl("fdb/add br0 v1 30 02:00:00:00:00:99");
        let fixed = control.fdb_stats("br0").await.unwrap();
        assert!(fixed.fixed == 1 && !fixed.lost_since(&learned), "{fixed:?}");
        assert!(control.fdb("br0").await.unwrap().iter().any(|entry| entry.age.is_none() && entry.vlan == 30));
        // A station elsewhere.
        switch.refresh(&[refresh(v1, Some(10))]).await.unwrap();
        let moved = control.fdb_stats("br0").await.unwrap();
        assert!(moved.moved == 1 && moved.lost_since(&fixed), "{moved:?}");
        ovs.appctl("fdb/flush br0");
        let flushed = control.fdb_stats("br0").await.unwrap();
        assert!(flushed.lost_since(&moved), "{flushed:?}");
        assert_eq!(control.fdb("br0").await.unwrap().len(), 1, "what was entered by hand stays");
        switch.refresh(&[refresh(v0, None)]).await.unwrap();
        let before = control.fdb_stats("br0").await.unwrap();
        ovs.vsctl("del-port br0 v0");
        let gone = control.fdb_stats("br0").await.unwrap();
        assert!(gone.lost_since(&before), "with its port: {before:?} {gone:?}");
        let refused = control.fdb("br9").await;
        assert!(
            matches!(&refused, Err(UnixctlError::Refused { error, .. }) if error.contains("no such bridge")),
            "{refused:?}"
        );
        assert_eq!(control.fdb("br0").await.unwrap().len(), 1, "the connection outlives a refusal");
    });
}
