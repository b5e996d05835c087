//! What the netlink source tells of a Linux bridge's stations, and how it keeps them young, against this machine's kernel, in namespaces of its
//! own. Needs root and iproute2.

#![allow(clippy::unwrap_used)]

#[path = "support/links.rs"]
mod links;
mod support;

use std::time::Duration;

use bridge_common::abi::StationKey;
use bridge_user::source::netlink::Netlink;
use links::{named, within};
use support::Netns;

const STATION: StationKey = StationKey { mac: [0x02, 0, 0, 0, 0, 0x77], vlan: 0 };

/// (seconds since updated, port, flags and state) of the station in `bridge -s fdb`.
fn entry(ns: &Netns) -> (u64, String, String) {
    let shown: serde_json::Value = serde_json::from_str(&ns.run("bridge -s -j fdb show br br0")).unwrap();
    let rows: Vec<_> = shown.as_array().unwrap().iter().filter(|row| row["mac"] == "02:00:00:00:00:77").collect();
    assert_eq!(rows.len(), 1, "{shown}");
    let row = rows[0];
    (row["updated"].as_u64().unwrap(), row["ifname"].to_string(), format!("{}{}", row["flags"], row["state"]))
}

#[test]
fn a_refresh_makes_the_bridges_entry_young_and_changes_nothing_else() {
    let ns = Netns::new();
    ns.run("ip link add br0 type bridge");
    ns.run("ip link set br0 up");
    for (port, peer) in [("p0", "q0"), ("p1", "q1")] {
        ns.run(&format!("ip link add {port} type veth peer name {peer}"));
        ns.run(&format!("ip link set {port} master br0 up"));
        ns.run(&format!("ip link set {peer} up"));
    }
    ns.block_on(async || {
        let netlink = Netlink::connect().unwrap();
        let snapshot = netlink.snapshot().await.unwrap();
        let p0 = named(&snapshot, "p0").ifindex;
        // Learned as if the station had sent.
        ns.run("bridge fdb add 02:00:00:00:00:77 dev p0 master dynamic");
        tokio::time::sleep(Duration::from_millis(3200)).await;
        let old = entry(&ns);
        assert!(old.0 >= 3, "{old:?}");
        netlink.refresh_linux(p0, STATION).await.unwrap();
        let young = entry(&ns);
        assert!(young.0 <= 1, "{young:?}");
        assert_eq!((&young.1, &young.2), (&old.1, &old.2), "same port, still dynamic");
        assert!(!young.2.contains("static") && !young.2.contains("permanent"), "{young:?}");
        // A device that is no bridge port, and one that is not there.
        assert!(netlink.refresh_linux(named(&snapshot, "q0").ifindex, STATION).await.is_err());
        assert!(netlink.refresh_linux(9999, STATION).await.is_err());
    });
}

#[test]
fn what_a_bridge_learns_and_forgets_is_told_and_is_no_change() {
    let ns = Netns::new();
    // No address comes late.
    ns.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    for line in
        ["ip link add br0 type bridge", "ip link add br1 type bridge", "ip link set br0 up", "ip link set br1 up"]
    {
        ns.run(line);
    }
    for (port, bridge) in [("p0", "br0"), ("p1", "br0"), ("p2", "br1")] {
        ns.run(&format!("ip link add {port} type veth peer name {port}q"));
        ns.run(&format!("ip link set {port} master {bridge} up"));
        ns.run(&format!("ip link set {port}q up"));
    }
    ns.block_on(async || {
        let mut netlink = Netlink::connect().unwrap();
        let snapshot = netlink.snapshot().await.unwrap();
        let [br0, p0, p1] = ["br0", "p0", "p1"].map(|name| named(&snapshot, name).ifindex);
        assert_eq!(netlink.stations(), None, "what was before is not known");
        // Until the links are quiet: a carrier is told up to a second late (net/core/link_watch.c).
        while tokio::time::timeout(Duration::from_millis(1500), netlink.changed()).await.is_ok() {}
        let quiet = async |netlink: &mut Netlink| {
            let change = tokio::time::timeout(Duration::from_millis(300), netlink.changed()).await;
            assert!(change.is_err(), "stations are no change: {change:?}");
        };
        let told = |netlink: &mut Netlink| {
            let news = netlink.stations().unwrap().into_iter();
            let ours = news.filter(|news| news.station == STATION && news.bridge == br0);
            ours.map(|news| (news.ifindex, news.gone)).collect::<Vec<_>>()
        };
        ns.run("bridge fdb add 02:00:00:00:00:77 dev p0 master dynamic");
        ns.run("bridge fdb add 02:00:00:00:00:77 dev p2 master dynamic");
        quiet(&mut netlink).await;
        assert_eq!(told(&mut netlink), [(p0, false)]);
        assert_eq!(netlink.fdb(br0).await.unwrap().get(&STATION), Some(&p0), "br1 has it too");
        ns.run("bridge fdb replace 02:00:00:00:00:77 dev p1 master dynamic");
        quiet(&mut netlink).await;
        assert_eq!(told(&mut netlink).last(), Some(&(p1, false)));
        ns.run("ip link set br0 type bridge fdb_flush");
        // This is a change of the link besides.
        within(netlink.changed()).await.unwrap();
        assert_eq!(told(&mut netlink), [(p1, true)]);
        assert_eq!(netlink.fdb(br0).await.unwrap().get(&STATION), None);
    });
}
