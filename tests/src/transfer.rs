//! Bulk TCP between two namespaces over the kernel's own stack: every byte that arrives is compared with the byte that was sent, which says
//! more than a digest would. Knows no bridge.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::netns::Netns;

/// Nothing may stand still for longer: a lost checksum or an oversized frame stalls TCP for ever.
const STALL: Duration = Duration::from_secs(5);
/// The pattern repeats after this many bytes, a number that no frame length divides.
const BLOCK: usize = 999_983;

/// Sends `length` bytes from one namespace to `address` in another and reads them there; the time it took.
///
/// # Errors
/// No connection within 5 s, a stall of 5 s, an early end, or a byte that is not the one sent.
pub fn transfer(from: &Netns, to: &Netns, address: &str, length: usize) -> Result<Duration> {
    let address: SocketAddr = address.parse().map_err(|e| Error::Invalid(format!("{address}: {e}")))?;
    let block = block();
    let listener = io(to.enter(|| TcpListener::bind(address))?, "listen")?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&listener, &block, length));
        let sent = io(from.enter(|| TcpStream::connect_timeout(&address, STALL))?, "connect")
            .and_then(|stream| send(stream, &block, length));
        if sent.is_err() {
            // The receiver may still wait for a connection: it gets one that ends at once.
            let _ = to.enter(|| TcpStream::connect_timeout(&own(address), STALL));
        }
        let received = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.and(received)
    })?;
    Ok(started.elapsed())
}

/// The same address: reached by loopback from inside.
fn own(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        other => other,
    }
}

fn block() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(0xfb);
    let mut block = vec![0; BLOCK];
    rng.fill(&mut block);
    block
}

fn send(mut stream: TcpStream, block: &[u8], length: usize) -> Result<()> {
    io(stream.set_write_timeout(Some(STALL)), "set a limit")?;
    let mut left = length;
    while left > 0 {
        let part = block.len().min(left);
        io(stream.write_all(&block[..part]), "send")?;
        left -= part;
    }
    Ok(())
}

fn receive(listener: &TcpListener, block: &[u8], length: usize) -> Result<()> {
    let (mut stream, _) = io(listener.accept(), "accept")?;
    io(stream.set_read_timeout(Some(STALL)), "set a limit")?;
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < length {
        let phase = at % block.len();
        let room = buffer.len().min(block.len() - phase).min(length - at);
        let count = io(stream.read(&mut buffer[..room]), "receive")?;
        if count == 0 {
            return Err(Error::Invalid(format!("the stream ended after {at} of {length} bytes")));
        }
        if buffer[..count] != block[phase..phase + count] {
            return Err(Error::Invalid(format!("the stream differs within the {count} bytes from {at} on")));
        }
        at += count;
    }
    Ok(())
}

fn io<T>(result: std::io::Result<T>, what: &str) -> Result<T> {
    result.map_err(|e| Error::io(format!("TCP transfer: cannot {what}"), e))
}
