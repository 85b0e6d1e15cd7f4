//! What pages are made of: a renderer of one type.
//!
//! Signals, effects and components are leptos' own. Its elements are not used: each makes a type, and each type code of its own for
//! building, changing and dropping it. Here `view!` makes a text that says how an element looks and a list of what changes in it
//! (see `web/macro`), and [`tree`] builds and changes all of them with the same few functions.
//!
//! As with leptos, a closure is drawn again when a signal changes that it read, and what it gives is laid over what was there:
//! elements of the same shape stay, with focus and scroll position.

mod tree;
mod value;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use leptos::prelude::NodeRef;
use leptos::tachys::html::element::ElementType;
use leptos::tachys::html::node_ref::NodeRefContainer;
use wasm_bindgen::JsCast;

pub use tree::mount;
pub use value::{IntoValue, Value};

/// Leptos' prelude with this renderer's names instead of its own.
pub mod prelude {
    pub use super::{
        Children, ChildrenFn, CollectView, IntoView, IntoView as IntoAny, View as AnyView,
    };
    pub use krakend_view_macro::view;
    pub use leptos::prelude::*;
}

/// Something to show.
pub enum View {
    Nothing,
    Text(Cow<'static, str>),
    Element(Box<Element>),
    List(Vec<View>),
    /// Drawn again when a signal changes that it read.
    Live(Box<dyn Draw>),
}

/// An element with all below it.
pub struct Element {
    /// See `web/macro`.
    shape: &'static str,
    /// What the shape leaves open, in order.
    parts: Vec<Part>,
}

/// What draws. A trait of its own: a boxed closure brings code for being called once, too, and never is.
pub trait Draw {
    fn draw(&mut self) -> View;
}

impl<F, V> Draw for F
where
    F: FnMut() -> V,
    V: IntoView,
{
    fn draw(&mut self) -> View {
        self().into_view()
    }
}

/// What listens.
trait Hear {
    fn hear(&mut self, event: web_sys::Event);
}

struct On<E, F>(F, PhantomData<E>);

impl<E: JsCast, F: FnMut(E)> Hear for On<E, F> {
    fn hear(&mut self, event: web_sys::Event) {
        (self.0)(event.unchecked_into());
    }
}

enum Part {
    Child(View),
    /// Of an attribute, a class or a property.
    Value(Value),
    Listener(Box<dyn Hear>),
    Reference(Box<dyn FnOnce(&web_sys::Element)>),
}

/// Gathers the parts of an element; `view!` writes the calls.
pub struct Template {
    shape: &'static str,
    parts: Vec<Part>,
}

impl Template {
    /// With room for `many` parts.
    #[must_use]
    pub fn new(shape: &'static str, many: usize) -> Self {
        Self {
            shape,
            parts: Vec::with_capacity(many),
        }
    }

    pub fn child(&mut self, view: impl IntoView) {
        self.push(Part::Child(view.into_view()));
    }

    pub fn value(&mut self, value: impl IntoValue) {
        self.push(Part::Value(value.into_value()));
    }

    /// `E` must be the type of the event, which the macro sees to.
    pub fn on<E: JsCast + 'static, F: FnMut(E) + 'static>(&mut self, listener: F) {
        self.push(Part::Listener(Box::new(On(listener, PhantomData))));
    }

    pub fn node_ref<E>(&mut self, node_ref: NodeRef<E>)
    where
        E: ElementType + 'static,
        E::Output: JsCast + 'static,
    {
        self.push(Part::Reference(Box::new(move |element| {
            node_ref.load(element);
        })));
    }

    #[inline(never)]
    fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    #[must_use]
    pub fn finish(self) -> View {
        View::Element(Box::new(Element {
            shape: self.shape,
            parts: self.parts,
        }))
    }
}

/// What may stand in a view.
pub trait IntoView: Sized {
    fn into_view(self) -> View;

    /// The same; for where leptos needs the types of branches to agree.
    fn into_any(self) -> View {
        self.into_view()
    }
}

impl IntoView for View {
    fn into_view(self) -> View {
        self
    }
}

impl IntoView for () {
    fn into_view(self) -> View {
        View::Nothing
    }
}

impl IntoView for &'static str {
    fn into_view(self) -> View {
        View::Text(Cow::Borrowed(self))
    }
}

impl IntoView for String {
    fn into_view(self) -> View {
        View::Text(Cow::Owned(self))
    }
}

impl<V: IntoView> IntoView for Option<V> {
    fn into_view(self) -> View {
        self.map_or(View::Nothing, V::into_view)
    }
}

impl<V: IntoView> IntoView for Vec<V> {
    fn into_view(self) -> View {
        View::List(self.into_iter().map(V::into_view).collect())
    }
}

impl<F, V> IntoView for F
where
    F: FnMut() -> V + 'static,
    V: IntoView,
{
    fn into_view(self) -> View {
        View::Live(Box::new(self))
    }
}

/// Numbers, and signals of what can be shown.
macro_rules! shown {
    (numbers: $($number:ty),*; signals: $($signal:ident),*) => {
        $(impl IntoView for $number {
            fn into_view(self) -> View {
                View::Text(Cow::Owned(self.to_string()))
            }
        })*
        $(impl<T> IntoView for leptos::prelude::$signal<T>
        where
            T: IntoView + Clone + Send + Sync + 'static,
        {
            fn into_view(self) -> View {
                View::Live(Box::new(move || leptos::prelude::Get::get(&self)))
            }
        })*
    };
}

shown!(numbers: u16, u32, u64, usize, i64; signals: Signal, RwSignal, Memo);

/// Makes one view of many.
pub trait CollectView {
    fn collect_view(self) -> View;
}

impl<I> CollectView for I
where
    I: IntoIterator,
    I::Item: IntoView,
{
    fn collect_view(self) -> View {
        View::List(self.into_iter().map(IntoView::into_view).collect())
    }
}

/// What stands inside a component, made once.
pub type Children = Box<dyn FnOnce() -> View>;

/// What stands inside a component, made as often as it is shown.
pub type ChildrenFn = Arc<dyn Fn() -> View>;

/// How `view!` hands over what stands inside a component.
pub trait ToChildren<F> {
    fn to_children(inside: F) -> Self;
}

impl<F: FnOnce() -> View + 'static> ToChildren<F> for Children {
    fn to_children(inside: F) -> Self {
        Box::new(inside)
    }
}

impl<F: Fn() -> View + 'static> ToChildren<F> for ChildrenFn {
    fn to_children(inside: F) -> Self {
        Arc::new(inside)
    }
}
