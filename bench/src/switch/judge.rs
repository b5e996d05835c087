//! What switches did to a stream: frames lost, doubled and overtaken, and the longest silence, by the direction of the
//! switch. Pure.

use std::time::Duration;

/// What a frame meets may have been decided so long before it is seen to.
const SLACK: Duration = Duration::from_millis(2);

/// One switch, and when it began on the stream's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    /// To XDP, or away from it.
    pub(super) to_xdp: bool,
    pub(super) begun: Duration,
}

/// A frame that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) number: u32,
    pub(super) at: Duration,
}

/// What happened around all switches of one direction, or before the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Harm {
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// Frames that arrived after a later one.
    pub(super) overtaken: u64,
    /// Milliseconds: the longest silence at the receiver, for each switch.
    pub(super) silences: Vec<f64>,
}

/// What happened to a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// Before the first switch.
    pub(super) calm: Harm,
    pub(super) to_xdp: Harm,
    pub(super) to_tc: Harm,
    /// Frames that arrived and were not read in time: if there are any, nobody can tell which were lost on the way.
    pub(super) unread: u64,
}

impl Verdict {
    fn of(&mut self, switch: Option<&Switch>) -> &mut Harm {
        match switch {
            None => &mut self.calm,
            Some(switch) if switch.to_xdp => &mut self.to_xdp,
            Some(_) => &mut self.to_tc,
        }
    }
}

/// Frame `n` was sent at `sent[n]`. What happens from a switch on until the next one is put down to it.
pub(super) fn judge(sent: &[Duration], arrivals: &[Arrival], switches: &[Switch]) -> Verdict {
    let last_before = |at: Duration| switches.iter().rposition(|switch| switch.begun <= at + SLACK);
    let mut verdict = Verdict::default();
    let mut times = vec![0_u32; sent.len()];
    let mut silences = vec![0.0_f64; switches.len() + 1];
    let (mut highest, mut before) = (None, None);
    for arrival in arrivals {
        let Some(count) = times.get_mut(arrival.number as usize) else { continue };
        *count += 1;
        let doubled = *count > 1;
        let at = last_before(arrival.at);
        let harm = verdict.of(at.and_then(|at| switches.get(at)));
        harm.doubled += u64::from(doubled);
        harm.overtaken += u64::from(!doubled && highest.is_some_and(|highest| arrival.number < highest));
        highest = highest.max(Some(arrival.number));
        if let Some(before) = before.replace(arrival.at) {
            let silence = &mut silences[at.map_or(0, |at| at + 1)];
            *silence = silence.max((arrival.at - before).as_secs_f64() * 1e3);
        }
    }
    for (at, count) in sent.iter().zip(times) {
        let harm = verdict.of(last_before(*at).and_then(|at| switches.get(at)));
        harm.sent += 1;
        harm.lost += u64::from(count == 0);
    }
    for (at, silence) in silences.into_iter().enumerate() {
        verdict.of(at.checked_sub(1).and_then(|at| switches.get(at))).silences.push(silence);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn arrivals(of: &[(u32, u64)]) -> Vec<Arrival> {
        of.iter().map(|&(number, at)| Arrival { number, at: MS(at) }).collect()
    }

    #[test]
    fn what_happens_is_put_down_to_the_last_switch() {
        let sent: Vec<_> = [0, 10, 20, 30, 40, 50, 60].map(MS).to_vec();
        let switch = |to_xdp, begun| Switch { to_xdp, begun: MS(begun) };
        let switches = [switch(true, 15), switch(false, 35)];
        // 2 is overtaken by 3, 3 comes a second time after 4, 5 never.
        let got = arrivals(&[(0, 0), (1, 10), (3, 30), (2, 31), (4, 41), (3, 42), (6, 60)]);
        let verdict = judge(&sent, &got, &switches);
        assert_eq!(verdict.calm, Harm { sent: 2, silences: vec![10.0], ..Harm::default() });
        assert_eq!(verdict.to_xdp, Harm { sent: 2, overtaken: 1, silences: vec![20.0], ..Harm::default() });
        let expected = Harm { sent: 3, lost: 1, doubled: 1, overtaken: 0, silences: vec![18.0] };
        assert_eq!(verdict.to_tc, expected);
    }

    #[test]
    fn a_frame_sent_just_before_a_switch_may_have_met_it() {
        let switches = [Switch { to_xdp: true, begun: MS(11) }];
        assert_eq!(judge(&[MS(10)], &[], &switches).to_xdp.lost, 1);
        assert_eq!(judge(&[MS(8)], &[], &switches).calm.lost, 1);
    }
}
