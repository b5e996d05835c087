//! What iperf3's JSON tells, and what it cost this machine meanwhile. Starts nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    /// Gbit/s that arrived.
    pub(crate) rate: f64,
    /// Milliseconds of a core, all cores of this machine together, for each Gbit that arrived.
    pub(crate) cost: f64,
}

impl Run {
    /// From iperf3's JSON, and the time that all cores worked while it ran.
    pub(super) fn read(json: &str, worked: Duration) -> Result<Self> {
        let result: Value = serde_json::from_str(json).with_context(|| format!("iperf3 wrote no JSON: {json}"))?;
        if let Some(error) = result["error"].as_str() {
            bail!("iperf3: {error}");
        }
        let received = &result["end"]["sum_received"];
        let of = |key: &str| received[key].as_f64().with_context(|| format!("iperf3 tells no {key}"));
        let (rate, gbit) = (of("bits_per_second")? / 1e9, of("bytes")? * 8.0 / 1e9);
        if gbit <= 0.0 {
            bail!("nothing arrived");
        }
        Ok(Self { rate, cost: worked.as_secs_f64() * 1e3 / gbit })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_arrived_counts() {
        let json = r#"{"end": {"sum_sent": {"bits_per_second": 9e9, "bytes": 9e9},
                               "sum_received": {"bits_per_second": 4e9, "bytes": 1e9}}}"#;
        assert_eq!(Run::read(json, Duration::from_secs(4)).unwrap(), Run { rate: 4.0, cost: 500.0 });
        let refused = Run::read(r#"{"error": "unable to connect"}"#, Duration::ZERO).unwrap_err().to_string();
        assert!(refused.contains("unable to connect"), "{refused}");
        assert!(Run::read("oops", Duration::ZERO).unwrap_err().to_string().contains("oops"));
    }
}
