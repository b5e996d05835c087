//! The model's judgement of a frame that enters through a port of the golden cases' world.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bridge_common::abi::{Counted, Drop, NO_PORT, Punt};
use bridge_common::decide::{Hook, NO_RULE};
use bridge_tests::Mac;
use bridge_user::topology::model::{OtherEthertypes, Policy};

use super::guard;
use super::policy::{self, Said};
use super::reading::{always_passes, is_reserved, surely_summed, to_group, unreadable};
use super::spec::{Body, Fragment, Ip, Spec, Upper};
use crate::support::world::*;

/// Sender, receiver, protocol, and the two numbers that tell flows apart.
type Flow = (IpAddr, IpAddr, u8, u16, u16);

/// Where a station is believed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    slot: u16,
    fixed: bool,
    /// Not seen yet, or too long ago.
    stale: bool,
}

/// All that the model remembers.
#[derive(Clone, Debug)]
pub struct Model {
    pub policy: Policy,
    pub hook: Hook,
    pub learning: bool,
    pub manager: bool,
    pub ready: bool,
    places: BTreeMap<Mac, Place>,
    learned: BTreeMap<u16, i64>,
    flows: BTreeMap<Flow, u32>,
    opened: BTreeMap<u16, u32>,
}

/// What must be counted, and under which rule; `None`: nothing, TC judges it.
pub type Judged = Option<(Counted, u32)>;

impl Model {
    pub fn new(policy: Policy, hook: Hook) -> Self {
        let mut places: BTreeMap<Mac, Place> =
            (1..=10).map(|slot: u16| (mac(slot as u8), Place { slot, fixed: slot == 4, stale: false })).collect();
        places.insert(HOST, Place { slot: NO_PORT, fixed: true, stale: false });
        places.insert(SLEEPER, Place { slot: 2, fixed: true, stale: true });
        places.insert(OLD, Place { slot: 2, fixed: false, stale: true });
        let (learned, flows, opened) = Default::default();
        Self { policy, hook, learning: true, manager: true, ready: true, places, learned, flows, opened }
    }

    /// Judges `frame` at the port in `slot` (`None`: an interface that is no port), and learns from it.
    pub fn enters(&mut self, spec: &Spec, slot: Option<u16>) -> Judged {
        let before = self.clone();
        let outcome = slot.ok_or((Drop::NotReady, NO_RULE)).and_then(|slot| self.judge(spec, slot));
        let (counted, rule) = match outcome {
            Ok((Ok(()), rule)) => (Counted::Forward, rule),
            Ok((Err(reason), rule)) => (Counted::Punt(reason), rule),
            Err((reason, rule)) => (Counted::Drop(reason), rule),
        };
        if slot == Some(10) && self.hook == Hook::Xdp && matches!(counted, Counted::Punt(_)) {
            *self = before;
            return None;
        }
        Some((counted, rule))
    }

    fn judge(&mut self, spec: &Spec, slot: u16) -> Result<(Result<(), Punt>, u32), (Drop, u32)> {
        let unjudged = |reason| (reason, NO_RULE);
        if slot == 7 {
            return Err(unjudged(Drop::NotMember));
        }
        if !self.ready {
            return Err(unjudged(Drop::NotReady));
        }
        unreadable(spec).map_or(Ok(()), |reason| Err(unjudged(reason)))?;
        let place = self.places.get(&spec.from).copied();
        if slot == 4 {
            guard::objection(spec).map_or(Ok(()), |reason| Err(unjudged(reason)))?;
        } else if place.is_some_and(|place| place.fixed && place.slot != slot) {
            return Err(unjudged(Drop::StationElsewhere));
        }
        let (punt, rule) = self.policy(spec, slot)?;
        let source = self.learn(spec, slot, place);
        let tagged = (!spec.tags.is_empty()).then_some(Punt::Vlan);
        let ineligible = matches!(slot, 5 | 6).then_some(Punt::Ineligible);
        let manager = (!self.manager).then_some(Punt::NoManager);
        let reason = punt.or(tagged).or(ineligible).or(source).or(manager).or_else(|| self.destination(spec, slot));
        Ok((reason.map_or(Ok(()), Err), rule))
    }

    /// Why a frame that may pass is not for the fast path, if so, and its rule.
    fn policy(&mut self, spec: &Spec, slot: u16) -> Result<(Option<Punt>, u32), (Drop, u32)> {
        let reserved = is_reserved(spec.to).then_some(Punt::Control);
        let passes = |punt| Ok((Some(punt), NO_RULE));
        match (&spec.body, spec.ethertype()) {
            (Body::Ip(ip), _) => {
                let (punt, rule) = self.ip(spec, ip, slot)?;
                Ok((punt.or(reserved), rule))
            }
            (_, Some(0x88b6)) => Err((Drop::Refresh, NO_RULE)),
            (Body::Arp(_), _) => passes(Punt::Control),
            (Body::Llc(_) | Body::Snap(..), _) | (_, Some(0x888e | 0x88cc)) if spec.tags.len() < 2 => {
                passes(Punt::Control)
            }
            _ if reserved.is_some() => passes(Punt::Control),
            _ if spec.tags.len() > 1 => passes(Punt::Vlan),
            _ if self.policy.other_ethertypes == OtherEthertypes::Drop => Err((Drop::Ethertype, NO_RULE)),
            _ => passes(Punt::Ethertype),
        }
    }

    fn ip(&mut self, spec: &Spec, ip: &Ip, slot: u16) -> Result<(Option<Punt>, u32), (Drop, u32)> {
        if host_addresses().contains(&ip.src) {
            return Err((Drop::HostSpoof, NO_RULE));
        }
        if always_passes(ip) {
            return Ok((Some(Punt::Control), NO_RULE));
        }
        if to_group(ip) {
            let reserved = is_reserved(spec.to);
            return Ok((Some(if reserved { Punt::Control } else { Punt::Multicast }), NO_RULE));
        }
        if host_addresses().contains(&ip.dst) && spec.to == HOST {
            return Ok((None, NO_RULE));
        }
        if let Some(rule) = self.belongs_to_flow(ip) {
            return Ok((None, rule));
        }
        match policy::judge(&self.policy, ip.src, ip.dst, ip.proto(), ip.ports().map(|(_, to)| to)) {
            Said::NeedsPorts => Err((Drop::FragmentNoPorts, NO_RULE)),
            Said::Rule(rule, false, _) => Err((Drop::Policy, rule)),
            Said::Rule(rule, true, true) if !self.open(ip, rule, slot) => Err((Drop::FlowTableFull, rule)),
            Said::Rule(rule, true, _) => Ok((None, rule)),
        }
    }

    fn belongs_to_flow(&self, ip: &Ip) -> Option<u32> {
        if ip.fragment != Fragment::Later
            && let Upper::Error(about) = &ip.upper
        {
            // Only what the quote shows: no chain is followed, no later fragment understood.
            if about.src != ip.dst || !about.chain.is_empty() || !about.is_v4() && about.fragment != Fragment::No {
                return None;
            }
            let found = |key: Option<Flow>| key.and_then(|key| self.flows.get(&key).copied());
            return found(opener(about)).or_else(|| found(answered(about)));
        }
        answered(ip).and_then(|key| self.flows.get(&key).copied())
    }

    fn open(&mut self, ip: &Ip, rule: u32, slot: u16) -> bool {
        let Some(key) = opener(ip) else { return true };
        if self.flows.contains_key(&key) {
            return true;
        }
        let opened = self.opened.entry(slot).or_default();
        if *opened == 8 || self.flows.len() == 64 {
            return false;
        }
        *opened += 1;
        self.flows.insert(key, rule);
        true
    }

    fn learn(&mut self, spec: &Spec, slot: u16, place: Option<Place>) -> Option<Punt> {
        let group = spec.from[0] & 1 == 1;
        let known_elsewhere = place.is_some_and(|place| !place.fixed && place.slot != slot);
        let teaches = spec.tags.is_empty() && !is_reserved(spec.to) && slot != 5;
        if !teaches {
            if known_elsewhere && !group {
                self.places.remove(&spec.from);
                *self.learned.entry(place?.slot).or_default() -= 1;
            }
            return None;
        }
        if group || spec.from == [0; 6] {
            return Some(Punt::BadSourceMac);
        }
        let here = Place { slot, fixed: place.is_some_and(|place| place.fixed), stale: false };
        match place {
            None if !self.learning => return Some(Punt::UnknownSource),
            None if slot != 3 && self.learned.get(&slot).is_some_and(|&count| count >= 4) => {
                return Some(Punt::StationLimit);
            }
            None if self.places.len() == 64 => return Some(Punt::StationLimit),
            None => *self.learned.entry(slot).or_default() += 1,
            Some(old) if known_elsewhere => {
                *self.learned.entry(old.slot).or_default() -= 1;
                *self.learned.entry(slot).or_default() += 1;
            }
            Some(_) => {}
        }
        self.places.insert(spec.from, here);
        match place {
            Some(_) if known_elsewhere => Some(Punt::StationMoved),
            Some(old) if !old.stale => None,
            _ => Some(Punt::UnknownSource),
        }
    }

    fn destination(&self, spec: &Spec, slot: u16) -> Option<Punt> {
        if spec.to[0] & 1 == 1 {
            return Some(Punt::Multicast);
        }
        let place = self.places.get(&spec.to).filter(|place| !place.stale);
        let length = spec.bytes().len() - 14;
        match place {
            _ if spec.to == HOST => Some(Punt::OwnMac),
            None => Some(Punt::UnknownDestination),
            Some(place) if place.slot == slot => Some(Punt::SamePort),
            Some(place) if place.slot == 5 => Some(Punt::Ineligible),
            Some(place) if place.slot == 6 => Some(Punt::EgressDown),
            Some(place) if length > if place.slot == 8 { 600 } else { 1500 } => Some(Punt::OverMtu),
            Some(_) if self.hook == Hook::Xdp && slot != 3 && !surely_summed(spec) => Some(Punt::PartialChecksum),
            Some(place) if self.hook == Hook::Xdp && place.slot == 9 => Some(Punt::NoXdpTarget),
            Some(_) => None,
        }
    }
}

/// The flow that this packet would open.
fn opener(ip: &Ip) -> Option<Flow> {
    let (a, b) = match (ip.icmp(), ip.ports(), &ip.upper) {
        (_, Some(ports), _) => ports,
        (Some((kind, _)), _, Upper::Icmp(_, _, id)) if is_query(ip.is_v4(), kind) => (*id, u16::from(kind)),
        (_, _, Upper::Raw(_)) => (0, 0),
        _ => return None,
    };
    Some((ip.src, ip.dst, ip.proto(), a, b))
}

/// The flow that this packet would be an answer in.
fn answered(ip: &Ip) -> Option<Flow> {
    let (a, b) = match (ip.icmp(), ip.ports(), &ip.upper) {
        (_, Some((from, to)), _) => (to, from),
        (Some((0, _)), _, Upper::Icmp(_, _, id)) if ip.is_v4() => (*id, 8),
        (Some((129, _)), _, Upper::Icmp(_, _, id)) if !ip.is_v4() => (*id, 128),
        (_, _, Upper::Raw(_)) => (0, 0),
        _ => return None,
    };
    Some((ip.dst, ip.src, ip.proto(), a, b))
}

fn is_query(v4: bool, kind: u8) -> bool {
    if v4 { kind == 8 } else { kind == 128 }
}
