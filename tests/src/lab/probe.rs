//! One ping and what came of it.

use std::fmt;

use crate::error::Result;
use crate::netns::Netns;
use crate::run;

/// One attempt to reach a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The machine that tried.
    pub from: String,
    /// The address it tried.
    pub target: String,
    /// Whether an answer came.
    pub ok: bool,
    /// ping's own words: the answer, the ICMP error (`Destination Port Unreachable`) or `all packets lost`.
    pub detail: String,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok { "ok  " } else { "FAIL" };
        write!(f, "{verdict} {} -> {}: {}", self.from, self.target, self.detail)
    }
}

/// `ping -n -c1 -W1 target` in a namespace; an unreachable target is an answer, not an error.
pub(super) fn ping(netns: &Netns, from: &str, target: &str) -> Result<Probe> {
    let output = run::output(netns.command("ping")?.args(["-n", "-c1", "-W1", target]), None)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(Probe { from: from.into(), target: target.into(), ok: output.status.success(), detail: detail(&said) })
}

fn detail(said: &str) -> String {
    let telling = said.lines().skip(1).find(|line| line.contains("bytes from") || line.starts_with("From "));
    let lost = said.contains("100% packet loss").then_some("all packets lost");
    telling.or(lost).unwrap_or_else(|| said.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ping_output_is_boiled_down() {
        let answer =
            "PING 1.2.3.4 (1.2.3.4) 56(84) bytes of data.\n64 bytes from 1.2.3.4: icmp_seq=1 ttl=64 time=0.1 ms\n";
        assert!(detail(answer).starts_with("64 bytes from"));
        let reject =
            "PING 1.2.3.4 (1.2.3.4) 56(84) bytes of data.\nFrom 10.0.0.1 icmp_seq=1 Destination Port Unreachable\n";
        assert!(detail(reject).ends_with("Destination Port Unreachable"));
        assert_eq!(
            detail("PING x\n\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n"),
            "all packets lost"
        );
    }
}
