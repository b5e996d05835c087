//! One managed port: rule, hook, flags and limits.

use std::collections::BTreeSet;

use bridge_common::abi::maps::Limits;
use bridge_common::abi::{self, Port};
use globset::{Glob, GlobMatcher};

use super::bridge::View;
use super::member::Membership;
use super::{DesiredError, DesiredPort, Hook, HookPoint, SlowPathKind, vlan};
use crate::source::{Link, LinkKind};
use crate::topology::model::{HookChoice, PortRule, Role, Topology};

/// Flows that one port may open: this part of `limits.flows`.
const FLOW_SHARE: u32 = 8;

/// `manage` and `[[port]] match`, compiled. Case sensitive; `*` matches anything.
pub(super) struct Patterns<'a> {
    manage: Vec<GlobMatcher>,
    rules: Vec<(GlobMatcher, &'a PortRule)>,
}

impl<'a> Patterns<'a> {
    /// Compiles them. Errors: [`DesiredError::Glob`].
    pub(super) fn compile(topology: &'a Topology) -> Result<Self, DesiredError> {
        let manage = topology.bridge.manage.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>()?;
        let rules = topology.ports.iter().map(|rule| Ok((compile(&rule.pattern)?, rule))).collect::<Result<_, _>>()?;
        Ok(Self { manage, rules })
    }

    /// Whether an interface of this name and membership is to be a port: `[bridge] manage` names it, or names none, and then it must be one of the
    /// bridge already: what the host's other taps are for is not known.
    pub(super) fn manages(&self, name: &str, membership: &Membership) -> bool {
        match membership {
            Membership::Foreign => false,
            Membership::Early => self.manage.iter().any(|glob| glob.is_match(name)),
            Membership::Member(_) => self.manage.is_empty() || self.manage.iter().any(|glob| glob.is_match(name)),
        }
    }

    /// The first `[[port]]` whose pattern matches.
    pub(super) fn rule(&self, name: &str) -> Option<&'a PortRule> {
        self.rules.iter().find(|(glob, _)| glob.is_match(name)).map(|(_, rule)| *rule)
    }
}

fn compile(pattern: &str) -> Result<GlobMatcher, DesiredError> {
    Ok(Glob::new(pattern).map_err(|error| DesiredError::Glob(pattern.to_owned(), error))?.compile_matcher())
}

/// The port of `link`, without guard addresses, and, if the file's choice of hook would do harm, why: then it has the programs
/// that it would have without that choice, so that it is policed, and takes no part in forwarding.
pub(super) fn port(
    link: &Link,
    membership: Membership,
    rule: Option<&PortRule>,
    view: &View<'_>,
    limits: &Limits,
) -> (DesiredPort, Option<String>) {
    let choice = rule.map_or(HookChoice::Auto, |rule| rule.hook);
    // A tap's frames are bytes that its owner wrote.
    let tag_beside = link.kind != LinkKind::Tap;
    let hook = Hook::resolve(choice, view.userspace(), tag_beside);
    let harm = hook.is_none().then(|| {
        format!(
            "port {}: hook = \"tc\" beside Open vSwitch's userspace datapath would deliver every frame twice; use \
             \"auto\" or \"xdp\"",
            link.name
        )
    });
    let hook = hook.unwrap_or(Hook::beside_userspace(tag_beside));
    let (member, mut ineligible) = match membership {
        Membership::Member(reasons) => (true, reasons),
        Membership::Early | Membership::Foreign => (false, vec!["it is not a port of the bridge yet".to_owned()]),
    };
    ineligible.extend(harm.clone());
    let vlan = view.vlan(link);
    let (vlan_flags, pvid) = vlan::in_map(vlan.as_ref(), view.slow_path() != SlowPathKind::Linux);
    let virt = matches!(link.kind, LinkKind::Tap | LinkKind::Veth);
    let flags = [
        (member, abi::PORT_MEMBER),
        (ineligible.is_empty(), abi::PORT_ELIGIBLE),
        (link.running, abi::PORT_RUNNING),
        (rule.is_some_and(|rule| rule.guard), abi::PORT_GUARD),
        (virt, abi::PORT_VIRTUAL),
        (xdp_target(link), abi::PORT_XDP_TARGET),
        (hook == Hook::XdpTc, abi::PORT_TC_BEHIND),
        (tag_beside && hook.wants(HookPoint::Xdp), abi::PORT_TAG_BESIDE),
    ];
    let flags = flags.iter().filter(|(holds, _)| *holds).fold(vlan_flags, |flags, (_, bit)| flags | bit);
    let uplink = match rule.map_or(Role::Auto, |rule| rule.role) {
        Role::Auto => !virt,
        Role::Station => false,
        Role::Uplink => true,
    };
    let port = Port {
        ifindex: link.ifindex,
        mtu: link.mtu,
        flags,
        station_limit: if uplink { u32::MAX } else { limits.stations_per_port },
        flow_limit: limits.flows / FLOW_SHARE,
        pvid,
        pad: 0,
    };
    (DesiredPort { name: link.name.clone(), hook, port, vlan, ineligible, guard: BTreeSet::new() }, harm)
}

/// Older kernels do not tell; there a tap always takes redirected frames, a veth only with its peer's help.
fn xdp_target(link: &Link) -> bool {
    link.xdp_target.unwrap_or(link.kind == LinkKind::Tap)
}
