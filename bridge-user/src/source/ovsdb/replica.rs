//! The replica: what the server has told of the tables that matter, kept by `monitor_cond` and `update2` (ovsdb-server(7), 4.1.12 and 4.1.14).
//!
//! `monitor_cond` is older (Open vSwitch 2.6) than the oldest schema that is accepted, so there is no falling back to `monitor`. Bounded in rows
//! and in bytes. After an error the replica is of no use.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::OvsdbError;
use super::cell::{Cell, Uuid};
use super::rows::{Bridge, Interface, Mirror, OpenVswitch, Port, Qos, Row, Sampling};
use crate::source::jsonrpc::{MAX_MEMBERS, Members, read, repeat};

/// Bytes of one row's JSON.
const MAX_ROW: usize = 2 << 20;
/// Bytes of all rows of a table.
const MAX_WEIGHT: usize = 16 << 20;

/// What the server has told.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) switches: Table<OpenVswitch>,
    pub(super) bridges: Table<Bridge>,
    pub(super) ports: Table<Port>,
    pub(super) interfaces: Table<Interface>,
    pub(super) mirrors: Table<Mirror>,
    pub(super) qos: Table<Qos>,
    pub(super) netflow: Table<Sampling>,
    pub(super) sflow: Table<Sampling>,
    pub(super) ipfix: Table<Sampling>,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            switches: Table::new("Open_vSwitch"),
            bridges: Table::new("Bridge"),
            ports: Table::new("Port"),
            interfaces: Table::new("Interface"),
            mirrors: Table::new("Mirror"),
            qos: Table::new("QoS"),
            netflow: Table::new("NetFlow"),
            sflow: Table::new("sFlow"),
            ipfix: Table::new("IPFIX"),
        }
    }
}

/// Rows of a table by UUID.
#[derive(Debug)]
pub(super) struct Table<R> {
    name: &'static str,
    rows: HashMap<Uuid, R>,
    weight: usize,
}

/// How a cell takes in a value.
type Take = fn(&mut dyn Cell, &Value) -> bool;

/// A table, whatever its rows.
trait Rows {
    fn name(&self) -> &'static str;
    /// Columns that must be in the schema, then those that may be missing.
    fn columns(&self) -> (Vec<&'static str>, &'static [&'static str]);
    /// Takes in one row's update.
    fn update(&mut self, row: &str, verb: &str, columns: &RawValue) -> Result<(), OvsdbError>;
}

/// What `get_schema` answers, as far as it matters.
#[derive(serde::Deserialize)]
struct Schema<'a> {
    #[serde(borrow)]
    tables: Members<'a, TableSchema<'a>>,
}

#[derive(serde::Deserialize)]
struct TableSchema<'a> {
    #[serde(borrow)]
    columns: Members<'a, serde::de::IgnoredAny>,
}

impl Replica {
    fn tables(&mut self) -> [&mut dyn Rows; 9] {
        [
            &mut self.switches,
            &mut self.bridges,
            &mut self.ports,
            &mut self.interfaces,
            &mut self.mirrors,
            &mut self.qos,
            &mut self.netflow,
            &mut self.sflow,
            &mut self.ipfix,
        ]
    }

    /// The `monitor_cond` request's third parameter for a server with this schema (`get_schema`'s result).
    pub(super) fn monitor_request(&mut self, schema: &str) -> Result<Value, OvsdbError> {
        let schema: Schema<'_> = read(schema)?;
        let mut request = Map::new();
        for table in self.tables() {
            let name = table.name();
            let found = schema.tables.0.iter().find(|(known, _)| known == name);
            let (_, known) = found.ok_or_else(|| OvsdbError::Schema(format!("table {name}")))?;
            let has = |column: &&str| known.columns.0.iter().any(|(known, _)| known == column);
            let (mut columns, optional) = table.columns();
            if let Some(missing) = columns.iter().find(|column| !has(column)) {
                return Err(OvsdbError::Schema(format!("column {missing} in table {name}")));
            }
            columns.extend(optional.iter().copied().filter(|column| has(column)));
            request.insert(name.into(), json!([{ "columns": columns }]));
        }
        Ok(Value::Object(request))
    }

    /// Takes in `<table-updates2>`. Tables that were not asked for are passed over.
    pub(super) fn apply(&mut self, updates: &str) -> Result<(), OvsdbError> {
        let updates: Members<'_, &RawValue> = read(updates)?;
        for table in self.tables() {
            let ours = table.name();
            for (_, rows) in updates.0.iter().filter(|(name, _)| name == ours) {
                let rows: Members<'_, &RawValue> = read(rows.get())?;
                for (row, update) in rows.0 {
                    let said: Members<'_, &RawValue> = read(update.get())?;
                    let [(verb, columns)] = said.0.as_slice() else {
                        return Err(wrong(ours, &row, "an update that is not one of insert, modify, delete"));
                    };
                    table.update(&row, verb, columns)?;
                }
            }
        }
        Ok(())
    }
}

fn wrong(table: &'static str, row: &str, what: &str) -> OvsdbError {
    OvsdbError::Row { table, row: repeat(row), what: what.into() }
}

impl<R: Row> Table<R> {
    fn new(name: &'static str) -> Self {
        Self { name, rows: HashMap::new(), weight: 0 }
    }

    pub(super) fn get(&self, row: &Uuid) -> Option<&R> {
        self.rows.get(row)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Uuid, &R)> {
        self.rows.iter()
    }

    /// Its name, for errors.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    fn put(&mut self, uuid: Uuid, mut row: R) -> Result<(), OvsdbError> {
        if self.rows.len() >= MAX_MEMBERS {
            return Err(OvsdbError::TooMuch("65536 rows of a table"));
        }
        self.weight += weight(&uuid, &mut row);
        if self.weight > MAX_WEIGHT {
            return Err(OvsdbError::TooMuch("16 MiB in the rows of a table"));
        }
        self.rows.insert(uuid, row);
        Ok(())
    }

    fn take(&mut self, uuid: &Uuid) -> Option<R> {
        let mut row = self.rows.remove(uuid)?;
        self.weight -= weight(uuid, &mut row);
        Some(row)
    }
}

fn weight<R: Row>(uuid: &Uuid, row: &mut R) -> usize {
    size_of::<Uuid>() + size_of::<R>() + uuid.0.len() + row.cells().iter().map(|(_, cell)| cell.weight()).sum::<usize>()
}

impl<R: Row> Rows for Table<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn columns(&self) -> (Vec<&'static str>, &'static [&'static str]) {
        let mut row = R::default();
        let all = row.cells().into_iter().map(|(name, _)| name);
        (all.filter(|name| !R::OPTIONAL.contains(name)).collect(), R::OPTIONAL)
    }

    fn update(&mut self, row: &str, verb: &str, columns: &RawValue) -> Result<(), OvsdbError> {
        let uuid = Uuid(row.into());
        let old = self.take(&uuid);
        let (mut new, take): (R, Take) = match (verb, old) {
            ("initial" | "insert", _) => (R::default(), |cell, value| cell.assign(value)),
            ("modify", Some(old)) => (old, |cell, value| cell.modify(value)),
            ("modify", None) => return Err(wrong(self.name, row, "modified, but was never sent")),
            ("delete", _) => return Ok(()),
            _ => return Err(wrong(self.name, row, &format!("an update {}, which is not known", repeat(verb)))),
        };
        if columns.get().len() > MAX_ROW {
            return Err(OvsdbError::TooMuch("2 MiB in one row"));
        }
        let columns: Map<String, Value> =
            read(columns.get()).map_err(|error| wrong(self.name, row, &error.to_string()))?;
        for (name, cell) in new.cells() {
            if columns.get(name).is_some_and(|value| !take(cell, value)) {
                return Err(wrong(self.name, row, &format!("column {name} has a value of the wrong type")));
            }
        }
        self.put(uuid, new)
    }
}

#[cfg(test)]
mod tests;
