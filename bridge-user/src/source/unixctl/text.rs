//! The texts of `fdb/show` and `fdb/stats-show` (ofproto/ofproto-dpif.c, `ofproto_unixctl_fdb_show` and `..._stats_show`). Pure. A line of another form
//! is an error: half an FDB would look like one that forgot the rest.

use super::UnixctlError;
use crate::mac;
use crate::source::jsonrpc::repeat;

/// OFPP_LOCAL, which is written as a word.
const LOCAL: u16 = 0xfffe;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// OpenFlow port number, of a bond one of its ports'.
    pub ofport: u16,
    /// VLAN, 0 = none.
    pub vlan: u16,
    /// MAC, wire order.
    pub mac: [u8; 6],
    /// Seconds since its last frame; `None`: entered by hand, ageless.
    pub age: Option<u32>,
}

/// How the FDB came to be what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdbStats {
    /// Entries, those entered by hand included.
    pub current: u64,
    /// Entries entered by hand.
    pub fixed: u64,
    /// Entries made because of a frame.
    pub learned: u64,
    /// Entries that aged away.
    pub expired: u64,
    /// Entries that gave their place to others.
    pub evicted: u64,
    /// How often an entry went to another port.
    pub moved: u64,
}

impl FdbStats {
    /// Entries that went in another way than by ageing or by being evicted: flushed, with their port, by hand. Only differences of it
    /// mean something.
    fn flushed(&self) -> u64 {
        let gone = self.expired.wrapping_add(self.evicted).wrapping_add(self.current.wrapping_sub(self.fixed));
        self.learned.wrapping_sub(gone)
    }

    /// Whether, since `before`, some station may have been forgotten otherwise than by ageing, or have moved.
    pub fn lost_since(&self, before: &Self) -> bool {
        let told = |stats: &Self| (stats.flushed(), stats.evicted, stats.moved);
        // Fewer learned: counted anew.
        told(self) != told(before) || self.learned < before.learned
    }
}

pub(super) fn fdb(text: &str) -> Result<Vec<FdbEntry>, UnixctlError> {
    let wrong = |line: &str| UnixctlError::Text { method: "fdb/show", line: repeat(line) };
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    if !head.split_whitespace().map(str::to_ascii_lowercase).eq(["port", "vlan", "mac", "age"]) {
        return Err(wrong(head));
    }
    lines.map(|line| entry(line).ok_or_else(|| wrong(line))).collect()
}

fn entry(line: &str) -> Option<FdbEntry> {
    let mut words = line.split_whitespace();
    let ofport = match words.next()? {
        "LOCAL" => LOCAL,
        number => number.parse().ok()?,
    };
    let vlan = words.next()?.parse().ok().filter(|vlan| *vlan < 4096)?;
    let mac = mac::parse(words.next()?)?;
    let age = match words.next()? {
        "static" => None,
        seconds => Some(seconds.parse().ok()?),
    };
    words.next().is_none().then_some(FdbEntry { ofport, vlan, mac, age })
}

pub(super) fn fdb_stats(text: &str) -> Result<FdbStats, UnixctlError> {
    let wrong = |line: &str| UnixctlError::Text { method: "fdb/stats-show", line: repeat(line) };
    let number = |name: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(name)).ok_or_else(|| wrong(text))?;
        // `Current/maximum` has two numbers.
        let (_, number) = line.split_once(':').ok_or_else(|| wrong(line))?;
        let number = number.split('/').next().unwrap_or_default();
        number.trim().parse::<u64>().map_err(|_| wrong(line))
    };
    Ok(FdbStats {
        current: number("Current/maximum MAC entries in the table")?,
        // Older ones do not have it.
        fixed: number("Current static MAC entries in the table").unwrap_or_default(),
        learned: number("Total number of learned MAC entries")?,
        expired: number("Total number of expired MAC entries")?,
        evicted: number("Total number of evicted MAC entries")?,
        moved: number("Total number of port moved MAC entries")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = " port  VLAN  MAC                Age\n";

    /// As ovs-vswitchd prints it.
    fn shown(stats: &FdbStats) -> String {
        format!(
            "Statistics for bridge \"br0\":\n  Current/maximum MAC entries in the table: {}/8192\n  Current static MAC entries in the table : {}\n  \
             Total number of learned MAC entries     : {}\n  Total number of expired MAC entries     : {}\n  Total number of evicted MAC \
             entries     : {}\n  Total number of port moved MAC entries  : {}\n",
            stats.current, stats.fixed, stats.learned, stats.expired, stats.evicted, stats.moved
        )
    }

    #[test]
    fn entries_aged_static_and_of_the_bridge_itself() {
        let text = format!("{HEAD}    1     0  02:00:00:00:00:21    3\nLOCAL    10  52:54:00:ff:ff:01  static\n");
        let entries = fdb(&text).unwrap();
        assert_eq!(entries[0], FdbEntry { ofport: 1, vlan: 0, mac: [2, 0, 0, 0, 0, 0x21], age: Some(3) });
        assert_eq!(entries[1], FdbEntry { ofport: 0xfffe, vlan: 10, mac: [0x52, 0x54, 0, 0xff, 0xff, 1], age: None });
        assert_eq!(fdb(&HEAD.replace('p', "P")).unwrap(), [], "newer ones write Port");
    }

    #[test]
    fn half_an_entry_is_no_entry() {
        for line in [
            "",
            "1 0 02:00:00:00:00:21",
            "1 0 02:00:00:00:00:21 3 4",
            "1 4096 02:00:00:00:00:21 3",
            "-1 0 02:00:00:00:00:21 3",
            "70000 0 02:00:00:00:00:21 3",
            "eth0 0 02:00:00:00:00:21 3",
            "1 0 02:00:00:00:00 3",
            "1 0 02:00:00:00:00:21 old",
        ] {
            assert!(fdb(&format!("{HEAD}{line}\n")).is_err(), "{line}");
        }
        assert!(fdb("").is_err() && fdb("1 0 02:00:00:00:00:21 3").is_err());
        let long = fdb(&format!("{HEAD}{}", "x".repeat(10_000))).unwrap_err().to_string();
        assert!(long.len() < 400, "{long}");
    }

    #[test]
    fn statistics_of_every_version() {
        let stats = FdbStats { current: 7, fixed: 1, learned: 20, expired: 10, evicted: 3, moved: 2 };
        assert_eq!(fdb_stats(&shown(&stats)).unwrap(), stats);
        let older: String =
            shown(&stats).lines().filter(|line| !line.contains("static")).map(|l| format!("{l}\n")).collect();
        assert_eq!(fdb_stats(&older).unwrap(), FdbStats { fixed: 0, ..stats });
        for name in ["Current/maximum", "learned", "expired", "evicted", "moved"] {
            let cut: String = shown(&stats).lines().filter(|line| !line.contains(name)).collect();
            assert!(fdb_stats(&cut).is_err(), "{name}");
        }
        assert!(fdb_stats(&shown(&stats).replace("20", "-1")).is_err());
    }

    #[test]
    fn what_ages_is_not_lost() {
        let before = FdbStats { current: 5, fixed: 1, learned: 9, expired: 5, ..FdbStats::default() };
        for (after, lost) in [
            (before, false),
            (FdbStats { current: 6, learned: 10, ..before }, false),
            (FdbStats { current: 3, expired: 7, ..before }, false),
            (FdbStats { current: 6, fixed: 2, ..before }, false),
            (FdbStats { current: 1, ..before }, true),
            (FdbStats { current: 5, learned: 10, ..before }, true),
            (FdbStats { moved: 1, ..before }, true),
            (FdbStats { learned: 10, evicted: 1, ..before }, true),
            // Another FDB, with as many entries.
            (FdbStats { current: 4, fixed: 0, learned: 4, expired: 0, ..before }, true),
        ] {
            assert_eq!(after.lost_since(&before), lost, "{after:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", lines in prop::collection::vec("[0-9a-fLOCAL: .]{0,40}", 0..5)) {
            let _ = (fdb(&text), fdb_stats(&text), fdb(&format!("{HEAD}{}", lines.join("\n"))));
        }

        #[test]
        fn what_is_shown_is_read(rows in prop::collection::vec((any::<u16>(), 0_u16..4096, any::<[u8; 6]>(), any::<Option<u32>>()), 0..20)) {
            let mut text = HEAD.to_owned();
            let entries: Vec<_> = rows.into_iter().map(|(ofport, vlan, mac, age)| FdbEntry { ofport, vlan, mac, age }).collect();
            for FdbEntry { ofport, vlan, mac: address, age } in &entries {
                let age = age.map_or("static".into(), |age| format!("{age:3}"));
                text.push_str(&format!("{ofport:5}  {vlan:4}  {}  {age}\n", mac::format(*address)));
            }
            prop_assert_eq!(fdb(&text).unwrap(), entries);
        }

        #[test]
        fn numbers_are_read(current: u64, fixed: u64, learned: u64, expired: u64, evicted: u64, moved: u64) {
            let stats = FdbStats { current, fixed, learned, expired, evicted, moved };
            prop_assert_eq!(fdb_stats(&shown(&stats)).unwrap(), stats);
            prop_assert!(!stats.lost_since(&stats));
        }
    }
}
