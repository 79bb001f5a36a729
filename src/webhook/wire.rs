//! How senders' JSON is read: fields in any order, the last of equal keys wins, unknown ones are skipped
//! without being kept, null and absent are the same. It never refuses a body for a field that could be read
//! in some way, and names the path of what it does refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Utc};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::rejection::Rejection;

/// Alerts read from one body; each takes memory, however few bytes it was sent in.
pub const MAX_ALERTS: usize = 50_000;

/// Reads a whole JSON text; a fault is told with its path, such as `alerts[3].labels`.
pub(super) fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Rejection> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { format!("{path}: ") };
        Rejection::malformed(&format!("{path}{}", error.inner()))
    })?;
    json.end().map_err(|error| Rejection::malformed(&error.to_string()))?;
    Ok(value)
}

/// Defines a struct that is read from a JSON object; derived ones refuse keys that come twice.
macro_rules! wire {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $kind:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name { $(pub(super) $field: $kind,)* }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a map")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key::<String>()? {
                            match key.as_str() {
                                $($key => read.$field = map.next_value()?,)*
                                _ => { map.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok(read)
                    }
                }
                json.deserialize_map(Fields)
            }
        }
    };
}
pub(super) use wire;

/// Text; numbers and booleans count as theirs, null as none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

/// A point in time, or nothing when it cannot be read. At microseconds, which is what Postgres keeps.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Option<DateTime<Utc>>);

/// A count; what is none counts as zero.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

/// Labels or annotations.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Labels(pub(super) BTreeMap<String, String>);

/// A list with a limit on its length.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// Python's enum: plain text, or the dump of the object with its `_name_` and `_value_`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) value: String,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Reads a scalar as text; `N` decides what arrays and objects are.
struct Scalar<N>(PhantomData<N>);
/// Arrays and objects are faults.
struct Strict;
/// Arrays and objects are as good as null.
struct Lenient;

macro_rules! scalar_visits {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
            Ok(text)
        }
        fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_unit<E: Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    };
}

impl<'de> Visitor<'de> for Scalar<Strict> {
    type Value = String;
    scalar_visits!();
}

impl<'de> Visitor<'de> for Scalar<Lenient> {
    type Value = String;
    scalar_visits!();

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<String, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
        IgnoredAny.visit_map(map).map(|_| String::new())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Scalar(PhantomData::<Strict>)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Scalar(PhantomData::<Lenient>)).map(|text| Self(moment(text.trim())))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        // A float is cut to the range of the count, a negative one to zero.
        let text = json.deserialize_any(Scalar(PhantomData::<Lenient>))?;
        Ok(Self(text.parse().or_else(|_| text.parse::<f64>().map(|float| float as u64)).unwrap_or(0)))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let labels: Option<BTreeMap<String, Text>> = Option::deserialize(json)?;
        Ok(Self(labels.unwrap_or_default().into_iter().map(|(name, Text(value))| (name, value)).collect()))
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Member;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an enum")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Member, E> {
                Ok(Member { name: text.to_owned(), value: text.to_owned() })
            }
            fn visit_unit<E: Error>(self) -> Result<Member, E> {
                Ok(Member::default())
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Member, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
                let mut member = Member::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "_name_" => member.name = map.next_value::<Text>()?.0,
                        "_value_" => member.value = map.next_value::<Text>()?.0,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(member)
            }
        }
        json.deserialize_any(Either)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX_ALERTS {
                        return Err(Error::custom(format!("more than {MAX_ALERTS} entries")));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        json.deserialize_seq(Items(PhantomData))
    }
}

/// Reads RFC 3339 and what Python makes of times (a space for the `T`, no offset: UTC). Clamped to the
/// years 1 to 9999, which an offset can leave, so that every reader of ours can print and read it back.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let read = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|time| time.to_utc())
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|time| time.and_utc()))
        .ok()?
        .trunc_subsecs(6);
    match read.year() {
        ..1 => DateTime::from_timestamp(-62_135_596_800, 0),
        1..=9999 => Some(read),
        _ => DateTime::from_timestamp_micros(253_402_300_799_999_999),
    }
}
