//! A case as data: tables, then frames, each with its verdict, its rule, and every change that it may make.

use std::collections::BTreeSet;

use bridge_common::abi::{Counted, Drop, Punt};
use bridge_common::decide::{NO_RULE, Retag};
use bridge_common::wire::Tag;
use bridge_tests::model::{Action, Counts, Setup};

use super::effects::Effect;
use super::world::world;

/// What must happen to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Ingress: out of this interface.
    Forward(u32),
    /// Ingress: to the slow path.
    Punt(Punt),
    /// Ingress: dropped.
    Drop(Drop),
    /// XDP: to the TC program behind it, nothing counted or changed here.
    ToTc,
    /// Egress: judged elsewhere.
    Skip,
    /// Egress: judged, passes.
    Pass,
    /// Egress: judged, dropped.
    EgressDrop(Drop),
}

impl Want {
    pub fn action(self) -> Action {
        match self {
            Self::Forward(ifindex) => Action::Redirect(ifindex),
            Self::Punt(_) | Self::ToTc | Self::Skip | Self::Pass => Action::Pass,
            Self::Drop(_) | Self::EgressDrop(_) => Action::Drop,
        }
    }

    pub fn counted(self) -> Option<Counted> {
        match self {
            Self::Forward(_) => Some(Counted::Forward),
            Self::Punt(reason) => Some(Counted::Punt(reason)),
            Self::Drop(reason) => Some(Counted::Drop(reason)),
            Self::Pass => Some(Counted::EgressPass),
            Self::EgressDrop(reason) => Some(Counted::EgressDrop(reason)),
            Self::ToTc | Self::Skip => None,
        }
    }
}

/// Where a frame meets a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Enters through this interface.
    Ingress(u32),
    /// Leaves through `0`, having entered the host's stack by `1`.
    Egress(u32, u32),
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    Xdp,
    In,
    Out,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Step {
    pub frame: Vec<u8>,
    pub at: At,
    /// Is a super-frame: never at XDP.
    pub gso: bool,
    /// Tag in metadata: never in TestRun.
    pub tag: Option<Tag>,
    /// What becomes of its tag if it is forwarded.
    pub retag: Retag,
    /// Seconds that pass before it.
    pub after: u64,
    pub want: Want,
    /// Where XDP differs.
    pub want_xdp: Option<Want>,
    /// Slot of the rule that it counts under.
    pub rule: u32,
    pub effects: BTreeSet<Effect>,
    /// XDP tells those behind it that it has seen a tag.
    pub says_tag: bool,
}

impl Step {
    /// Programs that judge it.
    pub fn programs(&self) -> &'static [Program] {
        match self.at {
            At::Egress(..) => &[Program::Out],
            At::Ingress(_) if self.gso || self.tag.is_some() => &[Program::In],
            At::Ingress(_) => &[Program::In, Program::Xdp],
        }
    }

    pub fn want(&self, program: Program) -> Want {
        if program == Program::Xdp { self.want_xdp.unwrap_or(self.want) } else { self.want }
    }

    /// The frame after the program. A TC program pushes a tag into metadata, which TestRun does not show.
    pub fn leaving(&self, program: Program) -> Vec<u8> {
        let frame = &self.frame;
        if self.says_tag && program == Program::Xdp {
            return [&b"vlan"[..], frame].concat();
        }
        let forwarded = matches!(self.want(program), Want::Forward(_));
        match self.retag.pushed() {
            Some(tci) if forwarded && program == Program::Xdp => {
                [&frame[..12], &[0x81, 0], &tci.to_be_bytes(), &frame[12..]].concat()
            }
            None if forwarded && self.retag == Retag::POP && frame.len() >= 16 => [&frame[..12], &frame[16..]].concat(),
            _ => frame.clone(),
        }
    }

    /// Effects that are expected; what is left to TC changes nothing.
    pub fn effects(&self, program: Program) -> BTreeSet<Effect> {
        if self.want(program) == Want::ToTc { BTreeSet::new() } else { self.effects.clone() }
    }

    /// Every counter that must have moved, and how far.
    pub fn counts(&self, program: Program, tables: &Setup) -> Counts {
        let mut counts = Counts::default();
        let ifindex = match self.at {
            At::Ingress(ifindex) | At::Egress(ifindex, _) => ifindex,
        };
        if let Some(counted) = self.want(program).counted() {
            let slot = tables.slots.get(&ifindex).copied().unwrap_or(0);
            let length = self.frame.len() as u32 + if self.tag.is_some() { 4 } else { 0 };
            counts.count(slot, counted, self.rule, length);
        }
        counts
    }
}

/// Frames one after the other on the same tables.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub tables: Setup,
    pub steps: Vec<Step>,
}

/// In the world as it should be, `frame` enters through `ifindex`.
pub fn enters(name: &str, ifindex: u32, frame: Vec<u8>, want: Want) -> Case {
    Case { name: name.into(), tables: world(), steps: Vec::new() }.step(At::Ingress(ifindex), frame, want)
}

/// In the world as it should be, `frame` leaves through `ifindex`, having come from `from`.
pub fn leaves(name: &str, ifindex: u32, from: u32, frame: Vec<u8>, want: Want) -> Case {
    Case { name: name.into(), tables: world(), steps: Vec::new() }.step(At::Egress(ifindex, from), frame, want)
}

impl Case {
    /// Changes the world.
    pub fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.tables);
        self
    }

    fn step(mut self, at: At, frame: Vec<u8>, want: Want) -> Self {
        let (gso, tag, retag, after, want_xdp) = (false, None, Retag::KEEP, 0, None);
        let (rule, effects) = (NO_RULE, BTreeSet::new());
        self.steps.push(Step { frame, at, gso, tag, retag, after, want, want_xdp, rule, effects, says_tag: false });
        self
    }

    /// Then this frame enters.
    pub fn then(self, ifindex: u32, frame: Vec<u8>, want: Want) -> Self {
        self.step(At::Ingress(ifindex), frame, want)
    }

    /// Then this frame leaves.
    pub fn then_leaves(self, ifindex: u32, from: u32, frame: Vec<u8>, want: Want) -> Self {
        self.step(At::Egress(ifindex, from), frame, want)
    }

    fn last(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(self.steps.last_mut().unwrap());
        self
    }

    /// The last frame counts under this rule.
    pub fn under(self, rule: u32) -> Self {
        self.last(|step| step.rule = rule)
    }

    /// The last frame changes exactly this.
    pub fn changing<const N: usize>(self, effects: [Effect; N]) -> Self {
        self.last(|step| step.effects = effects.into())
    }

    /// The last frame's source is noted, besides, as an address in no zone that was seen on the port in this slot.
    pub fn zoneless(self, slot: u16) -> Self {
        self.last(|step| _ = step.effects.insert(Effect::Zoneless(slot)))
    }

    /// The last frame's verdict at XDP.
    pub fn at_xdp(self, want: Want) -> Self {
        self.last(|step| step.want_xdp = Some(want))
    }

    /// The last frame is a super-frame.
    pub fn gso(self) -> Self {
        self.last(|step| step.gso = true)
    }

    /// The last frame carries this tag in metadata.
    pub fn metadata_tag(self, tci: u16) -> Self {
        self.last(|step| step.tag = Some(Tag::customer(tci)))
    }

    /// The last frame carries this 802.1ad tag in metadata.
    pub fn metadata_service_tag(self, tci: u16) -> Self {
        self.last(|step| step.tag = Some(Tag { tci, service: true }))
    }

    /// XDP tells those behind it that it has seen the last frame's tag. TestRun shows that in front of the frame.
    pub fn saying_tag(self) -> Self {
        self.last(|step| step.says_tag = true)
    }

    /// The last frame is forwarded with its tag changed so.
    pub fn retagged(self, retag: Retag) -> Self {
        self.last(|step| step.retag = retag)
    }

    /// So many seconds pass before the last frame.
    pub fn after(self, seconds: u64) -> Self {
        self.last(|step| step.after = seconds)
    }
}
