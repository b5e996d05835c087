//! One `<interface>` while its children are read. Must not: judge what belongs to which bridge.

use std::collections::BTreeSet;

use quick_xml::events::BytesStart;

use super::{Place, Problem, attribute};
use crate::mac;
use crate::source::{GuestInterface, PortVlan};

/// Highest VID that names a VLAN (IEEE 802.1Q, 9.6).
const LAST_VID: u16 = 4094;

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    mac: Option<String>,
    tap: Option<String>,
    network: Option<String>,
    bridge: Option<String>,
    filter: Option<String>,
    trunk: bool,
    tags: BTreeSet<u16>,
    /// VLAN of untagged frames, and whether these leave with a tag.
    native: Option<(u16, bool)>,
    sends: bool,
    receives: bool,
}

impl Draft {
    /// An element below the interface.
    pub(super) fn take(&mut self, parent: Place, name: &str, element: &BytesStart<'_>) -> Result<(), Problem> {
        match (parent, name) {
            (Place::Interface, "mac") => self.mac = attribute(element, "address")?,
            (Place::Interface, "target") => self.tap = attribute(element, "dev")?,
            (Place::Interface, "source") => {
                self.network = attribute(element, "network")?;
                self.bridge = attribute(element, "bridge")?;
            }
            (Place::Interface, "filterref") => self.filter = attribute(element, "filter")?,
            (Place::Interface, "vlan") => self.trunk = attribute(element, "trunk")?.as_deref() == Some("yes"),
            (Place::Vlan, "tag") => self.tag(element)?,
            // As the guest sees it: inbound is what it receives.
            (Place::Bandwidth, "inbound") => self.receives = true,
            (Place::Bandwidth, "outbound") => self.sends = true,
            _ => {}
        }
        Ok(())
    }

    fn tag(&mut self, element: &BytesStart<'_>) -> Result<(), Problem> {
        let text = attribute(element, "id")?.unwrap_or_default();
        let id = text.parse().ok().filter(|id| *id <= LAST_VID).ok_or(Problem::Value("VLAN tag", text))?;
        self.tags.insert(id);
        match attribute(element, "nativeMode")?.as_deref() {
            Some("tagged") => self.native = Some((id, true)),
            Some("untagged") => self.native = Some((id, false)),
            _ => {}
        }
        Ok(())
    }

    /// The interface; `None`: it has no tap (a passed-through device, a vhost-user socket, or libvirt has not made it yet).
    pub(super) fn finish(self, domain: &str) -> Result<Option<GuestInterface>, Problem> {
        let (vlan, bandwidth) = (self.vlan(), self.bandwidth());
        let Some(tap) = self.tap.filter(|tap| !tap.is_empty()) else { return Ok(None) };
        let text = self.mac.unwrap_or_default();
        let mac = mac::parse(&text).filter(|mac| mac::unfit(*mac).is_none());
        Ok(Some(GuestInterface {
            domain: domain.into(),
            mac: mac.ok_or(Problem::Value("MAC address", text))?,
            tap,
            network: self.network,
            bridge: self.bridge,
            vlan,
            bandwidth,
            filter: self.filter,
            addresses: BTreeSet::new(),
        }))
    }

    fn bandwidth(&self) -> Option<String> {
        let what = match (self.sends, self.receives) {
            (true, true) => "sends and receives",
            (true, false) => "sends",
            (false, true) => "receives",
            (false, false) => return None,
        };
        Some(format!("libvirt limits what its guest {what} (bandwidth)"))
    }

    /// As libvirt hands it to Open vSwitch (src/util/virnetdevopenvswitch.c, `virNetDevOpenvswitchConstructVlans`).
    fn vlan(&self) -> Option<PortVlan> {
        let first = *self.tags.first()?;
        Some(match self.native {
            Some((native, tagged)) => PortVlan::native(native, tagged, &self.tags),
            None if self.trunk || self.tags.len() > 1 => PortVlan::trunk(&self.tags),
            None => PortVlan::access(first),
        })
    }
}
