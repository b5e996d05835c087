//! Which of our programs a port carries. Plain data; attaches nothing.

use crate::topology::model::HookChoice;

/// A place at an interface where one program of ours can sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookPoint {
    /// XDP, native or generic.
    Xdp,
    /// tcx or clsact ingress: frames that enter the bridge.
    TcIngress,
    /// tcx or clsact ingress, a program that judges nothing: it looks for VLAN tags that lie beside the frame, where XDP does not see them.
    TcWatch,
    /// tcx or clsact egress: frames that leave the bridge, the host's own included.
    TcEgress,
}

impl HookPoint {
    /// Every point, in the order in which they are attached: XDP last, because it may lean on TC behind it.
    pub const ALL: [Self; 4] = [Self::TcEgress, Self::TcWatch, Self::TcIngress, Self::Xdp];
}

/// The programs of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// TC ingress and TC egress.
    Tc,
    /// XDP in front of TC ingress, and TC egress.
    XdpTc,
    /// XDP and TC egress, no TC ingress: ports of OVS's userspace datapath, whose AF_PACKET socket takes each frame
    /// before TC ingress sees it.
    XdpEgress,
    /// The same for interfaces whose frames may have their tag beside them (all but taps): TC ingress watches, and judges nothing.
    XdpWatched,
}

impl Hook {
    /// What `[[port]] hook` means beside this slow path for an interface whose tags may lie beside its frames; `None`: it cannot work there.
    pub fn resolve(choice: HookChoice, userspace_datapath: bool, tag_beside: bool) -> Option<Self> {
        match (choice, userspace_datapath) {
            (HookChoice::Auto | HookChoice::Tc, false) => Some(Self::Tc),
            (HookChoice::Xdp, false) => Some(Self::XdpTc),
            (HookChoice::Auto | HookChoice::Xdp, true) => Some(Self::beside_userspace(tag_beside)),
            (HookChoice::Tc, true) => None,
        }
    }

    /// What a port of the userspace datapath has.
    pub fn beside_userspace(tag_beside: bool) -> Self {
        if tag_beside { Self::XdpWatched } else { Self::XdpEgress }
    }

    /// Whether a program of ours belongs at `point`.
    pub fn wants(self, point: HookPoint) -> bool {
        match point {
            HookPoint::TcEgress => true,
            HookPoint::TcIngress => matches!(self, Self::Tc | Self::XdpTc),
            HookPoint::TcWatch => self == Self::XdpWatched,
            HookPoint::Xdp => self != Self::Tc,
        }
    }
}
