//! Keys and their values as they are written, with their places.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use super::error::Wrong;
use crate::plan::Key;

/// Line and column of the file, from 1.
pub type Place = (u64, u64);

/// Where something is written.
pub fn place<T>(written: &Spanned<T>) -> Place {
    (written.referenced.line(), written.referenced.column())
}

/// Keys with their values, in the order of the file; what the keys are is looked at later.
#[derive(Debug, Clone, Default)]
pub struct Mapping(pub Vec<(Spanned<String>, Setting)>);

impl Mapping {
    /// Every combination of its values, as they are written; `null` is empty, as in [`Key::value`].
    ///
    /// # Errors
    /// A key is none.
    pub fn combinations(&self) -> Result<Vec<BTreeMap<Key, String>>, Wrong> {
        let mut combinations = vec![BTreeMap::new()];
        for (written, setting) in &self.0 {
            let key: Key = written
                .value
                .parse()
                .map_err(|message: String| Wrong::new(place(written), message))?;
            let mut longer = Vec::new();
            for combination in &combinations {
                for value in &setting.values {
                    let mut combination = combination.clone();
                    combination.insert(key, value.text.clone().unwrap_or_default());
                    longer.push(combination);
                }
            }
            combinations = longer;
        }
        Ok(combinations)
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub struct Setting {
    pub place: Place,
    pub values: Vec<Value>,
}

/// A text, number or truth value as text; `None`: `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub place: Place,
    pub text: Option<String>,
}

/// Cells by their names.
#[derive(Debug, Default)]
pub struct Named(pub Vec<(Spanned<String>, Spanned<Mapping>)>);

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let entries: Vec<(Spanned<String>, Spanned<OneOrMore>)> = entries(source)?;
        let setting = |written: Spanned<OneOrMore>| {
            let place = place(&written);
            let values = match written.value {
                OneOrMore::One(text) => vec![Value { place, text }],
                OneOrMore::More(values) => values,
            };
            Setting { place, values }
        };
        Ok(Self(
            entries.into_iter().map(|(key, value)| (key, setting(value))).collect(),
        ))
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        entries(source).map(Self)
    }
}

/// A mapping in its own order. The reader of YAML has refused keys that are there twice.
pub fn entries<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    source: D,
) -> Result<Vec<(Spanned<String>, V)>, D::Error> {
    struct Entries<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
        type Value = Vec<(Spanned<String>, V)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    source.deserialize_map(Entries(std::marker::PhantomData))
}

/// A scalar or a list of scalars. No untagged enum: those lose the places.
enum OneOrMore {
    One(Option<String>),
    More(Vec<Value>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(Some(value.to_string())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(Some(value.to_string())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(Some(value.to_string())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<OneOrMore, E> {
                Err(E::custom(format!(
                    "no key takes the number {value}; a text that looks like a number is put in quotes"
                )))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(Some(value.to_owned())))
            }

            fn visit_unit<E: Error>(self) -> Result<OneOrMore, E> {
                Ok(OneOrMore::One(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut values = Vec::new();
                while let Some(written) = list.next_element::<Spanned<OneOrMore>>()? {
                    let place = place(&written);
                    match written.value {
                        OneOrMore::One(text) => values.push(Value { place, text }),
                        OneOrMore::More(_) => return Err(A::Error::custom("a list within a list of values")),
                    }
                }
                Ok(OneOrMore::More(values))
            }
        }
        source.deserialize_any(Values)
    }
}

/// One mapping, or a list of them.
pub fn one_or_more<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Spanned<Mapping>>, D::Error> {
    /// What stands in a mapping's stead where it is one: its entries are read with their places.
    enum Mappings {
        One(Mapping),
        More(Vec<Spanned<Mapping>>),
    }
    impl<'de> Deserialize<'de> for Mappings {
        fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
            struct Either;
            impl<'de> Visitor<'de> for Either {
                type Value = Mappings;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a mapping or a list of mappings")
                }

                fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mappings, A::Error> {
                    Mapping::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Mappings::One)
                }

                fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Mappings, A::Error> {
                    let mut mappings = Vec::new();
                    while let Some(mapping) = list.next_element()? {
                        mappings.push(mapping);
                    }
                    Ok(Mappings::More(mappings))
                }
            }
            source.deserialize_any(Either)
        }
    }
    let written = Spanned::<Mappings>::deserialize(source)?;
    let (referenced, defined) = (written.referenced, written.defined);
    Ok(match written.value {
        Mappings::One(mapping) => vec![Spanned::new(mapping, referenced, defined)],
        Mappings::More(mappings) => mappings,
    })
}
