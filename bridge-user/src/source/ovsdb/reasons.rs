//! Why a bridge or a port must be left to Open vSwitch, in words. Pure.
//!
//! Columns of vswitch.xml that change what becomes of a frame which the programs could forward are reasons. These are none, although they sound so:
//! * `other_config:forward-bpdu`: decides about reserved destinations only (`is_admissible` in ofproto/ofproto-dpif-xlate.c), which the
//!   programs never forward, nor learn from what OVS makes of them.
//! * Interface `lldp:enable` and `cfm_mpid`: OVS keeps LLDP frames and CFM's group addresses for itself (`process_special` there), neither of
//!   which the programs forward. A CFM fault takes a link out of bonds and fail-over groups, not out of NORMAL.
//! * Port `lacp` with one interface: the same; LACP has a reserved destination. `bond_mode` and its like mean nothing without a bond.
//! * Port `cvlans` and `other_config:qinq-ethtype`: mean something for `dot1q-tunnel` only. `stp-*`, `rstp-*` and `mcast-snooping-*` keys: only
//!   where the bridge runs these.
//! * `auto_attach`: writes VLANs into Port rows, where they are seen. `controller`, `flow_tables`: the flows themselves are looked at
//!   elsewhere. `fake_bridge`, `bond_fake_iface`, `mac`, `hwaddr`, `mtu_request`: nothing that netlink does not show.
//! * `other_config:mac-table-size`: what OVS evicts is forgotten as what it flushes.

use super::OvsdbError;
use super::cell::Uuid;
use super::eligibility::referred;
use super::replica::{Replica, Table};
use super::rows::{Bridge, Interface, OpenVswitch, Port, Sampling};
use crate::source::jsonrpc::repeat;

/// Of the whole switch.
pub(super) fn of_switch(switch: &OpenVswitch) -> Option<String> {
    // vswitchd/bridge.c: until it is unset, ovs-vswitchd handles no frame that no flow in the datapath matches.
    let waits = switch.other_config.get("flow-restore-wait").is_some_and(|value| value == "true");
    waits.then(|| "Open vSwitch waits for its flows to be restored (other_config:flow-restore-wait)".into())
}

/// Of a bridge.
pub(super) fn of_bridge(replica: &Replica, uuid: &Uuid, bridge: &Bridge) -> Result<Vec<String>, OvsdbError> {
    let mut reasons = Vec::new();
    if !matches!(bridge.datapath_type.as_str(), "" | "system" | "netdev") {
        reasons.push(format!("datapath_type \"{}\" is not known", repeat(&bridge.datapath_type)));
    }
    let mirrors = referred(&replica.bridges, uuid, &replica.mirrors, &bridge.mirrors)?;
    if !mirrors.is_empty() {
        let names = list(mirrors.iter().map(|(_, mirror)| mirror.name.as_str()));
        reasons.push(format!("the bridge mirrors traffic (column mirrors: {names})"));
    }
    let sampling = |what: &str, table: &Table<Sampling>, reference: &Option<Uuid>| {
        let rows = referred(&replica.bridges, uuid, table, reference)?;
        let told =
            |(_, row): &(&Uuid, &Sampling)| format!("{what} (to {})", list(row.targets.iter().map(String::as_str)));
        Ok::<_, OvsdbError>(rows.first().map(told))
    };
    reasons.extend(sampling("the bridge samples traffic for sFlow", &replica.sflow, &bridge.sflow)?);
    reasons.extend(sampling("the bridge counts traffic for NetFlow", &replica.netflow, &bridge.netflow)?);
    reasons.extend(sampling("the bridge samples traffic for IPFIX", &replica.ipfix, &bridge.ipfix)?);
    let modes = [
        (bridge.stp, "the bridge runs STP (stp_enable)"),
        (bridge.rstp, "the bridge runs RSTP (rstp_enable)"),
        (bridge.snooping, "the bridge snoops multicast (mcast_snooping_enable)"),
        (bridge.fail_mode.as_deref() == Some("secure"), "fail_mode is secure: only a controller's flows may forward"),
        (!bridge.flood_vlans.is_empty(), "the bridge floods some VLANs without learning (flood_vlans)"),
    ];
    reasons.extend(modes.into_iter().filter(|(on, _)| *on).map(|(_, why)| why.into()));
    Ok(reasons)
}

/// Of one interface and its port, apart from its VLANs and its QoS.
pub(super) fn of_port(local: bool, port: &Port, interface: &Interface) -> Vec<String> {
    let mut reasons = Vec::new();
    if local {
        reasons.push("it is the bridge's own interface".into());
    }
    if port.interfaces.len() > 1 {
        reasons.push(format!("it is one of {} interfaces of bond {}", port.interfaces.len(), repeat(&port.name)));
    }
    if !matches!(interface.kind.as_str(), "" | "system" | "afxdp" | "tap" | "internal") {
        reasons.push(format!("Open vSwitch alone serves interfaces of type {}", repeat(&interface.kind)));
    }
    if ofport(interface).is_none() {
        let error = interface.error.as_deref().map_or(String::new(), |error| format!(": {}", repeat(error)));
        reasons.push(format!("Open vSwitch has not put the interface into its datapath{error}"));
    }
    // PORT_PRIORITY_TAGS_NEVER (vswitchd/bridge.c `port_configure`). What a newer one may make of another word is not known.
    let tags = port.other_config.get("priority-tags").map_or("never", String::as_str);
    if !matches!(tags, "never" | "false" | "") {
        reasons.push(format!("the port sends priority tags (other_config:priority-tags={})", repeat(tags)));
    }
    if interface.policing_rate != 0 || interface.policing_packets != 0 {
        let (rate, packets) = (interface.policing_rate, interface.policing_packets);
        let limit = if rate != 0 { format!("{rate} kbit/s") } else { format!("{packets} kpkt/s") };
        reasons.push(format!("Open vSwitch limits what it may send to {limit} (ingress policing)"));
    }
    // lib/bfd.c `bfd_should_process_flow`: datagrams to port 3784 from there end in OVS, whatever their destination.
    if interface.bfd.get("enable").is_some_and(|value| value == "true") {
        reasons.push("Open vSwitch keeps the interface's BFD for itself (bfd:enable)".into());
    }
    if port.protected {
        reasons.push("the port is protected".into());
    }
    reasons
}

/// Of the port's QoS record.
pub(super) fn of_qos(replica: &Replica, port_id: &Uuid, port: &Port) -> Result<Option<String>, OvsdbError> {
    let records = referred(&replica.ports, port_id, &replica.qos, &port.qos)?;
    Ok(records.first().map(|(_, qos)| format!("the port has a QoS record of type {}", repeat(&qos.kind))))
}

/// -1: could not be added to the datapath; OFPP_MAX is 0xff00, OFPP_LOCAL 0xfffe (OpenFlow 1.0, 5.2.1).
pub(super) fn ofport(interface: &Interface) -> Option<u16> {
    interface.ofport.and_then(|n| u16::try_from(n).ok()).filter(|&n| matches!(n, 1..0xff00 | 0xfffe))
}

/// Names as one text.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    repeat(&names.collect::<Vec<_>>().join(", "))
}
