//! Which of our programs a port carries. Plain data; attaches nothing.

use crate::topology::model::HookChoice;

/// A place at an interface where one program of ours can sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookPoint {
    /// XDP, native or generic.
    Xdp,
    /// tcx or clsact ingress: frames that enter the bridge.
    TcIngress,
    /// tcx or clsact egress: frames that leave the bridge, the host's own included.
    TcEgress,
}

impl HookPoint {
    /// Every point, in the order in which they are attached: XDP last, because it may lean on TC behind it.
    pub const ALL: [Self; 3] = [Self::TcEgress, Self::TcIngress, Self::Xdp];
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
}

impl Hook {
    /// What `[[port]] hook` means beside this slow path; `None`: it cannot work there.
    pub fn resolve(choice: HookChoice, userspace_datapath: bool) -> Option<Self> {
        match (choice, userspace_datapath) {
            (HookChoice::Auto | HookChoice::Tc, false) => Some(Self::Tc),
            (HookChoice::Xdp, false) => Some(Self::XdpTc),
            (HookChoice::Auto | HookChoice::Xdp, true) => Some(Self::XdpEgress),
            (HookChoice::Tc, true) => None,
        }
    }

    /// Whether a program of ours belongs at `point`.
    pub fn wants(self, point: HookPoint) -> bool {
        match point {
            HookPoint::TcEgress => true,
            HookPoint::TcIngress => self != Self::XdpEgress,
            HookPoint::Xdp => self != Self::Tc,
        }
    }
}
