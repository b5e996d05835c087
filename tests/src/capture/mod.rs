//! Raw frames in and out of an interface of a lab: `AF_PACKET`, `ETH_P_ALL`. Frames are whole, from the destination MAC on, without FCS,
//! VLAN tags put back where the kernel took them out. Must not interpret what it carries.

mod socket;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::netns::Netns;
use socket::PacketSocket;

/// An open interface: everything that arrives on it can be read, and frames can be sent through it.
#[derive(Debug)]
pub struct Tap {
    socket: PacketSocket,
    name: String,
    pending: VecDeque<Vec<u8>>,
}

impl Tap {
    /// Opens an interface of a namespace. From here on every arriving frame is kept; frames sent through the interface, by whomever,
    /// are not seen.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        let name = format!("{}/{interface}", netns.name());
        let index = netns.ifindex(interface)?.ok_or_else(|| Error::Invalid(format!("there is no interface {name}")))?;
        let socket =
            netns.enter(|| PacketSocket::open(index))?.map_err(|e| Error::io(format!("cannot open {name}"), e))?;
        Ok(Self { socket, name, pending: VecDeque::new() })
    }

    /// Sends one frame through the interface's ordinary queue.
    ///
    /// # Errors
    /// A frame under 14 bytes or over the MTU, or an interface that is down or gone.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.socket
            .send(frame)
            .map_err(|e| Error::io(format!("cannot send {} bytes through {}", frame.len(), self.name), e))
    }

    /// The next frame, waiting at most `limit` for it.
    pub fn receive(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        if let Some(frame) = self.pending.pop_front() {
            return Ok(Some(frame));
        }
        let end = Instant::now() + limit;
        loop {
            if let Some(frame) = self.socket.receive().map_err(|e| self.broken(e))? {
                return Ok(Some(frame));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.socket.wait(left).map_err(|e| self.broken(e))? {
                return Ok(None);
            }
        }
    }

    /// All frames until none came for `idle`.
    pub fn drain(&mut self, idle: Duration) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive(idle)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// All frames up to and without the first that `is_sentinel` knows; later ones stay for the next call.
    ///
    /// # Errors
    /// `Error::Timeout` when the sentinel does not come within `limit`; the frames seen until then are kept for the next call.
    pub fn until(&mut self, limit: Duration, mut is_sentinel: impl FnMut(&[u8]) -> bool) -> Result<Vec<Vec<u8>>> {
        let end = Instant::now() + limit;
        let mut frames = Vec::new();
        while let Some(frame) = self.receive(end.saturating_duration_since(Instant::now()))? {
            if is_sentinel(&frame) {
                return Ok(frames);
            }
            frames.push(frame);
        }
        self.pending.extend(frames);
        Err(Error::Timeout { what: format!("the sentinel frame arrives on {}", self.name), seconds: limit.as_secs() })
    }

    /// How many frames the kernel threw away because nobody read them in time, since the last call. Anything but 0 spoils a capture.
    pub fn lost(&self) -> Result<u32> {
        self.socket.lost().map_err(|e| self.broken(e))
    }

    fn broken(&self, error: std::io::Error) -> Error {
        Error::io(format!("capture on {}", self.name), error)
    }
}

/// Sends frames through an interface, in order.
pub fn inject(netns: &Netns, interface: &str, frames: &[&[u8]]) -> Result<()> {
    let tap = Tap::open(netns, interface)?;
    frames.iter().try_for_each(|frame| tap.send(frame))
}
