//! The same as `differential`, with ports that have VLANs: access, trunk, native both ways, and a filtering Linux bridge's PVID, tagged and
//! untagged lists; frames of each VLAN, and priority tags, DEI, 802.1ad, stacked tags, VIDs that a port does not carry, one MAC in two
//! VLANs. Open vSwitch's kernel datapath and the filtering bridge are skipped where the kernel lacks them: `cargo xtask vm` has them.

#![allow(clippy::unwrap_used)]

mod differential_case;

use bridge_tests::lab::{PortVlan, SlowPath};
use differential_case::{Case, Policy};

/// Percent of the frames into each port: about a quarter is unicast between stations that are known, in a VLAN that both ports carry.
const OVS_USERSPACE_FORWARDED: u64 = 14;
const OVS_KERNEL_FORWARDED: u64 = 14;
const LINUX_FORWARDED: u64 = 10;

const VLANS: &[u16] = &[5, 6];

fn ovs(slow_path: SlowPath, hooks: &'static [&'static str], forwarded_least: u64) -> Case {
    let ports = vec![
        Some(PortVlan::Access(5)),
        Some(PortVlan::Access(6)),
        // Nothing said: a trunk of every VLAN.
        None,
        Some(PortVlan::Trunk(vec![5, 6])),
        Some(PortVlan::NativeTagged(5, vec![6])),
        Some(PortVlan::NativeUntagged(6, vec![5, 4094])),
    ];
    Case { slow_path, ports, vlans: VLANS, hooks, forwarded_least, left_alone: &[] }
}

fn linux() -> Case {
    let ports = vec![
        Some(PortVlan::Access(5)),
        Some(PortVlan::Access(6)),
        Some(PortVlan::Trunk(vec![])),
        Some(PortVlan::NativeTagged(5, vec![6])),
        Some(PortVlan::NativeUntagged(6, vec![5, 4094])),
        // Both leave without a tag; only one is the PVID: fastbridge leaves such a port to the bridge.
        Some(PortVlan::Vids { pvid: Some(6), untagged: vec![5, 6], tagged: vec![99] }),
    ];
    let hooks = &["auto", "xdp"];
    Case {
        slow_path: SlowPath::LinuxVlanBridge,
        ports,
        vlans: VLANS,
        hooks,
        forwarded_least: LINUX_FORWARDED,
        left_alone: &[5],
    }
}

#[test]
fn beside_ovs_userspace_allowing_all() {
    ovs(SlowPath::OvsUserspace, &["auto"], OVS_USERSPACE_FORWARDED).compare(Policy::AllowAll);
}

#[test]
fn beside_ovs_userspace_with_the_reference_policy() {
    ovs(SlowPath::OvsUserspace, &["auto"], OVS_USERSPACE_FORWARDED).compare(Policy::Reference);
}

#[test]
fn beside_the_ovs_kernel_datapath_allowing_all() {
    ovs(SlowPath::OvsKernel, &["auto", "xdp"], OVS_KERNEL_FORWARDED).compare(Policy::AllowAll);
}

#[test]
fn beside_the_ovs_kernel_datapath_with_the_reference_policy() {
    ovs(SlowPath::OvsKernel, &["auto", "xdp"], OVS_KERNEL_FORWARDED).compare(Policy::Reference);
}

#[test]
fn beside_a_filtering_linux_bridge_allowing_all() {
    linux().compare(Policy::AllowAll);
}

#[test]
fn beside_a_filtering_linux_bridge_with_the_reference_policy() {
    linux().compare(Policy::Reference);
}
