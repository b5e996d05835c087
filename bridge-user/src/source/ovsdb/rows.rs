//! The replica: typed rows of three tables, changed by whole updates. An update with one bad row changes nothing.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::OvsdbError;
use super::value::Columns;

/// More rows than this of one table are refused.
const MAX_ROWS: usize = 65_536;

/// A table: name, columns that must be in the schema, columns that older or newer schemas lack.
type Table = (&'static str, &'static [&'static str], &'static [&'static str]);

const BRIDGE: Table = (
    "Bridge",
    &[
        "name",
        "ports",
        "datapath_type",
        "other_config",
        "mirrors",
        "sflow",
        "netflow",
        "fail_mode",
        "stp_enable",
        "flood_vlans",
    ],
    &["ipfix", "rstp_enable", "mcast_snooping_enable"],
);
const PORT: Table = ("Port", &["name", "interfaces", "tag", "trunks", "vlan_mode", "qos"], &["protected"]);
const INTERFACE: Table =
    ("Interface", &["name", "type", "ifindex", "ofport", "ingress_policing_rate"], &["ingress_policing_kpkts_rate"]);

/// A row of table Bridge.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) name: String,
    pub(super) ports: Vec<String>,
    pub(super) datapath_type: String,
    pub(super) other_config: BTreeMap<String, String>,
    pub(super) fail_mode: Option<String>,
    /// Columns that refer to a record (mirrors, sampling) and are not empty.
    pub(super) records: Vec<&'static str>,
    /// Boolean columns that are true.
    pub(super) enabled: Vec<&'static str>,
    pub(super) flood_vlans: bool,
}

/// A row of table Port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) interfaces: Vec<String>,
    pub(super) tag: Option<i64>,
    pub(super) trunks: usize,
    pub(super) vlan_mode: Option<String>,
    pub(super) qos: bool,
    pub(super) protected: bool,
}

/// A row of table Interface.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) ifindex: Option<i64>,
    pub(super) ofport: Option<i64>,
    /// Kilobits or kilopackets a second, whichever is not 0.
    pub(super) policing: i64,
}

/// What the server has told, by UUID.
#[derive(Debug, Default)]
pub(super) struct Replica {
    pub(super) bridges: HashMap<String, Bridge>,
    pub(super) ports: HashMap<String, Port>,
    pub(super) interfaces: HashMap<String, Interface>,
}

/// Rows of one table to insert (`Some`) or remove.
type Edits<T> = Vec<(String, Option<T>)>;

/// The `monitor` request's third parameter for a server with this schema (`get_schema`'s result).
pub(super) fn monitor_request(schema: &Value) -> Result<Value, OvsdbError> {
    let mut request = Map::new();
    for (table, required, optional) in [BRIDGE, PORT, INTERFACE] {
        let known = schema["tables"][table]["columns"].as_object();
        let known = known.ok_or_else(|| OvsdbError::Schema(format!("table {table}")))?;
        if let Some(missing) = required.iter().find(|column| !known.contains_key(**column)) {
            return Err(OvsdbError::Schema(format!("column {missing} in table {table}")));
        }
        let columns: Vec<_> =
            required.iter().chain(optional.iter().filter(|column| known.contains_key(**column))).collect();
        request.insert(table.into(), json!({ "columns": columns }));
    }
    Ok(Value::Object(request))
}

impl Replica {
    /// Takes in `<table-updates>` (RFC 7047, 4.1.6), all of it or, on an error, nothing.
    pub(super) fn apply(&mut self, updates: &Value) -> Result<(), OvsdbError> {
        let updates =
            updates.as_object().ok_or_else(|| OvsdbError::Garbage("table updates that are no object".into()))?;
        let bridges = edits(updates, BRIDGE.0, bridge)?;
        let ports = edits(updates, PORT.0, port)?;
        let interfaces = edits(updates, INTERFACE.0, interface)?;
        change(&mut self.bridges, bridges)?;
        change(&mut self.ports, ports)?;
        change(&mut self.interfaces, interfaces)
    }
}

fn edits<T>(
    updates: &Map<String, Value>,
    table: &'static str,
    read: impl Fn(&Columns<'_>) -> Result<T, OvsdbError>,
) -> Result<Edits<T>, OvsdbError> {
    let Some(rows) = updates.get(table) else { return Ok(Vec::new()) };
    let rows =
        rows.as_object().ok_or_else(|| OvsdbError::Garbage(format!("updates of table {table} that are no object")))?;
    rows.iter().map(|(row, update)| edit(table, row, update, &read)).collect()
}

fn edit<T>(
    table: &'static str,
    row: &str,
    update: &Value,
    read: impl Fn(&Columns<'_>) -> Result<T, OvsdbError>,
) -> Result<(String, Option<T>), OvsdbError> {
    let wrong = |what: &str| OvsdbError::Row { table, row: row.into(), what: what.into() };
    let update = update.as_object().ok_or_else(|| wrong("an update that is no object"))?;
    let new = match (update.get("old"), update.get("new")) {
        (_, Some(Value::Object(columns))) => Some(read(&Columns { table, row, columns })?),
        (Some(Value::Object(_)), None) => None,
        _ => return Err(wrong("an update with neither an old nor a new row")),
    };
    Ok((row.into(), new))
}

fn change<T>(rows: &mut HashMap<String, T>, edits: Edits<T>) -> Result<(), OvsdbError> {
    for (row, new) in edits {
        match new {
            Some(new) => rows.insert(row, new),
            None => rows.remove(&row),
        };
    }
    if rows.len() > MAX_ROWS { Err(OvsdbError::TooMuch("65536 rows of a table")) } else { Ok(()) }
}

fn bridge(columns: &Columns<'_>) -> Result<Bridge, OvsdbError> {
    let mut records = Vec::new();
    for column in ["mirrors", "sflow", "netflow", "ipfix"] {
        if columns.columns.contains_key(column) && !columns.uuids(column)?.is_empty() {
            records.push(column);
        }
    }
    let mut enabled = Vec::new();
    for column in ["stp_enable", "rstp_enable", "mcast_snooping_enable"] {
        if columns.boolean_if_known(column)? {
            enabled.push(column);
        }
    }
    Ok(Bridge {
        name: columns.string("name")?,
        ports: columns.uuids("ports")?,
        datapath_type: columns.string("datapath_type")?,
        other_config: columns.strings("other_config")?,
        fail_mode: columns.optional_string("fail_mode")?,
        records,
        enabled,
        flood_vlans: columns.integers("flood_vlans")? > 0,
    })
}

fn port(columns: &Columns<'_>) -> Result<Port, OvsdbError> {
    Ok(Port {
        name: columns.string("name")?,
        interfaces: columns.uuids("interfaces")?,
        tag: columns.optional_integer("tag")?,
        trunks: columns.integers("trunks")?,
        vlan_mode: columns.optional_string("vlan_mode")?,
        qos: !columns.uuids("qos")?.is_empty(),
        protected: columns.boolean_if_known("protected")?,
    })
}

fn interface(columns: &Columns<'_>) -> Result<Interface, OvsdbError> {
    let bits = columns.integer_if_known("ingress_policing_rate")?;
    let packets = columns.integer_if_known("ingress_policing_kpkts_rate")?;
    Ok(Interface {
        name: columns.string("name")?,
        kind: columns.string("type")?,
        ifindex: columns.optional_integer("ifindex")?,
        ofport: columns.optional_integer("ofport")?,
        policing: if bits != 0 { bits } else { packets },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::value::any_json;
    use super::*;

    fn interface_row(name: Value) -> Value {
        json!({"name": name, "type": "", "ifindex": 7, "ofport": ["set", []], "ingress_policing_rate": 0})
    }

    #[test]
    fn one_bad_row_spoils_the_whole_update() {
        let mut replica = Replica::default();
        replica.apply(&json!({"Interface": {"a": {"new": interface_row(json!("v0"))}}})).unwrap();
        for bad in [
            json!({"new": interface_row(json!(1))}),
            json!({"new": {}}),
            json!({}),
            json!(null),
            json!({"new": null}),
            json!({"old": 1}),
        ] {
            let update = json!({"Interface": {"a": {"old": {}}, "b": bad}});
            assert!(matches!(replica.apply(&update), Err(OvsdbError::Row { row, .. }) if row == "b"), "{update}");
            assert_eq!(replica.interfaces["a"].name, "v0");
        }
        replica.apply(&json!({"Interface": {"a": {"old": {}}}, "Other": 7})).unwrap();
        assert!(replica.interfaces.is_empty());
    }

    #[test]
    fn every_column_of_a_wrong_type_is_an_error() {
        for (column, wrong) in [
            ("name", json!(1)),
            ("type", json!(null)),
            ("ifindex", json!("7")),
            ("ofport", json!(["set", [1, 2]])),
            ("ingress_policing_rate", json!(true)),
        ] {
            let mut row = interface_row(json!("v0"));
            row[column] = wrong;
            assert!(Replica::default().apply(&json!({"Interface": {"a": {"new": row}}})).is_err(), "{column}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let rows: Map<_, _> =
            (0..=MAX_ROWS).map(|n| (n.to_string(), json!({"new": interface_row(json!("v"))}))).collect();
        let error = Replica::default().apply(&json!({"Interface": rows}));
        assert!(matches!(error, Err(OvsdbError::TooMuch(_))));
    }

    #[test]
    fn columns_are_asked_for_as_far_as_the_schema_has_them() {
        let table = |table: Table, optional: bool| {
            let columns: Map<_, _> =
                table.1.iter().chain(table.2.iter().filter(|_| optional)).map(|c| (c.to_string(), json!({}))).collect();
            json!({"columns": columns})
        };
        let schema = |optional| json!({"tables": {"Bridge": table(BRIDGE, optional), "Port": table(PORT, optional), "Interface": table(INTERFACE, optional)}});
        let asked = |optional| monitor_request(&schema(optional)).unwrap()["Port"]["columns"].as_array().unwrap().len();
        assert_eq!((asked(true), asked(false)), (7, 6));
        let mut poor = schema(true);
        poor["tables"]["Bridge"]["columns"].as_object_mut().unwrap().remove("mirrors");
        assert!(monitor_request(&poor).unwrap_err().to_string().contains("column mirrors in table Bridge"));
        assert!(monitor_request(&Value::Null).is_err());
    }

    proptest! {
        #[test]
        fn no_update_panics(row in any_json(), table in prop_oneof![Just("Bridge"), Just("Port"), Just("Interface")]) {
            let mut replica = Replica::default();
            let _ = replica.apply(&row);
            let _ = replica.apply(&json!({table: row}));
            let _ = replica.apply(&json!({table: {"a": row}}));
            let _ = replica.apply(&json!({table: {"a": {"new": row}}}));
        }
    }
}
