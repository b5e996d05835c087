//! Who reaches what: the table of the five targets and the masters.

use bridge_tests::{lab::Probe, reference};

use super::report::{Report, mark};

/// Targets down, across the machines that tried.
pub(super) fn table(report: &Report, title: &str, probes: &[Probe]) {
    let mut from: Vec<&str> = Vec::new();
    for probe in probes {
        if !from.contains(&probe.from.as_str()) {
            from.push(&probe.from);
        }
    }
    let header: Vec<&str> = ["target", ""].into_iter().chain(from.iter().copied()).collect();
    let row = |(target, what): &(&str, &str)| {
        let cells = from.iter().map(|from| {
            let probe = probes.iter().find(|probe| probe.from == **from && probe.target == *target);
            probe.map_or_else(|| "not tried".into(), cell)
        });
        [(*target).to_owned(), (*what).to_owned()].into_iter().chain(cells).collect()
    };
    report.table(title, &header, reference::TARGETS.iter().map(row).collect());
}

/// The round-trip time, or ping's reason in its shortest form.
fn cell(probe: &Probe) -> String {
    let said = if let Some((_, time)) = probe.detail.split_once("time=") {
        time.trim().to_owned()
    } else if let Some((_, reason)) = probe.detail.split_once("Destination ") {
        // "From 10.17.4.1 icmp_seq=1 Destination Port Unreachable"
        reason.to_lowercase()
    } else {
        probe.detail.replace("all packets ", "")
    };
    format!("{} {said}", mark(probe.ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_tells_the_time_or_the_reason() {
        let probe = |ok, detail: &str| Probe { from: String::new(), target: String::new(), ok, detail: detail.into() };
        assert_eq!(cell(&probe(true, "64 bytes from 10.17.3.11: icmp_seq=1 ttl=63 time=0.061 ms")), "✓ 0.061 ms");
        let rejected = "From 10.17.4.1 icmp_seq=1 Destination Port Unreachable";
        assert_eq!(cell(&probe(false, rejected)), "✗ port unreachable");
        assert_eq!(cell(&probe(false, "all packets lost")), "✗ lost");
    }
}
