//! From replica to snapshot: one bridge, and why it or a port of it must be left to Open vSwitch. Pure.

use super::cell::Uuid;
use super::replica::{Replica, Table};
use super::rows::{Bridge, Interface, Port, Row};
use super::{OvsdbError, reasons};
use crate::source::jsonrpc::MAX_MEMBERS;
use crate::source::{OvsBridge, OvsInterface, OvsSnapshot, PortVlan};

/// vswitch.xml, `other_config:mac-aging-time`.
const DEFAULT_AGEING: u32 = 300;

/// The bridge of this name with all its interfaces, and the names of all others'. A reference to a row that was never
/// told is an error; a row of a bridge that the switch does not refer to is not there.
pub(super) fn snapshot(replica: &Replica, name: &str) -> Result<OvsSnapshot, OvsdbError> {
    let mut snapshot = OvsSnapshot::default();
    for (switch_id, switch) in replica.switches.iter() {
        snapshot.version = switch.version.clone().unwrap_or_default();
        let restoring = reasons::of_switch(switch);
        for (uuid, bridge) in referred(&replica.switches, switch_id, &replica.bridges, &switch.bridges)? {
            let mut interfaces = interfaces(replica, uuid, bridge)?;
            if bridge.name != name {
                snapshot.elsewhere.extend(interfaces.into_iter().map(|interface| interface.name));
                bounded(snapshot.elsewhere.len())?;
                continue;
            }
            interfaces.sort_by(|a, b| a.name.cmp(&b.name));
            snapshot.bridge = Some(OvsBridge {
                userspace: bridge.datapath_type == "netdev",
                ageing_time: ageing_time(bridge),
                interfaces,
                ineligible: restoring.iter().cloned().chain(reasons::of_bridge(replica, uuid, bridge)?).collect(),
            });
        }
    }
    snapshot.elsewhere.sort();
    Ok(snapshot)
}

/// The rows that a column of row `from` refers to.
pub(super) fn referred<'a, F: Row, T: Row>(
    table: &Table<F>,
    from: &Uuid,
    to: &'a Table<T>,
    references: impl IntoIterator<Item = &'a Uuid>,
) -> Result<Vec<(&'a Uuid, &'a T)>, OvsdbError> {
    let find = |reference: &'a Uuid| {
        let what = || format!("refers to row {} of table {}, which was not sent", reference.0, to.name());
        let found = to.get(reference).map(|row| (reference, row));
        found.ok_or_else(|| OvsdbError::Row { table: table.name(), row: from.0.clone(), what: what() })
    };
    references.into_iter().map(find).collect()
}

fn interfaces(replica: &Replica, uuid: &Uuid, bridge: &Bridge) -> Result<Vec<OvsInterface>, OvsdbError> {
    let mut interfaces = Vec::new();
    for (port_id, port) in referred(&replica.bridges, uuid, &replica.ports, &bridge.ports)? {
        for (_, interface) in referred(&replica.ports, port_id, &replica.interfaces, &port.interfaces)? {
            interfaces.push(ovs_interface(replica, &bridge.name, (port_id, port), interface)?);
            bounded(interfaces.len())?;
        }
    }
    Ok(interfaces)
}

/// Rows that refer to the same ones again and again are few, what they refer to need not be.
fn bounded(interfaces: usize) -> Result<(), OvsdbError> {
    if interfaces > MAX_MEMBERS { Err(OvsdbError::TooMuch("65536 interfaces of bridges")) } else { Ok(()) }
}

fn ovs_interface(
    replica: &Replica,
    bridge: &str,
    (port_id, port): (&Uuid, &Port),
    interface: &Interface,
) -> Result<OvsInterface, OvsdbError> {
    let local = interface.name == bridge;
    let trunks: Vec<_> = port.trunks.iter().copied().collect();
    let vlan = PortVlan::of_ovs(port.vlan_mode.as_deref(), port.tag, &trunks);
    let mut ineligible = reasons::of_port(local, port, interface);
    ineligible.extend(reasons::of_qos(replica, port_id, port)?);
    let vlan = vlan.unwrap_or_else(|why| {
        ineligible.push(why);
        PortVlan::PLAIN
    });
    Ok(OvsInterface {
        name: interface.name.clone(),
        kind: if local { "internal".into() } else { interface.kind.clone() },
        ifindex: interface.ifindex.and_then(|n| u32::try_from(n).ok()).filter(|&n| n != 0),
        ofport: reasons::ofport(interface),
        vlan,
        ineligible,
    })
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

#[cfg(test)]
mod tests;
