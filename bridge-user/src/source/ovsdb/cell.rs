//! Cells of a row: OVSDB's values in JSON (RFC 7047, 5.1), strictly typed. A value of another type is refused and the row's error names it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a column of a row holds.
pub(super) trait Cell {
    /// Takes this value instead of its own; `false`: it is of another type.
    fn assign(&mut self, value: &Value) -> bool;

    /// Takes in what `modify` tells (ovsdb-server(7), 4.1.14): the new value, or of sets and maps the difference to the old one.
    fn modify(&mut self, value: &Value) -> bool {
        self.assign(value)
    }

    /// Bytes that it keeps outside of itself, about.
    fn weight(&self) -> usize;
}

/// A value that is no set.
pub(super) trait Atom: Sized + Ord {
    /// `None`: of another type.
    fn read(value: &Value) -> Option<Self>;
    /// As [`Cell::weight`].
    fn weight(&self) -> usize {
        0
    }
}

/// A reference to a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Uuid(pub(super) String);

impl Atom for i64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Atom for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Atom for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }

    fn weight(&self) -> usize {
        self.len()
    }
}

impl Atom for Uuid {
    fn read(value: &Value) -> Option<Self> {
        tagged(value, "uuid")?.as_str().map(|text| Self(text.into()))
    }

    fn weight(&self) -> usize {
        self.0.len()
    }
}

impl<T: Atom> Cell for T {
    fn assign(&mut self, value: &Value) -> bool {
        T::read(value).map(|new| *self = new).is_some()
    }

    fn weight(&self) -> usize {
        Atom::weight(self)
    }
}

/// At most one element.
impl<T: Atom> Cell for Option<T> {
    fn assign(&mut self, value: &Value) -> bool {
        let Some(mut elements) = elements::<T>(value).filter(|elements| elements.len() <= 1) else { return false };
        *self = elements.pop();
        true
    }

    fn weight(&self) -> usize {
        self.as_ref().map_or(0, Atom::weight)
    }
}

impl<T: Atom> Cell for BTreeSet<T> {
    fn assign(&mut self, value: &Value) -> bool {
        elements(value).map(|elements| *self = elements.into_iter().collect()).is_some()
    }

    /// The elements that only one of the two sets has.
    fn modify(&mut self, value: &Value) -> bool {
        let Some(difference) = elements(value) else { return false };
        for element in difference {
            if !self.remove(&element) {
                self.insert(element);
            }
        }
        true
    }

    fn weight(&self) -> usize {
        self.iter().map(|element| size_of::<T>() + element.weight()).sum()
    }
}

impl Cell for BTreeMap<String, String> {
    fn assign(&mut self, value: &Value) -> bool {
        pairs(value).map(|pairs| *self = pairs.into_iter().collect()).is_some()
    }

    /// The pairs that only one of the two maps has; where both have the key, the new one's pair.
    fn modify(&mut self, value: &Value) -> bool {
        let Some(difference) = pairs(value) else { return false };
        for (key, value) in difference {
            if self.get(&key) == Some(&value) {
                self.remove(&key);
            } else {
                self.insert(key, value);
            }
        }
        true
    }

    fn weight(&self) -> usize {
        self.iter().map(|(key, value)| 2 * size_of::<String>() + key.len() + value.len()).sum()
    }
}

fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a Value> {
    match value.as_array()?.as_slice() {
        [Value::String(found), inner] if found == tag => Some(inner),
        _ => None,
    }
}

/// A set is written `["set", [...]]`, or as its only element.
fn elements<T: Atom>(value: &Value) -> Option<Vec<T>> {
    match tagged(value, "set") {
        Some(inner) => inner.as_array()?.iter().map(T::read).collect(),
        None => T::read(value).map(|element| vec![element]),
    }
}

fn pairs(value: &Value) -> Option<Vec<(String, String)>> {
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

    fn replaced<T: Cell + Default>(value: Value) -> Option<T> {
        let mut cell = T::default();
        cell.assign(&value).then_some(cell)
    }

    #[test]
    fn sets_of_none_one_and_many() {
        let uuids = |names: &[&str]| Some(names.iter().map(|name| Uuid((*name).into())).collect::<BTreeSet<_>>());
        assert_eq!(replaced(json!(["set", []])), uuids(&[]));
        assert_eq!(replaced(json!(["uuid", "a"])), uuids(&["a"]));
        assert_eq!(replaced(json!(["set", [["uuid", "a"], ["uuid", "b"]]])), uuids(&["a", "b"]));
        assert_eq!(replaced::<Option<i64>>(json!(["set", []])), Some(None));
        assert_eq!(replaced::<Option<i64>>(json!(7)), Some(Some(7)));
        assert_eq!(replaced::<Option<i64>>(json!(["set", [1, 2]])), None);
    }

    #[test]
    fn another_type_changes_nothing() {
        for value in
            [json!(null), json!("a"), json!(["set"]), json!(["set", "a"]), json!(["set", [1]]), json!(["uuid", 1])]
        {
            let mut set = BTreeSet::from([Uuid("kept".into())]);
            assert!(!set.assign(&value) && !set.modify(&value) && set.len() == 1, "{value}");
        }
        for value in
            [json!({}), json!(["map", [["a"]]]), json!(["map", [["a", 1]]]), json!(["map", {}]), json!(["set", []])]
        {
            let mut map = BTreeMap::from([("kept".to_owned(), String::new())]);
            assert!(!map.assign(&value) && !map.modify(&value) && map.len() == 1, "{value}");
        }
        let (mut number, mut truth, mut text) = (7, true, "kept".to_owned());
        assert!(!number.assign(&json!("7")) && !truth.assign(&json!(1)) && !text.assign(&json!(["set", []])));
        assert_eq!((number, truth, text.as_str()), (7, true, "kept"));
    }

    #[test]
    fn a_modification_is_a_value_or_a_difference() {
        let mut tag = Some(1_i64);
        assert!(tag.modify(&json!(["set", []])) && tag.is_none() && tag.modify(&json!(5)) && tag == Some(5));
        let mut trunks = BTreeSet::from([1_i64, 2]);
        assert!(trunks.modify(&json!(["set", [2, 3]])) && trunks == BTreeSet::from([1, 3]));
        assert!(trunks.modify(&json!(1)) && trunks == BTreeSet::from([3]));
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut map = BTreeMap::from([text("same", "1"), text("gone", "2"), text("other", "3")]);
        assert!(map.modify(&json!(["map", [["gone", "2"], ["other", "4"], ["new", "5"]]])));
        assert_eq!(map, BTreeMap::from([text("same", "1"), text("other", "4"), text("new", "5")]));
    }

    proptest! {
        #[test]
        fn no_json_panics(value in super::any_json()) {
            for cell in [
                &mut 0_i64 as &mut dyn Cell, &mut false, &mut String::new(), &mut None::<Uuid>, &mut BTreeSet::<i64>::new(),
                &mut BTreeMap::<String, String>::new(),
            ] {
                let _ = (cell.assign(&value), cell.modify(&value), cell.weight());
            }
        }

        /// The difference of any two sets makes one the other.
        #[test]
        fn differences_lead_from_one_set_to_the_other(old: BTreeSet<i64>, new: BTreeSet<i64>) {
            let difference: Vec<_> = old.symmetric_difference(&new).copied().collect();
            let mut cell = old.clone();
            prop_assert!(cell.modify(&json!(["set", difference])));
            prop_assert_eq!(cell, new);
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
            prop_oneof![Just("set"), Just("map"), Just("uuid"), Just("insert"), Just("x")].prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(prop_oneof![Just("modify".to_string()), "[a-z]{1,2}"], inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }
}
