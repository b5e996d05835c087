//! The netlink source against this machine's kernel, in namespaces of its own. Needs root, iproute2 and ethtool.

#![allow(clippy::unwrap_used)]

#[path = "support/links.rs"]
mod links;
mod support;

use std::time::Duration;

use bridge_user::source::netlink::{Change, Netlink, NetlinkError};
use bridge_user::source::{HostSnapshot, Link, LinkKind};
use links::{named, within};
use support::Netns;

#[test]
fn a_snapshot_shows_links_bridges_ports_and_addresses() {
    let ns = Netns::new();
    ns.run("ip link add br0 type bridge ageing_time 12000 nf_call_arptables 1");
    ns.run("ip link add v0 mtu 1400 type veth peer name v1");
    ns.run("ip tuntap add tap0 mode tap");
    ns.run("ip tuntap add tun0 mode tun");
    ns.run("ip link add down0 type veth peer name down1");
    for link in ["br0", "v0", "v1", "tap0", "tun0"] {
        ns.run(&format!("ip link set {link} up"));
    }
    for link in ["v0", "tap0"] {
        ns.run(&format!("ip link set {link} master br0"));
    }
    ns.run("bridge link set dev v0 isolated on hairpin on learning off neigh_suppress on locked on");
    ns.run("ip addr add 10.17.4.1/24 dev br0");
    ns.run("ip addr add 10.0.0.1 peer 10.0.0.2/32 dev v1");
    ns.run("ip addr add 2001:db8::1/64 dev br0 nodad");
    ns.run("ip addr add 192.0.2.9/32 dev lo");
    let snapshot = ns.block_on(async || Netlink::connect().unwrap().snapshot().await.unwrap());

    let (br0, v0, tap0) = (named(&snapshot, "br0"), named(&snapshot, "v0"), named(&snapshot, "tap0"));
    let bridge = br0.bridge.unwrap();
    assert_eq!(
        (br0.kind, bridge.ageing_time, bridge.vlan_filtering, bridge.nf_call),
        (LinkKind::Bridge, 120, false, true)
    );
    assert_eq!((v0.kind, v0.mtu, v0.running, v0.master), (LinkKind::Veth, 1400, true, Some(br0.ifindex)));
    let port = v0.bridge_port.unwrap();
    assert!(port.isolated && port.hairpin && !port.learning && port.neigh_suppress && port.locked, "{port:?}");
    assert_eq!(port.state, 3);
    assert_eq!((tap0.kind, tap0.running, tap0.master), (LinkKind::Tap, false, Some(br0.ifindex)));
    let port = tap0.bridge_port.unwrap();
    assert!(!port.isolated && !port.hairpin && port.learning && port.state == 0, "{port:?}");
    assert!(tap0.mac.is_some() && named(&snapshot, "lo").mac.is_none());
    assert_eq!((named(&snapshot, "tun0").kind, named(&snapshot, "tun0").mac), (LinkKind::Other, None));
    assert_eq!((named(&snapshot, "down0").kind, named(&snapshot, "down0").running), (LinkKind::Veth, false));
    let has = |address: &str| snapshot.addresses.contains(&address.parse().unwrap());
    assert!(has("10.17.4.1") && has("10.0.0.1") && has("2001:db8::1"), "{:?}", snapshot.addresses);
    assert!(!has("10.0.0.2") && !has("192.0.2.9") && !has("127.0.0.1") && !has("::1"), "{:?}", snapshot.addresses);
    assert!(snapshot.addresses.iter().any(|a| a.to_string().starts_with("fe80")), "{:?}", snapshot.addresses);
}

#[test]
fn the_namespace_is_the_one_of_connect() {
    let (ns, other) = (Netns::new(), Netns::new());
    ns.run("ip link add here type veth peer name there");
    ns.block_on(async || {
        let netlink = Netlink::connect().unwrap();
        let namespace = std::fs::File::open(format!("/var/run/netns/{}", other.0)).unwrap();
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        named(&netlink.snapshot().await.unwrap(), "here");
    });
}

#[test]
fn a_snapshot_is_whole_with_many_links_and_under_churn() {
    let ns = Netns::new();
    let batch: String = (0..300).map(|n| format!("link add stay{n} type veth peer name peer{n}\n")).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    ns.run(&format!("ip -batch {}", file.path().display()));
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for n in 0..40 {
                ns.run(&format!("ip link add go{n} type veth peer name gone{n}"));
                std::thread::sleep(Duration::from_millis(30));
                ns.run(&format!("ip link del go{n}"));
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        ns.block_on(async || {
            let netlink = Netlink::connect().unwrap();
            let stay = |links: &[Link]| links.iter().filter(|link| link.name.starts_with("stay")).count();
            while !churn.is_finished() {
                match netlink.snapshot().await {
                    Ok(host) => assert_eq!(stay(&host.links), 300),
                    // A slow machine may never get a quiet moment; what matters is that half a look is not taken for a whole one.
                    Err(error) => assert!(matches!(error, NetlinkError::NeverConsistent), "{error}"),
                }
            }
            assert_eq!(stay(&netlink.snapshot().await.unwrap().links), 300);
        });
    });
}

#[test]
fn every_kind_of_change_is_told_and_a_removal_with_its_index() {
    let ns = Netns::new();
    ns.run("ip link add br0 type bridge");
    ns.run("ip link add d0 type veth peer name d1");
    // Or their own addresses tell of duplicate address detection, at any time.
    ["br0", "d0", "d1"].iter().for_each(|link| _ = ns.run(&format!("ip link set {link} addrgenmode none")));
    ns.block_on(async || {
        let mut netlink = Netlink::connect().unwrap();
        let d0 = named(&netlink.snapshot().await.unwrap(), "d0").ifindex;
        for line in [
            "ip link set d0 up",
            "ip link set d0 master br0",
            "bridge link set dev d0 isolated on",
            "ip addr add 10.0.0.1/24 dev br0",
            "ip addr add 2001:db8::1/64 dev br0 nodad",
            "ip link set d0 nomaster",
        ] {
            ns.run(line);
            assert_eq!(within(netlink.changed()).await.unwrap(), Change::LookAgain, "{line}");
            // What belongs to the same command and comes a little later (DAD, carrier).
            while let Ok(change) = tokio::time::timeout(Duration::from_millis(300), netlink.changed()).await {
                assert_eq!(change.unwrap(), Change::LookAgain, "{line}");
            }
        }
        for line in [
            "tc qdisc add dev d0 root pfifo limit 10",
            "tc qdisc add dev d0 clsact",
            "tc filter add dev d0 egress protocol all u32 match u32 0 0",
            "tc filter del dev d0 egress",
            "tc qdisc del dev d0 root",
        ] {
            ns.run(line);
            assert_eq!(within(netlink.changed()).await.unwrap(), Change::LookSoon, "{line}");
            while let Ok(change) = tokio::time::timeout(Duration::from_millis(300), netlink.changed()).await {
                assert_eq!(change.unwrap(), Change::LookSoon, "{line}");
            }
        }
        ns.run("ip link del d0");
        assert_eq!(within(netlink.changed()).await.unwrap(), Change::LinkRemoved(d0));
    });
}

#[test]
fn every_change_of_nftables_has_another_number() {
    let (ns, other) = (Netns::new(), Netns::new());
    ns.block_on(async || {
        let netlink = Netlink::connect().unwrap();
        let mut before = netlink.nftables_generation().await.unwrap();
        assert!(before.is_some(), "this kernel has nftables");
        for line in [
            "nft add table bridge t",
            "nft add chain bridge t c { type filter hook forward priority 0 ; }",
            "nft delete chain bridge t c",
            "nft delete table bridge t",
        ] {
            ns.run(line);
            let after = netlink.nftables_generation().await.unwrap();
            assert_ne!(after, before, "{line}");
            assert_eq!(netlink.nftables_generation().await.unwrap(), after, "asking changes nothing");
            before = after;
        }
        other.run("nft add table bridge t");
        assert_eq!(netlink.nftables_generation().await.unwrap(), before, "another namespace's");
    });
}

#[test]
fn snapshots_agree_until_something_but_a_count_of_frames_differs() {
    let ns = Netns::new();
    ns.run("ip link add d0 type veth peer name d1");
    ns.run("ip link set d0 up");
    ns.run("ip link set d1 up");
    ns.block_on(async || {
        let netlink = Netlink::connect().unwrap();
        let first = netlink.snapshot().await.unwrap();
        let mut passed = first.clone();
        passed.links[1].rx_packets += 7;
        assert!(first.agrees(&passed) && passed.agrees(&first));
        let other = |change: fn(&mut HostSnapshot)| {
            let mut other = first.clone();
            change(&mut other);
            !first.agrees(&other) && !other.agrees(&first)
        };
        assert!(other(|host| host.links[1].mtu += 1));
        assert!(other(|host| _ = host.links.pop()));
        assert!(other(|host| host.addresses.push("192.0.2.1".parse().unwrap())));
        assert!(other(|host| host.others.bridge.push("a chain".into())));
    });
}

#[test]
fn a_lost_event_is_told_as_an_overrun() {
    let ns = Netns::new();
    ns.run("ip link add d0 type veth peer name d1");
    // More notifications than the socket holds, while the runtime is not polled.
    let batch: String = (0..40_000).map(|n| format!("link set d0 mtu {}\n", 1000 + n % 2)).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    ns.block_on(async || {
        let mut netlink = Netlink::connect().unwrap();
        ns.run(&format!("ip -batch {}", file.path().display()));
        let mut told = Vec::new();
        while let Ok(change) = tokio::time::timeout(Duration::from_millis(500), netlink.changed()).await {
            told.push(change.unwrap());
        }
        assert!(told.contains(&Change::Overrun), "{told:?}");
        named(&netlink.snapshot().await.unwrap(), "d0");
    });
}

#[test]
fn a_veth_takes_redirected_frames_only_when_its_peer_has_gro() {
    let ns = Netns::new();
    ns.run("ip link add host type veth peer name guest");
    ns.run("ip link set host up");
    ns.run("ip link set guest up");
    ns.block_on(async || {
        let mut netlink = Netlink::connect().unwrap();
        for (device, gro, wanted) in [("host", "on", false), ("guest", "on", true), ("guest", "off", false)] {
            while tokio::time::timeout(Duration::from_millis(200), netlink.changed()).await.is_ok() {}
            ns.run(&format!("ethtool -K {device} gro {gro}"));
            assert_eq!(within(netlink.changed()).await.unwrap(), Change::LookAgain);
            let snapshot = netlink.snapshot().await.unwrap();
            assert_eq!(named(&snapshot, "host").xdp_target, Some(wanted), "{device} gro {gro}: {snapshot:?}");
        }
    });
}
