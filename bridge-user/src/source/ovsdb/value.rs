//! OVSDB's values in JSON (RFC 7047, 5.1), strictly typed: a value of another type is an error in words, for the row to be named with.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::OvsdbError;

/// Columns of one row.
pub(super) struct Columns<'a> {
    /// Table, for errors.
    pub(super) table: &'static str,
    /// UUID, for errors.
    pub(super) row: &'a str,
    /// Column name to value.
    pub(super) columns: &'a Map<String, Value>,
}

impl<'a> Columns<'a> {
    /// An error about this row.
    pub(super) fn wrong(&self, what: String) -> OvsdbError {
        OvsdbError::Row { table: self.table, row: self.row.into(), what }
    }

    fn read<T>(&self, column: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, OvsdbError> {
        let value = self.columns.get(column).ok_or_else(|| self.wrong(format!("column {column} is missing")))?;
        read(value).ok_or_else(|| self.wrong(format!("column {column} has a value of the wrong type")))
    }

    /// A string that must be there.
    pub(super) fn string(&self, column: &str) -> Result<String, OvsdbError> {
        self.read(column, |value| value.as_str().map(String::from))
    }

    /// A string or nothing.
    pub(super) fn optional_string(&self, column: &str) -> Result<Option<String>, OvsdbError> {
        self.read(column, |value| at_most_one(value, |v| v.as_str().map(String::from)))
    }

    /// An integer or nothing.
    pub(super) fn optional_integer(&self, column: &str) -> Result<Option<i64>, OvsdbError> {
        self.read(column, |value| at_most_one(value, Value::as_i64))
    }

    /// An integer that must be there, or 0 where the schema does not have the column.
    pub(super) fn integer_if_known(&self, column: &str) -> Result<i64, OvsdbError> {
        if self.columns.contains_key(column) { self.read(column, Value::as_i64) } else { Ok(0) }
    }

    /// A boolean that must be there, or false where the schema does not have the column.
    pub(super) fn boolean_if_known(&self, column: &str) -> Result<bool, OvsdbError> {
        if self.columns.contains_key(column) { self.read(column, Value::as_bool) } else { Ok(false) }
    }

    /// How many integers.
    pub(super) fn integers(&self, column: &str) -> Result<usize, OvsdbError> {
        self.read(column, |value| set(value, Value::as_i64).map(|set| set.len()))
    }

    /// References to rows.
    pub(super) fn uuids(&self, column: &str) -> Result<Vec<String>, OvsdbError> {
        self.read(column, |value| set(value, uuid))
    }

    /// A map of strings.
    pub(super) fn strings(&self, column: &str) -> Result<BTreeMap<String, String>, OvsdbError> {
        self.read(column, strings)
    }
}

fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a Value> {
    match value.as_array()?.as_slice() {
        [Value::String(found), inner] if found == tag => Some(inner),
        _ => None,
    }
}

fn uuid(value: &Value) -> Option<String> {
    tagged(value, "uuid")?.as_str().map(String::from)
}

/// A set is written `["set", [...]]`, or as its only element.
fn set<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match tagged(value, "set") {
        Some(inner) => inner.as_array()?.iter().map(read).collect(),
        None => read(value).map(|element| vec![element]),
    }
}

fn at_most_one<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    let mut elements = set(value, read)?;
    (elements.len() <= 1).then(|| elements.pop())
}

fn strings(value: &Value) -> Option<BTreeMap<String, String>> {
    let pair = |pair: &Value| match pair.as_array()?.as_slice() {
        [Value::String(key), Value::String(value)] => Some((key.clone(), value.clone())),
        _ => None,
    };
    tagged(value, "map")?.as_array()?.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_of_none_one_and_many() {
        let uuids = |value| set(&value, uuid);
        assert_eq!(uuids(json!(["set", []])), Some(vec![]));
        assert_eq!(uuids(json!(["uuid", "a"])), Some(vec!["a".into()]));
        assert_eq!(uuids(json!(["set", [["uuid", "a"], ["uuid", "b"]]])), Some(vec!["a".into(), "b".into()]));
        assert_eq!(at_most_one(&json!(["set", []]), Value::as_i64), Some(None));
        assert_eq!(at_most_one(&json!(7), Value::as_i64), Some(Some(7)));
        assert_eq!(at_most_one(&json!(["set", [1, 2]]), Value::as_i64), None);
    }

    #[test]
    fn wrong_types_are_nothing() {
        for value in
            [json!(null), json!("a"), json!(["set"]), json!(["set", "a"]), json!(["set", [1]]), json!(["uuid", 1])]
        {
            assert_eq!(set(&value, uuid), None, "{value}");
        }
        for value in
            [json!({}), json!(["map", [["a"]]]), json!(["map", [["a", 1]]]), json!(["map", {}]), json!(["set", []])]
        {
            assert_eq!(strings(&value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_json_panics(value in super::any_json()) {
            let _ = (set(&value, uuid), at_most_one(&value, |v| v.as_str().map(String::from)), strings(&value));
        }
    }
}

#[cfg(test)]
pub(super) use self::generated::any_json;

#[cfg(test)]
mod generated {
    use proptest::prelude::*;
    use serde_json::Value;

    /// Any JSON of a little depth.
    pub(in super::super) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof![Just("set"), Just("map"), Just("uuid"), Just("new"), Just("x")].prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(prop_oneof![Just("new".to_string()), "[a-z]{1,2}"], inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }
}
