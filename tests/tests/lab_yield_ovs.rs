//! Yielding beside Open vSwitch, as in lab_yield. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

#[path = "support/yields.rs"]
mod yields;

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::topology;
use yields::{Command, Feature, ends, yields};

/// `ovs-vsctl` commands that switch something on and off again.
fn ovs(
    name: &str,
    site: &Site,
    on: &[Command<'_>],
    off: &[Command<'_>],
    reason: &str,
    (ports, delivers): (&[&str], bool),
) {
    yields(site, name, &Feature { on, off, reason, ports, delivers }, |_| {});
}

#[test]
fn what_open_vswitch_is_told() {
    let site = Site::pair(SlowPath::ovs(), &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let (one, both) = ((&["vnet0"][..], true), (&["vnet0", "vnet1"][..], true));
    let set = |table, row, what| ["ovs-vsctl", "set", table, row, what];
    let clear = |table, row, column| ["ovs-vsctl", "clear", table, row, column];
    let remove = |table, row, column, key| ["ovs-vsctl", "remove", table, row, column, key];
    let add_flow: Command<'_> = &["ovs-ofctl", "add-flow", "br0", "priority=7,tcp,actions=NORMAL"];
    ovs(
        "flows",
        &site,
        &[add_flow],
        &[&["ovs-ofctl", "--strict", "del-flows", "br0", "priority=7,tcp"]],
        "other flows",
        both,
    );
    let mirror: Command<'_> = &[
        "ovs-vsctl",
        "--",
        "--id=@m",
        "create",
        "mirror",
        "name=m",
        "select-all=false",
        "--",
        "set",
        "bridge",
        "br0",
        "mirrors=@m",
    ];
    ovs("mirror", &site, &[mirror], &[&clear("bridge", "br0", "mirrors")], "mirrors", both);
    for (column, reason, extra) in [
        ("sflow", "sFlow", "targets=\"127.0.0.1:9\""),
        ("netflow", "NetFlow", "targets=\"127.0.0.1:9\""),
        ("ipfix", "IPFIX", "targets=\"127.0.0.1:9\""),
    ] {
        let reference = format!("{column}=@s");
        let on: Command<'_> =
            &["ovs-vsctl", "--", "--id=@s", "create", column, extra, "--", "set", "bridge", "br0", &reference];
        ovs(column, &site, &[on], &[&clear("bridge", "br0", column)], reason, both);
    }
    let qos: Command<'_> =
        &["ovs-vsctl", "--", "--id=@q", "create", "qos", "type=linux-noop", "--", "set", "port", "vnet0", "qos=@q"];
    ovs("qos", &site, &[qos], &[&clear("port", "vnet0", "qos")], "QoS", one);
    let policing = |rate| ["ovs-vsctl", "set", "interface", "vnet0", rate];
    // Enough for the stream.
    ovs(
        "policing",
        &site,
        &[&policing("ingress_policing_rate=1000000")],
        &[&policing("ingress_policing_rate=0")],
        "ingress policing",
        one,
    );
    ovs(
        "protected",
        &site,
        &[&set("port", "vnet0", "protected=true")],
        &[&set("port", "vnet0", "protected=false")],
        "protected",
        one,
    );
    ovs(
        "snooping",
        &site,
        &[&set("bridge", "br0", "mcast_snooping_enable=true")],
        &[&set("bridge", "br0", "mcast_snooping_enable=false")],
        "snoops multicast",
        both,
    );
    let tag: (&[&str], bool) = (&["vnet0"], false);
    let tunnel = [&set("port", "vnet0", "vlan_mode=dot1q-tunnel")[..], &["tag=10"]].concat();
    let plain: [Command<'_>; 2] = [&clear("port", "vnet0", "vlan_mode"), &clear("port", "vnet0", "tag")];
    ovs("dot1q-tunnel", &site, &[&tunnel], &plain, "dot1q-tunnel", tag);
    let priority = set("port", "vnet0", "other_config:priority-tags=if-nonzero");
    let never: Command<'_> = &remove("port", "vnet0", "other_config", "priority-tags");
    ovs("priority-tags", &site, &[&priority], &[never], "priority tags", one);
    let bfd = set("interface", "vnet0", "bfd:enable=true");
    ovs("bfd", &site, &[&bfd], &[&clear("interface", "vnet0", "bfd")], "BFD", one);
    let protocols = set("bridge", "br0", "protocols=OpenFlow13");
    ovs("protocols", &site, &[&protocols], &[&clear("bridge", "br0", "protocols")], "OpenFlow 1.0", both);
    let slow: (&[&str], bool) = (&["vnet0", "vnet1"], false);
    ovs(
        "fail_mode",
        &site,
        &[&["ovs-vsctl", "set-fail-mode", "br0", "secure"]],
        &[&["ovs-vsctl", "del-fail-mode", "br0"]],
        "fail_mode",
        slow,
    );
    let spanning_tree = |column: &str, reason| {
        let [on, off] = ["true", "false"].map(|value| format!("{column}={value}"));
        let [on, off] = [&on, &off].map(|value| ["ovs-vsctl", "set", "bridge", "br0", value.as_str()]);
        ovs(column, &site, &[&on], &[&off], reason, slow);
    };
    spanning_tree("stp_enable", "STP");
    let waits = set("open_vswitch", ".", "other_config:flow-restore-wait=true");
    let restored: Command<'_> = &remove("open_vswitch", ".", "other_config", "flow-restore-wait");
    ovs("flow-restore-wait", &site, &[&waits], &[restored], "flows to be restored", slow);
    let flood: Command<'_> = &["ovs-vsctl", "set", "bridge", "br0", "flood_vlans=5"];
    ovs("flood_vlans", &site, &[flood], &[&remove("bridge", "br0", "flood_vlans", "5")], "flood_vlans", both);
    // Last: Open vSwitch 3.1 itself does not flood to a port again that RSTP had blocked when it was switched off.
    spanning_tree("rstp_enable", "RSTP");
    ends(site, manager);
}
