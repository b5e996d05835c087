//! One counter of a namespace's or a guest's IP layer, out of the text of its /proc/net/snmp.

/// The number under `name` of the table that begins with `table` (`Ip:`).
pub(super) fn counter(text: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(table));
    let column = lines.next()?.split_whitespace().position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_found_by_its_name() {
        let text = "Ip: Forwarding InReceives InDelivers\nIp: 1 20 19\nUdp: InDatagrams\nUdp: 3\n";
        assert_eq!(counter(text, "Ip:", "InDelivers"), Some(19));
        assert_eq!(counter(text, "Udp:", "InDatagrams"), Some(3));
        assert_eq!(counter("Ip: Forwarding\nIp: 1\n", "Ip:", "InDelivers"), None);
    }
}
