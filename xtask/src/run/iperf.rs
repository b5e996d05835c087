//! iperf3 between two machines of a lab, bounded in time: one TCP rate comes out.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use bridge_tests::netns::Netns;
use serde_json::Value;

use crate::interrupt;

/// How long iperf3 sends; its connection and its goodbye come on top.
const SECONDS: &str = "2";
/// A test that has not ended by then is ended.
const LIMIT: Duration = Duration::from_secs(12);

/// A child that is ended (by its id) and reaped when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One TCP stream from one machine to an address of another; bit/s that arrived.
///
/// # Errors
/// When iperf3 fails, with its own words, or does not end in time.
pub(super) fn measure(from: &Netns, to: &Netns, address: &str) -> Result<f64> {
    let _server = serve(to)?;
    let mut client = from.command("iperf3")?;
    client.args(["-J", "-i", "0", "-t", SECONDS, "--connect-timeout", "3000", "-c", address]);
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = Ended(client.spawn().context("iperf3 could not be started")?);
    await_end(&mut client.0)?;
    let text = client.0.stdout.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
    let result: Value = serde_json::from_str(&text).context("iperf3 printed no JSON")?;
    rate(&result)
}

fn serve(netns: &Netns) -> Result<Ended> {
    let mut command = netns.command("iperf3")?;
    command.args(["-s", "-1", "--forceflush"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Ended(command.spawn().context("iperf3 could not be started")?);
    let stdout = server.0.stdout.take().context("iperf3 has no stdout")?;
    // It listens once it says so. The reader lives until the server ends: a closed pipe would end it early.
    let (listening, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.contains("listening") {
                let _ = listening.send(());
            }
        }
    });
    heard.recv_timeout(Duration::from_secs(5)).map_err(|_| anyhow!("the iperf3 server does not listen"))?;
    Ok(server)
}

/// The JSON is a few kilobytes (`-i 0`) and fits the pipe, so waiting before reading does not block the client.
fn await_end(client: &mut Child) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while client.try_wait()?.is_none() {
        interrupt::check()?;
        if Instant::now() > end {
            bail!("iperf3 did not end within {} s", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(super) fn rate(result: &Value) -> Result<f64> {
    if let Some(error) = result["error"].as_str() {
        bail!("iperf3: {error}");
    }
    result["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3's JSON has changed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_receiver() {
        let result = serde_json::json!({"end": {"sum_sent": {"bits_per_second": 9e9}, "sum_received": {"bits_per_second": 7e9}}});
        assert!((rate(&result).unwrap() - 7e9).abs() < 1.0);
        let refused = serde_json::json!({"error": "unable to connect to server"});
        assert!(rate(&refused).unwrap_err().to_string().contains("unable to connect"));
    }
}
