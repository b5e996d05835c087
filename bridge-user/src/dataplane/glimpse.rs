//! What sits at the hooks of our ports, asked so cheaply that it can be asked at every beat: one short system call for each port and
//! place. Only whether two glimpses are the same means something: it tells that something changed, not what.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use super::{
    links::Attachment,
    pinned::Links,
    tcx::{Place, Tcx},
};
use crate::desired::HookPoint;

/// One look.
#[derive(Debug, PartialEq)]
pub(super) struct Glimpse {
    /// By interface: tcx ingress and egress. Ours and those of others.
    tcx: BTreeMap<u32, [Option<Tcx>; 2]>,
    /// Interfaces that our XDP links sit on.
    xdp: Vec<Option<u32>>,
    /// When a pin was last made or removed.
    pins: Option<SystemTime>,
}

impl Glimpse {
    /// Looks at these interfaces, these links and the directory of their pins.
    pub(super) fn take(ports: impl Iterator<Item = u32>, held: &Links, pins: &Path) -> Self {
        let places = |ifindex| [Place::Ingress, Place::Egress].map(|place| Tcx::query(ifindex, place));
        let xdp = held.iter().filter(|((_, point), _)| *point == HookPoint::Xdp);
        Self {
            tcx: ports.map(|ifindex| (ifindex, places(ifindex))).collect(),
            xdp: xdp.map(|(_, (attachment, _))| interface(attachment)).collect(),
            pins: fs::metadata(pins).and_then(|directory| directory.modified()).ok(),
        }
    }
}

fn interface(attachment: &Attachment) -> Option<u32> {
    match attachment {
        Attachment::Link(link) => Some(link.info()?.ifindex),
        Attachment::Filter => None,
    }
}
