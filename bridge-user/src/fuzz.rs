//! Fuzz bodies for what Open vSwitch's daemons, or somebody in their place, may send: for `cargo test`, which mutates known texts, and for cargo-fuzz
//! (`tests/fuzz`), which looks for its own. They panic when something is not as it must be. Not in the product.

pub use crate::source::ovsdb::fuzz as ovsdb;
pub use crate::source::unixctl::fuzz as unixctl;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const OVSDB: &str = concat!(
        r#"{"id":"monitor_cond","error":null,"result":{"Open_vSwitch":{"s":{"initial":{"bridges":["uuid","b"],"ovs_version":"3.1.0"}}},"#,
        r#""Bridge":{"b":{"initial":{"name":"br0","ports":["set",[["uuid","p"],["uuid","q"]]],"mirrors":["uuid","m"]}}},"Port":{"p":{"initial":"#,
        r#"{"name":"v\u0000","interfaces":["uuid","i"],"tag":7,"trunks":["set",[1,2]]}},"q":{"initial":{"name":"w"}}},"Interface":{"i":{"initial":"#,
        r#"{"name":"v0","ofport":1,"bfd":["map",[["enable","true"]]]}}},"Mirror":{"m":{"initial":{"name":"spy"}}}}}"#,
        r#"{"method":"update2","id":null,"params":[null,{"Port":{"p":{"modify":{"tag":["set",[]],"trunks":["set",[2,3]]}}},"Interface":{"i":{"modify":"#,
        r#"{"bfd":["map",[["enable","false"]]]}}}}]}{"method":"update2","id":null,"params":[null,{"Port":{"q":{"delete":null}},"Bridge":{"b":{"modify":{"ports":["uuid","q"]}}}}]}"#
    );
    const FDB: &str = " port  VLAN  MAC                Age\n    1     0  02:00:00:00:00:21    3\nLOCAL    10  52:54:00:ff:ff:01  static\n";
    const STATS: &str = "Statistics for bridge \"br0\":\n  Current/maximum MAC entries in the table: 2/8192\n  Current static MAC entries in the \
                         table : 1\n  Total number of learned MAC entries     : 20\n  Total number of expired MAC entries     : 10\n  Total \
                         number of evicted MAC entries     : 3\n  Total number of port moved MAC entries  : 2\n";

    /// Words that decide much.
    const WORDS: [&str; 16] = [
        "null",
        "[]",
        "{}",
        "7",
        "-1",
        "\"set\"",
        "\"uuid\"",
        "\"map\"",
        "insert",
        "modify",
        "delete",
        "\n",
        "static",
        "LOCAL",
        "99999999999999999999",
        "\u{202e}",
    ];

    /// (place, how much is cut there, what is put there), places and lengths taken modulo the text's.
    fn edits() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
        let word = prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec());
        let put = prop_oneof![word, prop::collection::vec(any::<u8>(), 0..4)];
        prop::collection::vec((any::<usize>(), 0_usize..12, put), 0..5)
    }

    fn edited(text: &str, edits: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for (at, cut, put) in edits {
            let at = at % (bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, put.iter().copied());
        }
        bytes
    }

    #[test]
    fn the_texts_are_understood_as_they_are() {
        assert_eq!(super::ovsdb(OVSDB.as_bytes()), 3);
        assert_eq!((super::unixctl(FDB.as_bytes()), super::unixctl(STATS.as_bytes())), (2, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn mutated_messages_of_ovsdb_server(edits in edits()) {
            super::ovsdb(&edited(OVSDB, &edits));
        }

        #[test]
        fn mutated_texts_of_ovs_vswitchd(edits in edits(), stats in any::<bool>()) {
            super::unixctl(&edited(if stats { STATS } else { FDB }, &edits));
        }
    }
}
