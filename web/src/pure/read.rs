//! Reads the API's values out of JSON.
//!
//! serde_json's own reader is compiled anew for each type: 52 kB of what a browser has to load. This reads any text into one tree
//! first; what is compiled for each type only takes fields out of it. Nobody is told where a value is wrong, so errors carry nothing.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// The value in `text`, or nothing where it is not what the API promises.
#[must_use]
pub fn from_str<T: DeserializeOwned>(text: &str) -> Option<T> {
    T::deserialize(Tree(tree(text)?)).ok()
}

#[inline(never)]
fn tree(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

#[derive(Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not what the API promises")
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Tree(Value);

macro_rules! numbers {
    ($($method:ident $read:ident $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            visitor.$visit(self.0.$read().ok_or(Unreadable)?)
        })*
    };
}

/// Methods that take the same kind of value.
macro_rules! alike {
    ($($method:ident $(($($unused:ty),*))? $take:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($(_: $unused,)*)? visitor: V) -> Result<V::Value, Unreadable> {
            self.$take(visitor)
        })*
    };
}

impl Tree {
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            _ => Err(Unreadable),
        }
    }

    fn items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items(items.into_iter())),
            _ => Err(Unreadable),
        }
    }

    fn fields<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Object(fields) => visitor.visit_map(Fields::new(fields)),
            _ => Err(Unreadable),
        }
    }

    fn choice<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(StringDeserializer::new(name)),
            _ => Err(Unreadable),
        }
    }

    fn nothing<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            _ => Err(Unreadable),
        }
    }
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (_, Some(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(number.as_f64().ok_or(Unreadable)?),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items(items.into_iter())),
            Value::Object(fields) => visitor.visit_map(Fields::new(fields)),
        }
    }

    numbers! {
        deserialize_bool as_bool visit_bool;
        deserialize_i8 as_i64 visit_i64;
        deserialize_i16 as_i64 visit_i64;
        deserialize_i32 as_i64 visit_i64;
        deserialize_i64 as_i64 visit_i64;
        deserialize_u8 as_u64 visit_u64;
        deserialize_u16 as_u64 visit_u64;
        deserialize_u32 as_u64 visit_u64;
        deserialize_u64 as_u64 visit_u64;
        deserialize_f32 as_f64 visit_f64;
        deserialize_f64 as_f64 visit_f64;
    }

    alike! {
        deserialize_char text;
        deserialize_str text;
        deserialize_string text;
        deserialize_identifier text;
        deserialize_bytes text;
        deserialize_byte_buf text;
        deserialize_seq items;
        deserialize_tuple(usize) items;
        deserialize_tuple_struct(&'static str, usize) items;
        deserialize_map fields;
        deserialize_struct(&'static str, &'static [&'static str]) fields;
        deserialize_enum(&'static str, &'static [&'static str]) choice;
        deserialize_unit nothing;
        deserialize_unit_struct(&'static str) nothing;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }
}

struct Items(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        match self.0.next() {
            Some(item) => seed.deserialize(Tree(item)).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Fields {
    rest: serde_json::map::IntoIter,
    value: Value,
}

impl Fields {
    #[inline(never)]
    fn new(fields: serde_json::Map<String, Value>) -> Self {
        Self {
            rest: fields.into_iter(),
            value: Value::Null,
        }
    }

    #[inline(never)]
    fn advance(&mut self) -> Option<String> {
        let (name, value) = self.rest.next()?;
        self.value = value;
        Some(name)
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unreadable> {
        match self.advance() {
            Some(name) => seed.deserialize(Tree(Value::String(name))).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, Unreadable> {
        seed.deserialize(Tree(self.value.take()))
    }
}

#[cfg(test)]
mod tests {
    use super::from_str;
    use krakend_api::{Event, EventKind, Problem, Statistics, Totals, Version};
    use serde::de::DeserializeOwned;

    fn same<T: DeserializeOwned + std::fmt::Debug + PartialEq>(text: &str) -> T {
        let own = from_str::<T>(text);
        assert_eq!(own, serde_json::from_str(text).ok(), "{text}");
        own.unwrap_or_else(|| panic!("not read: {text}"))
    }

    #[test]
    fn values_are_read_as_serde_json_reads_them() {
        let problem: Problem =
            same(r#"{"type":"about:blank","title":"t","status":404,"detail":"d","more":[1,{}]}"#);
        assert_eq!(problem.status, 404);
        assert_eq!(
            same::<EventKind>("\"from_a_newer_manager\""),
            EventKind::Other
        );
        assert_eq!(same::<Option<f64>>("3"), Some(3.0));
        assert_eq!(same::<Vec<i64>>("[-1,2]"), [-1, 2]);
        assert_eq!(
            same::<(String, u64)>(r#"["a",18446744073709551615]"#).1,
            u64::MAX
        );
    }

    #[test]
    fn what_is_not_promised_is_not_read() {
        assert_eq!(from_str::<u64>("-1"), None);
        assert_eq!(from_str::<u8>("256"), None);
        assert_eq!(from_str::<String>("1"), None);
        assert!(from_str::<Event>("{}").is_none());
        assert!(from_str::<Totals>("[]").is_none());
        assert!(from_str::<Statistics>("null").is_none());
        assert!(from_str::<Version>("{").is_none());
    }
}
