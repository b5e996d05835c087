//! A request and its response between two machines, one at a time, over UDP, and how long each round trip takes.
//!
//! Must not: interpret the figures, or know what is between the two.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bridge_tests::netns::Netns;
use hdrhistogram::Histogram;

use crate::cores;

/// Of a request and of a response: a small question and its answer.
const LENGTH: usize = 32;
/// Without a response by then it is lost, and the next one is sent. It counts as a round trip of that length, so that what is lost makes no path
/// look better.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the one that answers looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);
/// Two digits of each round trip are kept.
const DIGITS: u8 = 2;

/// What was seen in a while.
pub(super) struct Trips {
    nanoseconds: Histogram<u64>,
    took: Duration,
    pub(super) lost: u64,
}

impl Trips {
    /// Round trips per second.
    pub(super) fn rate(&self) -> f64 {
        (self.nanoseconds.len() - self.lost) as f64 / self.took.as_secs_f64()
    }

    /// Microseconds that this percentage of the round trips did not exceed.
    pub(super) fn percentile(&self, percentage: f64) -> f64 {
        self.nanoseconds.value_at_percentile(percentage) as f64 / 1e3
    }
}

/// Two sockets.
pub(super) struct Pair {
    client: UdpSocket,
    server: UdpSocket,
    /// Requests so far: none has the number of an earlier one, whose response may still come.
    asked: AtomicU64,
}

impl Pair {
    /// One that asks in the first namespace, one that answers at an address of the second.
    pub(super) fn open(client: &Netns, server: &Netns, at: SocketAddr) -> Result<Self> {
        let server = server.enter(|| UdpSocket::bind(at))?.with_context(|| format!("cannot listen at {at}"))?;
        let client = client.enter(|| -> Result<UdpSocket> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(at)?;
            Ok(socket)
        })??;
        client.set_read_timeout(Some(PATIENCE))?;
        server.set_read_timeout(Some(LOOK))?;
        Ok(Self { client, server, asked: AtomicU64::new(0) })
    }

    /// Asks again and again for so long; asks on the lowest core, answers on the highest, before any other thread there.
    pub(super) fn play(&self, time: Duration) -> Result<Trips> {
        let ended = AtomicBool::new(false);
        let (trips, answered) = thread::scope(|scope| {
            let server = scope.spawn(|| self.answer(&ended));
            let client = scope.spawn(|| self.ask(time));
            let trips = client.join();
            ended.store(true, Ordering::Relaxed);
            (trips, server.join())
        });
        answered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        trips.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn answer(&self, ended: &AtomicBool) -> Result<()> {
        cores::pin(cores::highest())?;
        cores::go_first()?;
        let mut request = [0; LENGTH];
        while !ended.load(Ordering::Relaxed) {
            match self.server.recv_from(&mut request) {
                Ok((_, client)) => drop(self.server.send_to(&request, client).context("cannot answer")?),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error).context("the answering socket"),
            }
        }
        Ok(())
    }

    fn ask(&self, time: Duration) -> Result<Trips> {
        cores::pin(0)?;
        let mut nanoseconds = Histogram::new(DIGITS).context("the histogram")?;
        let (begin, mut lost) = (Instant::now(), 0);
        while begin.elapsed() < time {
            let took = self.round_trip(self.asked.fetch_add(1, Ordering::Relaxed))?;
            lost += u64::from(took.is_none());
            nanoseconds.record(took.unwrap_or(PATIENCE).as_nanos() as u64).context("the histogram")?;
        }
        Ok(Trips { nanoseconds, took: begin.elapsed(), lost })
    }

    /// `None` when no response came. A late one to an earlier request is none.
    fn round_trip(&self, number: u64) -> Result<Option<Duration>> {
        let mut request = [0; LENGTH];
        request[..8].copy_from_slice(&number.to_be_bytes());
        let sent = Instant::now();
        self.client.send(&request).context("cannot ask")?;
        let mut response = [0; LENGTH];
        while sent.elapsed() < PATIENCE {
            match self.client.recv(&mut response) {
                Ok(_) if response == request => return Ok(Some(sent.elapsed())),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error).context("the asking socket"),
            }
        }
        Ok(None)
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_late_response_and_none_are_told_apart_from_the_one() {
        let [client, server] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        client.connect(server.local_addr().unwrap()).unwrap();
        server.connect(client.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let respond = |number: u64| {
            let mut response = [0; LENGTH];
            response[..8].copy_from_slice(&number.to_be_bytes());
            server.send(&response).unwrap();
        };
        let pair = Pair { server: server.try_clone().unwrap(), client, asked: AtomicU64::new(0) };
        respond(1);
        respond(2);
        assert!(pair.round_trip(2).unwrap().is_some());
        respond(3);
        assert!(pair.round_trip(4).unwrap().is_none());
    }
    #[test]
    fn what_is_lost_is_slow_and_no_round_trip() {
        let mut nanoseconds = Histogram::new(DIGITS).unwrap();
        nanoseconds.record(1000).unwrap();
        nanoseconds.record(PATIENCE.as_nanos() as u64).unwrap();
        let trips = Trips { nanoseconds, took: Duration::from_secs(2), lost: 1 };
        assert_eq!(trips.rate(), 0.5);
        assert!(trips.percentile(99.0) >= PATIENCE.as_micros() as f64 && trips.percentile(50.0) < 1.1);
    }
}
