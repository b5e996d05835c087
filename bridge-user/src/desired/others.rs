//! Yielding to others: where somebody else's program, filter, chain or queueing discipline would not see the frames that we
//! forward, the slow path carries them (design section 1).

use super::{DesiredPort, HookPoint, SlowPathKind};
use crate::source::Others;
use std::collections::BTreeMap;

/// Takes ports out of forwarding for what others have put on them.
pub(super) fn yield_to(ports: &mut BTreeMap<u32, DesiredPort>, others: &Others, slow_path: SlowPathKind) {
    // XDP forwards past every egress qdisc; TC does not.
    let xdp = ports.values().any(|port| port.hook.wants(HookPoint::Xdp));
    for (ifindex, port) in ports {
        let mut reasons = others.programs.get(ifindex).cloned().unwrap_or_default();
        reasons.extend(
            others.devices.get(&port.name).into_iter().flatten().map(|chain| format!("{chain} sees its frames")),
        );
        if slow_path == SlowPathKind::Linux {
            reasons.extend(others.bridge.iter().map(|chain| format!("{chain} sees the bridge's frames")));
        }
        if xdp && let Some(kind) = others.qdiscs.get(ifindex) {
            reasons.push(format!("it sends through a {kind} qdisc, which XDP passes by"));
        }
        reasons.into_iter().for_each(|reason| port.leave_out(reason));
    }
}
