//! What the policy refuses and what it must not: judged by a capture at the target, never by our own counters.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bridge_tests::{capture::Tap, lab::Lab, netns::Netns, wait_until};

use super::report::Report;

/// The machine that must be left alone.
const TARGET: (&str, Ipv4Addr) = ("master1", Ipv4Addr::new(10, 17, 4, 21));
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
/// In no zone of the topology; worker1 takes it on the side.
const UNDECLARED: Ipv4Addr = Ipv4Addr::new(172, 16, 9, 9);
/// Silence of that length ends a capture. What passes takes well under a millisecond.
const SILENCE: Duration = Duration::from_millis(300);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Something that may not arrive.
struct Attempt {
    what: &'static str,
    from: &'static str,
    source: Ipv4Addr,
    tcp: bool,
}

const ATTEMPTS: [Attempt; 3] = [
    Attempt { what: "ping from outside, 203.0.113.8", from: "internet", source: OUTSIDE, tcp: false },
    Attempt { what: "TCP connection from outside, 203.0.113.8", from: "internet", source: OUTSIDE, tcp: true },
    Attempt {
        what: "ping from an undeclared prefix, 172.16.9.9 on worker1",
        from: "worker1",
        source: UNDECLARED,
        tcp: false,
    },
];

/// Gives worker1 the address that no zone declares.
pub(super) fn prepare(lab: &Lab) -> Result<()> {
    lab.netns("worker1")?.ip(&format!("addr add {UNDECLARED}/32 dev eth0"))?;
    Ok(())
}

/// Without fastbridge all of it arrives: the capture can see it, and the bridge alone lets it in.
pub(super) fn without(report: &Report, lab: &Lab) -> Result<()> {
    for attempt in &ATTEMPTS {
        let arrived = attempt.arrived(lab)?;
        report.line(
            arrived > 0,
            &format!("without fastbridge: {} to {} arrives ({arrived} frames captured there)", attempt.what, TARGET.1),
        );
    }
    Ok(())
}

/// With fastbridge none of it arrives, and what the policy allows still does.
pub(super) fn with(report: &Report, lab: &Lab) -> Result<()> {
    for attempt in &ATTEMPTS {
        let arrived = attempt.arrived(lab)?;
        report.line(
            arrived == 0,
            &format!("refused: {} to {} ({arrived} frames captured there)", attempt.what, TARGET.1),
        );
    }
    let allowed = ping(lab.netns("router")?, Ipv4Addr::new(192, 168, 0, 1), TARGET.1)?;
    report.line(allowed, &format!("allowed: ping from the LAN, 192.168.0.1, to {}", TARGET.1));
    let answer = exchange(lab.netns(TARGET.0)?, lab.netns("internet")?);
    let why = answer.as_ref().err().map(|error| format!(": {error:#}")).unwrap_or_default();
    report.line(answer.is_ok(), &format!("allowed: {} opens TCP to {OUTSIDE}, and the answers come in{why}", TARGET.0));
    Ok(())
}

impl Attempt {
    /// How many frames of the attempt arrive at the target.
    fn arrived(&self, lab: &Lab) -> Result<usize> {
        let from = lab.netns(self.from)?;
        let mut tap = Tap::open(lab.netns(TARGET.0)?, "eth0")?;
        if self.tcp {
            let address = SocketAddr::from((TARGET.1, 22));
            // Refused, lost or even accepted: the capture tells.
            let _ = from.enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(500)))?;
        } else {
            ping(from, self.source, TARGET.1)?;
        }
        let frames = tap.drain(SILENCE)?;
        ensure!(tap.lost()? == 0, "the capture at {} lost frames and proves nothing; try again", TARGET.0);
        Ok(frames.iter().filter(|frame| is_from(frame, self.source)).count())
    }
}

/// One echo request from that address of the namespace; whether the answer came within a second.
fn ping(from: &Netns, source: Ipv4Addr, target: Ipv4Addr) -> Result<bool> {
    let mut command = from.command("ping")?;
    command.args(["-n", "-c1", "-W1", "-I", &source.to_string(), &target.to_string()]);
    Ok(command.output().context("ping could not be started")?.status.success())
}

/// Whether an untagged IPv4 frame has this source address.
fn is_from(frame: &[u8], source: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&[8, 0]) && frame.get(26..30) == Some(&source.octets())
}

/// A connection from `client` to the outside, a question there and an answer back.
fn exchange(client: &Netns, outside: &Netns) -> Result<()> {
    let listener = outside.enter(|| TcpListener::bind((OUTSIDE, 8443)))?.context("cannot listen")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mut near = client.enter(|| TcpStream::connect_timeout(&address, ANSWER_LIMIT))?.context("cannot connect")?;
    let mut accepted = None;
    wait_until("the connection is accepted", ANSWER_LIMIT, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    })?;
    let (mut far, _) = accepted.context("the connection was not accepted")?;
    far.set_nonblocking(false)?;
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    }
    let mut heard = [0_u8; 8];
    near.write_all(b"question")?;
    far.read_exact(&mut heard).context("the question was lost")?;
    far.write_all(b"answered")?;
    near.read_exact(&mut heard).context("the answer was lost")?;
    ensure!(&heard == b"answered", "the answer was altered");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_by_their_ipv4_source() {
        let mut frame = [0_u8; 42];
        frame[12] = 8;
        frame[26..30].copy_from_slice(&OUTSIDE.octets());
        assert!(is_from(&frame, OUTSIDE) && !is_from(&frame, UNDECLARED));
        assert!(!is_from(&frame[..29], OUTSIDE), "cut short");
        frame[13] = 6;
        assert!(!is_from(&frame, OUTSIDE), "ARP");
    }
}
