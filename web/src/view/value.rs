//! What attributes, classes and properties are set to.

use std::borrow::Cow;

use leptos::prelude::{Get, Memo, RwSignal, Signal};

/// A value of an attribute, a class or a property.
pub enum Value {
    Absent,
    Text(Cow<'static, str>),
    /// An attribute that is there or not, a class, a property.
    Flag(bool),
    /// Set again when a signal changes that it read.
    Live(Box<dyn Read>),
}

/// What reads a value that changes.
pub trait Read {
    fn read(&mut self) -> Value;
}

impl<F, V> Read for F
where
    F: FnMut() -> V,
    V: IntoValue,
{
    fn read(&mut self) -> Value {
        self().into_value()
    }
}

impl Value {
    /// True for equal values that do not change by themselves.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Flag(a), Self::Flag(b)) => a == b,
            _ => false,
        }
    }

    /// The value now.
    pub(super) fn settled(mut self) -> Self {
        while let Self::Live(mut read) = self {
            self = read.read();
        }
        self
    }
}

/// What may be given to an attribute, a class or a property.
pub trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Flag(self)
    }
}

impl IntoValue for &'static str {
    fn into_value(self) -> Value {
        Value::Text(Cow::Borrowed(self))
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(Cow::Owned(self))
    }
}

impl<V: IntoValue> IntoValue for Option<V> {
    fn into_value(self) -> Value {
        self.map_or(Value::Absent, V::into_value)
    }
}

impl<F, V> IntoValue for F
where
    F: FnMut() -> V + 'static,
    V: IntoValue,
{
    fn into_value(self) -> Value {
        Value::Live(Box::new(self))
    }
}

macro_rules! values {
    (numbers: $($number:ty),*; signals: $($signal:ident),*) => {
        $(impl IntoValue for $number {
            fn into_value(self) -> Value {
                Value::Text(Cow::Owned(self.to_string()))
            }
        })*
        $(impl<T> IntoValue for $signal<T>
        where
            T: IntoValue + Clone + Send + Sync + 'static,
        {
            fn into_value(self) -> Value {
                Value::Live(Box::new(move || self.get()))
            }
        })*
    };
}

values!(numbers: u16, u32, u64, usize, i32, i64, f64; signals: Signal, RwSignal, Memo);
