//! A steady stream between two raw machines while something happens: an allowed and a denied frame every millisecond, each numbered,
//! judged where they arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Mac;
use crate::capture::{Tap, inject};
use crate::error::{Error, Result};
use crate::frame::{Eth, Ipv4, Udp, pad};
use crate::lab::Machine;

/// A source address that the test's policy lets through, to [`ALLOWED_TO`].
pub const ALLOWED_FROM: [u8; 4] = [10, 17, 4, 21];
/// Where it goes.
pub const ALLOWED_TO: [u8; 4] = [10, 17, 4, 22];
/// A destination that the test's policy denies.
pub const DENIED_TO: [u8; 4] = [10, 99, 0, 1];

const PAUSE: Duration = Duration::from_millis(1);
const BRIEF: Duration = Duration::from_millis(200);
const QUIET: Duration = Duration::from_millis(300);
const PORT: u16 = 7777;
const PASS: &[u8; 4] = b"pass";
const DENY: &[u8; 4] = b"deny";

/// One frame of such a stream, 60 bytes.
#[must_use]
pub fn frame(from: Mac, to: Mac, allowed: bool, number: u32) -> Vec<u8> {
    let (target, word) = if allowed { (ALLOWED_TO, *PASS) } else { (DENIED_TO, *DENY) };
    let payload = [word, number.to_be_bytes()].concat();
    pad(Eth::new(to, from).ipv4(&Ipv4::new(ALLOWED_FROM, target).carry(&Udp::new(PORT, PORT, &payload))), 60)
}

/// A topology file for such streams: `bridge` are further lines of `[bridge]`, `rest` goes to the end.
#[must_use]
pub fn topology(bridge: &str, rest: &str) -> String {
    format!(
        r#"
[bridge]
name = "br0"
manage = ["vnet*"]
{bridge}
[policy]
default = "deny"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16"]
[[policy.rule]]
id = "internal"
from = "internal"
to = "internal"
action = "allow"
{rest}
"#
    )
}

/// Makes both machines known to the bridge and the fast path: three frames that no stream counts.
pub fn introduce(a: &Machine, b: &Machine) -> Result<()> {
    let hello = |from: &Machine, to: &Machine| {
        let packet = Ipv4::new(ALLOWED_FROM, ALLOWED_TO).carry(&Udp::new(1, 1, b"hello"));
        inject(from.netns(), "eth0", &[&Eth::new(to.mac(), from.mac()).ipv4(&packet)])
    };
    hello(b, a)?;
    hello(a, b)?;
    hello(b, a)
}

/// A running stream.
#[derive(Debug)]
pub struct Steady {
    stop: Stop,
    sender: JoinHandle<Result<u32>>,
    receiver: Tap,
}

/// Ends the sender, also when the test panics.
#[derive(Debug)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What arrived of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Allowed frames sent, and as many denied ones.
    pub sent: u32,
    /// Numbers of allowed frames that did not arrive.
    pub lost: Vec<u32>,
    /// Numbers of allowed frames that arrived more than once.
    pub doubled: Vec<u32>,
    /// Denied frames that arrived.
    pub leaked: Vec<u32>,
    /// How often a number was lower than the one before.
    pub reordered: usize,
}

impl Arrived {
    /// Every allowed frame once, no denied one.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sent > 0 && self.lost.is_empty() && self.doubled.is_empty() && self.leaked.is_empty()
    }

    /// No frame of it.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.sent > 0 && self.lost.len() == self.sent as usize && self.leaked.is_empty()
    }
}

impl Steady {
    /// What arrives of a stream of a fifth of a second.
    pub fn brief(from: &Machine, to: &Machine) -> Result<Arrived> {
        let stream = Self::start(from, to)?;
        std::thread::sleep(BRIEF);
        stream.finish()
    }

    /// Starts sending.
    pub fn start(from: &Machine, to: &Machine) -> Result<Self> {
        let receiver = Tap::open(to.netns(), "eth0")?;
        let tap = Tap::open(from.netns(), "eth0")?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let (from, to) = (from.mac(), to.mac());
        let sender = std::thread::spawn(move || {
            let mut number = 0_u32;
            while !asked.load(Ordering::Relaxed) {
                tap.send(&frame(from, to, true, number))?;
                tap.send(&frame(from, to, false, number))?;
                number += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(number)
        });
        Ok(Self { stop: Stop(stop), sender, receiver })
    }

    /// Stops sending, and says what arrived.
    pub fn finish(mut self) -> Result<Arrived> {
        drop(self.stop);
        let sent = self.sender.join().map_err(|_| Error::Invalid("the sender panicked".into()))??;
        let frames = self.receiver.drain(QUIET)?;
        if self.receiver.lost()? > 0 {
            return Err(Error::Invalid("the capture itself lost frames".into()));
        }
        let numbers = |word: &[u8; 4]| -> Vec<u32> {
            let payload = |f: &Vec<u8>| f.get(42..50).filter(|p| p[..4] == *word).map(|p| [p[4], p[5], p[6], p[7]]);
            frames.iter().filter_map(payload).map(u32::from_be_bytes).collect()
        };
        let passed = numbers(PASS);
        let mut times: BTreeMap<u32, u32> = BTreeMap::new();
        passed.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        Ok(Arrived {
            sent,
            lost: (0..sent).filter(|number| !times.contains_key(number)).collect(),
            doubled: times.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect(),
            leaked: numbers(DENY),
            reordered: passed.windows(2).filter(|pair| pair[1] < pair[0]).count(),
        })
    }
}
