//! A steady stream of numbered frames between two ports while a program is put in front of one of them, or taken away.
//! Judged where they arrive.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use bridge_tests::{
    Mac,
    capture::Tap,
    frame::{Eth, Ipv4, Udp},
};

use super::{
    judge::{Arrival, Switch, Verdict, judge},
    tap::{GuestEnd, HEADER, PLAIN},
};
use crate::{cores, frames};

/// Frames per second: half of what one core can carry, so that a frame is likely to be on its way at any moment.
const RATE: f64 = 250_000.0;
/// Frames that are behind are sent together.
const PAUSE: Duration = Duration::from_micros(20);
/// Traffic before the first switch, and after the last.
const MARGIN: Duration = Duration::from_millis(20);
/// Whatever is on the way when the last one was sent has arrived, or never will.
const SETTLE: Duration = Duration::from_millis(20);
/// Where the number is.
const AT: usize = 14 + 20 + 8;

/// A machine's `eth0`, or a guest's end of a tap.
#[derive(Debug)]
pub(super) enum End {
    Veth(Tap),
    Tap(GuestEnd),
}

impl End {
    fn send(&self, frame: &[u8]) -> Result<()> {
        match self {
            Self::Veth(tap) => tap.send(frame)?,
            Self::Tap(guest) => guest.send(&[&PLAIN, frame].concat())?,
        }
        Ok(())
    }

    /// The number of the next frame of the stream, if one comes within a few milliseconds.
    fn receive(&mut self, room: &mut [u8]) -> Result<Option<u32>> {
        const LIMIT: Duration = Duration::from_millis(2);
        match self {
            Self::Veth(tap) => Ok(tap.receive(LIMIT)?.and_then(|frame| number(&frame))),
            Self::Tap(guest) => {
                let mut length = guest.receive(room)?;
                if length.is_none() {
                    guest.wait(LIMIT)?;
                    length = guest.receive(room)?;
                }
                Ok(length.and_then(|length| number(room.get(HEADER..length)?)))
            }
        }
    }

    /// Frames that arrived and were not read in time, so far (a tap) or since the last call.
    fn unread(&self) -> Result<u64> {
        match self {
            Self::Veth(tap) => Ok(tap.lost()?.into()),
            Self::Tap(guest) => guest.unread(),
        }
    }
}

/// Two ports that know each other.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) from: End,
    pub(super) to: End,
    pub(super) macs: [Mac; 2],
}

impl Stream {
    /// Makes both ends known.
    pub(super) fn introduce(&self) -> Result<()> {
        let [from, to] = self.macs;
        for _ in 0..3 {
            self.to.send(&frames::udp(to, from, frames::TO, frames::FROM))?;
            self.from.send(&frames::udp(from, to, frames::FROM, frames::TO))?;
        }
        Ok(())
    }

    /// Sends while `work` switches, whose clock is the given one, and a moment before and after it.
    pub(super) fn during(&mut self, work: impl FnOnce(Instant) -> Result<Vec<Switch>>) -> Result<Verdict> {
        let (ended, drained) = (AtomicBool::new(false), AtomicBool::new(false));
        let before = self.to.unread()?;
        let (from, macs, to) = (&self.from, self.macs, &mut self.to);
        let begin = Instant::now();
        let (switches, sent, arrived) = thread::scope(|scope| {
            let receiver = scope.spawn(|| receive(to, begin, &drained));
            let sender = scope.spawn(|| send(from, macs, begin, &ended));
            thread::sleep(MARGIN);
            let switches = work(begin);
            thread::sleep(MARGIN);
            ended.store(true, Ordering::Relaxed);
            let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            thread::sleep(SETTLE);
            drained.store(true, Ordering::Relaxed);
            (switches, sent, receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // Of a packet socket the first call has taken what was before.
        let before = if matches!(self.to, End::Tap(_)) { before } else { 0 };
        let unread = self.to.unread()? - before;
        Ok(Verdict { unread, ..judge(&sent?, &arrived?, &switches?) })
    }
}

/// When each number was sent.
fn send(from: &End, [source, destination]: [Mac; 2], begin: Instant, ended: &AtomicBool) -> Result<Vec<Duration>> {
    cores::pin(cores::highest())?;
    let mut sent = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        while !ended.load(Ordering::Relaxed) && (sent.len() as f64) < begin.elapsed().as_secs_f64() * RATE {
            let frame = numbered(source, destination, sent.len() as u32);
            sent.push(begin.elapsed());
            from.send(&frame)?;
        }
        thread::sleep(PAUSE);
    }
    Ok(sent)
}

fn receive(to: &mut End, begin: Instant, drained: &AtomicBool) -> Result<Vec<Arrival>> {
    let mut room = vec![0; 2048];
    let mut arrived = Vec::new();
    while !drained.load(Ordering::Relaxed) {
        while let Some(number) = to.receive(&mut room)? {
            arrived.push(Arrival { number, at: begin.elapsed() });
        }
    }
    Ok(arrived)
}

fn numbered(source: Mac, destination: Mac, number: u32) -> Vec<u8> {
    let mut payload = [0x5a; 64 - AT];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    Eth::new(destination, source).ipv4(&Ipv4::new(frames::FROM, frames::TO).carry(&Udp::new(4000, 5000, &payload)))
}

/// `None`: somebody else's.
fn number(frame: &[u8]) -> Option<u32> {
    let ours = frame.len() == 64 && frame[AT + 4..].iter().all(|&byte| byte == 0x5a);
    let bytes = frame.get(AT..AT + 4).filter(|bytes| ours && **bytes != [0x5a; 4])?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_others_have_none() {
        let frame = numbered([2; 6], [4; 6], 0x0001_0203);
        assert_eq!((frame.len(), number(&frame)), (64, Some(0x0001_0203)));
        assert_eq!(number(&frame[..60]), None);
        assert_eq!(number(&frames::udp([2; 6], [4; 6], frames::FROM, frames::TO)), None, "an introduction");
    }
}
