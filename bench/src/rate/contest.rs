//! Paths of one lab or of several take turns, round by round: what a neighbour does to caches and clocks hits every path of a round alike,
//! so that ratios are taken within a round.

use std::{collections::BTreeMap, panic::resume_unwind, thread};

use anyhow::{Context as _, Result, bail};

use super::{
    kind::Kind,
    load::Load,
    site::{Plan, Site},
};
use crate::{policy::nftables, progress::Progress, report::Row, stats::ratios};

/// A turn that lost more is no measurement of a path.
const LEAST_COUNTED: f64 = 0.99;

/// One path of one site with one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// The number that the caller gave its site.
    pub(super) site: usize,
    pub(super) kind: Kind,
    pub(super) load: Load,
}

/// What a lane gave, round by round.
struct Entry {
    lane: Lane,
    what: String,
    frames: u32,
    /// Mpps.
    rates: Vec<f64>,
    sent: u64,
    counted: u64,
    /// Why this is no measurement of the path.
    spoiled: Option<String>,
}

impl Entry {
    fn share(&self) -> f64 {
        self.counted as f64 / self.sent as f64
    }

    fn counts(&self) -> &'static str {
        if self.lane.load.is_denied() { "counted as denied" } else { "delivered" }
    }
}

/// Sites and the lanes that take turns in them.
pub(super) struct Contest {
    sites: BTreeMap<usize, Site>,
    entries: Vec<Entry>,
    /// What cannot take part, and why.
    absent: Vec<(usize, Kind, String)>,
    skipped: Vec<Row>,
    /// Offered more than it takes, a path of others may lose.
    lossy: bool,
}

impl Contest {
    /// Builds the sites of these plans, each under its number, all at the same time: most of it is waiting for links. A site with nftables
    /// where there are none is absent.
    pub(super) fn build(plans: &[(usize, Plan<'_>)]) -> Result<Self> {
        let judged = |plan: &Plan<'_>| plan.kinds.contains(&Kind::Nftables);
        let lacking = if plans.iter().any(|(_, plan)| judged(plan)) { nftables::lacking()? } else { None };
        let (without, with): (Vec<_>, Vec<_>) = plans.iter().partition(|(_, plan)| judged(plan) && lacking.is_some());
        let built: Result<_> = thread::scope(|scope| {
            let build = |(number, plan): &'_ &(usize, Plan<'_>)| (*number, Site::build(plan));
            let started: Vec<_> = with.iter().map(|plan| scope.spawn(move || build(plan))).collect();
            let ended = started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            ended.map(|(number, site)| Ok((number, site?))).collect()
        });
        let mut contest =
            Self { sites: built?, entries: Vec::new(), absent: Vec::new(), skipped: Vec::new(), lossy: false };
        for (number, _) in without {
            contest.absent(*number, Kind::Nftables, lacking.as_deref().unwrap_or_default());
        }
        Ok(contest)
    }

    /// Sends frames that count for nothing.
    pub(super) fn send(&mut self, lane: Lane, frames: u32) -> Result<()> {
        let site = self.sites.get_mut(&lane.site).context("a lane without its site")?;
        site.send(lane.kind, lane.load, frames).map(drop)
    }

    /// What must be said of all figures of a site.
    pub(super) fn remark(&mut self, number: usize, remark: &str) {
        if let Some(site) = self.sites.get_mut(&number) {
            site.remark = remark.into();
        }
    }

    /// What arrives is counted, whatever is lost.
    pub(super) fn lossy(self) -> Self {
        Self { lossy: true, ..self }
    }

    /// A path of this kind cannot be had there: its lanes, and what is compared with them, are rows that say why.
    pub(super) fn absent(&mut self, site: usize, kind: Kind, why: &str) {
        self.absent.push((site, kind, why.to_owned()));
    }

    /// Adds a lane, `frames` at a time. `what` names its path in the rows.
    pub(super) fn enter(&mut self, lane: Lane, what: &str, frames: u32) {
        let what = format!("{what}, {}", lane.load.name());
        if let Some(why) = self.why_absent(lane) {
            self.skipped.push(Row::skip(&what, why));
            return;
        }
        self.entries.push(Entry { lane, what, frames, rates: Vec::new(), sent: 0, counted: 0, spoiled: None });
    }

    /// Turns to come.
    pub(super) fn turns(&self, rounds: usize) -> usize {
        self.entries.len() * (rounds + 1)
    }

    /// Takes the turns, and says how much fastbridge forwarded itself.
    pub(super) fn run(&mut self, rounds: usize, progress: &Progress) -> Result<()> {
        let before = self.forwarded()?;
        // The first round warms caches and counts for nothing but the shares.
        for round in 0..=rounds {
            self.sites.values_mut().try_for_each(Site::prime)?;
            // Every path follows every other one equally often.
            for turn in 0..self.entries.len() {
                let at = (turn + round) % self.entries.len();
                progress.step(&self.entries[at].what);
                let rate = self.turn(at, round == 0)?;
                if round > 0 {
                    self.entries[at].rates.push(rate);
                }
            }
        }
        let after = self.forwarded()?;
        for ((site, kind, before), (_, _, after)) in before.into_iter().zip(after) {
            self.check_share(site, kind, after - before)?;
        }
        let lossy = self.lossy;
        for entry in self.entries.iter_mut().filter(|entry| !lossy || entry.lane.kind.is_managed()) {
            if entry.share() < LEAST_COUNTED && entry.spoiled.is_none() {
                entry.spoiled =
                    Some(format!("only {:.1} % of the frames were {}", entry.share() * 100.0, entry.counts()));
            }
        }
        Ok(())
    }

    fn turn(&mut self, at: usize, warming: bool) -> Result<f64> {
        let Entry { lane, frames, sent, counted, .. } = &mut self.entries[at];
        let site = self.sites.get_mut(&lane.site).context("a lane without its site")?;
        let frames = if warming { *frames / 8 } else { *frames };
        let turn = site.send(lane.kind, lane.load, frames)?;
        *sent += u64::from(frames);
        *counted += turn.counted;
        Ok(turn.counted as f64 / turn.took.as_secs_f64() / 1e6)
    }

    /// What fastbridge has forwarded of each path of its own.
    fn forwarded(&self) -> Result<Vec<(usize, Kind, u64)>> {
        let mut found: Vec<(usize, Kind, u64)> = Vec::new();
        for Lane { site, kind, .. } in self.entries.iter().map(|entry| entry.lane) {
            if kind.is_managed() && !found.iter().any(|&(known, other, _)| (known, other) == (site, kind)) {
                found.push((site, kind, self.sites[&site].forwarded(kind)?));
            }
        }
        Ok(found)
    }

    /// The counters say that the fast path, and not the bridge, carried what was measured.
    fn check_share(&mut self, site: usize, kind: Kind, forwarded: u64) -> Result<()> {
        let told = self.sites[&site].verdicts(kind)?;
        let of_path = |lane: Lane| (lane.site, lane.kind) == (site, kind) && !lane.load.is_denied();
        let mut entries: Vec<_> = self.entries.iter_mut().filter(|entry| of_path(entry.lane)).collect();
        let share = forwarded as f64 / entries.iter().map(|entry| entry.sent).sum::<u64>() as f64;
        if share < LEAST_COUNTED {
            let why = format!("fastbridge forwarded only {:.1} % of the frames itself: {told}", share * 100.0);
            entries.iter_mut().for_each(|entry| entry.spoiled = Some(why.clone()));
        }
        Ok(())
    }

    /// Adds a row for each lane.
    pub(super) fn tell(&self, rows: &mut Vec<Row>) {
        rows.extend(self.entries.iter().map(|entry| self.row(entry)));
        rows.extend(self.skipped.iter().cloned());
    }

    fn row(&self, entry: &Entry) -> Row {
        if let Some(why) = &entry.spoiled {
            return Row::skip(&entry.what, why);
        }
        let mut note = format!("{:.2} % {}", entry.share() * 100.0, entry.counts());
        let remark = &self.sites[&entry.lane.site].remark;
        if !remark.is_empty() {
            note += &format!("; {remark}");
        }
        Row::figure(&entry.what, "Mpps", &entry.rates).note(note)
    }

    /// # Errors
    /// A lane was no measurement of its path. What is told of the others stands.
    pub(super) fn complete(&self) -> Result<()> {
        let spoiled = self.entries.iter().find_map(|entry| entry.spoiled.as_ref().map(|why| (&entry.what, why)));
        spoiled.map_or(Ok(()), |(what, why)| bail!("{what}: {why}"))
    }

    /// How one lane stands to another, round by round.
    pub(super) fn ratio(&self, what: &str, over: Lane, under: Lane) -> Row {
        match [over, under].into_iter().find_map(|lane| self.why_absent(lane).or_else(|| self.why_spoiled(lane))) {
            Some(why) => Row::skip(what, why),
            None => Row::figure(what, "x", &ratios(self.rates(over), self.rates(under))),
        }
    }

    fn why_spoiled(&self, lane: Lane) -> Option<&str> {
        self.entries.iter().find(|entry| entry.lane == lane)?.spoiled.as_deref()
    }

    fn why_absent(&self, lane: Lane) -> Option<&str> {
        let found = self.absent.iter().find(|(site, kind, _)| (*site, *kind) == (lane.site, lane.kind));
        found.map(|(_, _, why)| &why[..])
    }

    fn rates(&self, lane: Lane) -> &[f64] {
        self.entries.iter().find(|entry| entry.lane == lane).map_or(&[], |entry| &entry.rates[..])
    }
}
