//! Small packets as fast as one core sends them: UDP in bursts, because iperf3 spends more on each packet than any path here does.
//!
//! What arrives is counted by the receiver's IP layer. Must not: run longer than [`DURATION`].

use std::{
    fs,
    io::IoSlice,
    net::UdpSocket,
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bridge_tests::netns::Netns;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg},
};

use super::snmp;
use crate::interrupt;

const DURATION: Duration = Duration::from_secs(2);
/// Time for what is on its way to arrive before the next measurement.
const SETTLE: Duration = Duration::from_millis(200);
const PORT: u16 = 9000;
/// Packets handed to the kernel at a time.
const BURST: usize = 64;
/// UDP payload of each, bytes.
pub(super) const PAYLOAD: usize = 64;

/// Sends from one machine to an IPv4 address of another; packets/s that arrived.
///
/// # Errors
/// When the sockets cannot be opened or the kernel refuses to send.
pub(super) fn measure(from: &Netns, to: &Netns, address: &str) -> Result<f64> {
    // Nobody reads it: an open port keeps the receiver from answering with ICMP errors, and reading would cost more than the path.
    let _sink = to.enter(|| UdpSocket::bind((address, PORT)))?.context("the receiver's port cannot be opened")?;
    let source = from.enter(|| UdpSocket::bind(("0.0.0.0", 0)))?.context("the sender has no port")?;
    source.connect((address, PORT)).with_context(|| format!("there is no route to {address}"))?;
    let before = delivered(to)?;
    let began = Instant::now();
    send(&source, began + DURATION)?;
    let arrived = delivered(to)?.saturating_sub(before);
    let rate = arrived as f64 / began.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    Ok(rate)
}

fn send(source: &UdpSocket, end: Instant) -> Result<()> {
    let payload = [0x5a; PAYLOAD];
    let packet = [IoSlice::new(&payload)];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BURST, None);
    while Instant::now() < end {
        interrupt::check()?;
        match sendmmsg(source.as_raw_fd(), &mut headers, [&packet; BURST], [None; BURST], [], MsgFlags::empty()) {
            // A full queue is what overload looks like from here.
            Ok(_) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => {}
            Err(errno) => bail!("the kernel refuses to send: {errno}"),
        }
    }
    Ok(())
}

/// IPv4 packets that were whole and for this machine, so far.
fn delivered(netns: &Netns) -> Result<u64> {
    // Of the thread: /proc/net would be the namespace of the process.
    let text = netns.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?.context("/proc/net/snmp")?;
    snmp::counter(&text, "Ip:", "InDelivers").context("/proc/net/snmp has no Ip InDelivers")
}
