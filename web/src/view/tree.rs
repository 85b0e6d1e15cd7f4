//! Builds views in the document and lays new ones over old ones.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::str::SplitTerminator;

use leptos::reactive::effect::RenderEffect;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Event, Node};

use super::{Element, Hear, IntoView, Part, Value, View};

const SVG: &str = "http://www.w3.org/2000/svg";

/// Shows a view at the end of the body for as long as the page lives.
pub fn mount<V: IntoView>(app: impl FnOnce() -> V + 'static) {
    // leptos owns the signals and runs the effects; to its own renderer there is nothing to show.
    leptos::mount::mount_to_body(move || {
        let state = build(app().into_view());
        if let Some(body) = document().body() {
            state.insert(&body, None);
        }
        std::mem::forget(state);
    });
}

fn document() -> Document {
    leptos::prelude::document()
}

/// A view that is in the document.
enum State {
    /// Nothing, which an empty comment stands for, or text.
    Leaf {
        node: Node,
        text: Option<Cow<'static, str>>,
    },
    Element(Box<Built>),
    /// A comment ends it, so it has a place while it is empty.
    List {
        items: Vec<State>,
        end: Node,
    },
    Live(RenderEffect<State>),
}

struct Built {
    shape: &'static str,
    root: web_sys::Element,
    parts: Vec<Bound>,
}

/// A part at its place.
enum Bound {
    Child(State),
    Value(Setting),
    Listener(Listener),
    Reference(web_sys::Element),
}

fn build(view: View) -> State {
    match view {
        View::Nothing => State::Leaf {
            node: document().create_comment("").into(),
            text: None,
        },
        View::Text(text) => State::Leaf {
            node: document().create_text_node(&text).into(),
            text: Some(text),
        },
        View::Element(element) => State::Element(Box::new(build_element(*element))),
        View::List(views) => State::List {
            items: views.into_iter().map(build).collect(),
            end: document().create_comment("").into(),
        },
        View::Live(mut draw) => State::Live(RenderEffect::new(move |before: Option<State>| {
            let view = draw.draw();
            match before {
                None => build(view),
                Some(mut state) => {
                    rebuild(view, &mut state);
                    state
                }
            }
        })),
    }
}

/// Lays `view` over what is there, which stays where it has the same shape.
fn rebuild(view: View, state: &mut State) {
    match (view, &mut *state) {
        (View::Nothing, State::Leaf { text: None, .. }) => {}
        (
            View::Text(new),
            State::Leaf {
                node,
                text: Some(old),
            },
        ) => {
            if new != *old {
                node.set_text_content(Some(&new));
                *old = new;
            }
        }
        (View::List(views), State::List { items, end }) => rebuild_list(views, items, end),
        (View::Element(new), State::Element(old)) if new.shape == old.shape => {
            for (part, bound) in new.parts.into_iter().zip(&mut old.parts) {
                bound.rebind(part);
            }
        }
        (view, _) => {
            let new = build(view);
            let first = state.first();
            if let Some(parent) = first.parent_node() {
                new.insert(&parent, Some(&first));
            }
            state.remove();
            *state = new;
        }
    }
}

fn rebuild_list(views: Vec<View>, items: &mut Vec<State>, end: &Node) {
    for gone in items.drain(views.len().min(items.len())..) {
        gone.remove();
    }
    let kept = items.len();
    for (at, view) in views.into_iter().enumerate() {
        if at < kept {
            rebuild(view, &mut items[at]);
        } else {
            let new = build(view);
            if let Some(parent) = end.parent_node() {
                new.insert(&parent, Some(end));
            }
            items.push(new);
        }
    }
}

impl State {
    /// The node that comes first in the document.
    fn first(&self) -> Node {
        match self {
            Self::Leaf { node, .. } => node.clone(),
            Self::Element(built) => built.root.clone().into(),
            Self::List { items, end } => items.first().map_or_else(|| end.clone(), Self::first),
            Self::Live(effect) => effect.with_value_mut(|state| state.first()).expect(
                "an effect has its state unless it runs, and it does not run inside itself",
            ),
        }
    }

    fn insert(&self, parent: &Node, before: Option<&Node>) {
        // Only an element that may not have children refuses, and no view has one.
        let put = |node: &Node| drop(parent.insert_before(node, before));
        match self {
            Self::Leaf { node, .. } => put(node),
            Self::Element(built) => put(&built.root),
            Self::List { items, end } => {
                items.iter().for_each(|item| item.insert(parent, before));
                put(end);
            }
            Self::Live(effect) => {
                effect.with_value_mut(|state| state.insert(parent, before));
            }
        }
    }

    fn remove(&self) {
        match self {
            Self::Leaf { node, .. } => remove(node),
            Self::Element(built) => built.root.remove(),
            Self::List { items, end } => {
                items.iter().for_each(Self::remove);
                remove(end);
            }
            Self::Live(effect) => {
                effect.with_value_mut(|state| state.remove());
            }
        }
    }
}

fn remove(node: &Node) {
    if let Some(parent) = node.parent_node() {
        drop(parent.remove_child(node));
    }
}

fn build_element(element: Element) -> Built {
    let mut parts = element.parts.into_iter();
    let mut bound = Vec::with_capacity(parts.len());
    let mut words = element.shape.split_terminator('\0');
    let root = build_shape(&mut words, &mut parts, &mut bound, None);
    Built {
        shape: element.shape,
        root: root.expect("a shape begins with an element"),
        parts: bound,
    }
}

/// Reads a shape: from the opening of an element to its end, or, inside of one, all that it holds.
fn build_shape(
    words: &mut SplitTerminator<'static, char>,
    parts: &mut std::vec::IntoIter<Part>,
    bound: &mut Vec<Bound>,
    inside: Option<&web_sys::Element>,
) -> Option<web_sys::Element> {
    while let Some(word) = words.next() {
        let (kind, name) = word.split_at(1);
        if matches!(kind, "<" | "{") {
            let element = if kind == "<" {
                document().create_element(name)
            } else {
                document().create_element_ns(Some(SVG), name)
            };
            let element = element.expect("the macro wrote a name of an element");
            build_shape(words, parts, bound, Some(&element));
            match inside {
                None => return Some(element),
                Some(parent) => drop(parent.append_child(&element)),
            }
            continue;
        }
        let element = inside?;
        match kind {
            ">" => return None,
            "=" => drop(element.set_attribute(name, words.next().unwrap_or_default())),
            "'" => drop(element.append_child(&document().create_text_node(name))),
            _ => bound.push(Bound::new(element, word, parts.next()?)),
        }
    }
    None
}

impl Bound {
    fn new(element: &web_sys::Element, place: &'static str, part: Part) -> Self {
        match part {
            Part::Child(view) => {
                let state = build(view);
                state.insert(element, None);
                Self::Child(state)
            }
            Part::Value(value) => Self::Value(Setting::new(element, place, value)),
            Part::Listener(run) => Self::Listener(Listener::new(element, &place[1..], run)),
            Part::Reference(load) => {
                load(element);
                Self::Reference(element.clone())
            }
        }
    }

    fn rebind(&mut self, part: Part) {
        match (part, self) {
            (Part::Child(view), Self::Child(state)) => rebuild(view, state),
            (Part::Value(value), Self::Value(setting)) => setting.replace(value),
            (Part::Listener(run), Self::Listener(listener)) => {
                *listener.run.borrow_mut() = Some(run);
            }
            (Part::Reference(load), Self::Reference(element)) => load(element),
            // The same shape has the same kinds of parts.
            _ => {}
        }
    }
}

/// An attribute, a class or a property.
struct Setting {
    element: web_sys::Element,
    /// Kind and name.
    place: &'static str,
    now: Now,
}

enum Now {
    Fixed(Value),
    Live(RenderEffect<Value>),
}

impl Setting {
    fn new(element: &web_sys::Element, place: &'static str, value: Value) -> Self {
        let mut new = Self {
            element: element.clone(),
            place,
            now: Now::Fixed(Value::Absent),
        };
        new.replace(value);
        new
    }

    fn replace(&mut self, value: Value) {
        let before = match &mut self.now {
            Now::Fixed(value) => std::mem::replace(value, Value::Absent),
            Now::Live(effect) => effect.take_value().unwrap_or(Value::Absent),
        };
        let (element, place) = (self.element.clone(), self.place);
        self.now = match value {
            Value::Live(mut read) => Now::Live(RenderEffect::new_with_value(
                move |before: Option<Value>| {
                    let now = read.read().settled();
                    set(&element, place, &before.unwrap_or(Value::Absent), &now);
                    now
                },
                Some(before),
            )),
            value => {
                set(&element, place, &before, &value);
                Now::Fixed(value)
            }
        };
    }
}

fn set(element: &web_sys::Element, place: &'static str, before: &Value, now: &Value) {
    let (kind, name) = place.split_at(1);
    // A property may have been changed by the reader.
    if kind == "!" {
        let value = match now {
            Value::Text(text) => JsValue::from_str(text),
            Value::Flag(flag) => JsValue::from_bool(*flag),
            _ => JsValue::UNDEFINED,
        };
        js_sys::Reflect::set(element, &JsValue::from_str(name), &value).unwrap_or_default();
        return;
    }
    if now.is(before) {
        return;
    }
    let done = match (kind, now) {
        (".", Value::Flag(true)) => element.class_list().add_1(name),
        (".", _) if matches!(before, Value::Flag(true)) => element.class_list().remove_1(name),
        (".", _) => Ok(()),
        (_, Value::Text(text)) => element.set_attribute(name, text),
        (_, Value::Flag(true)) => element.set_attribute(name, ""),
        _ if matches!(before, Value::Absent) => Ok(()),
        _ => element.remove_attribute(name),
    };
    done.expect("the macro wrote a name of an attribute or a class");
}

/// A listener whose function can be replaced without a call to the browser.
struct Listener {
    run: Rc<RefCell<Option<Box<dyn Hear>>>>,
}

impl Listener {
    fn new(element: &web_sys::Element, name: &str, run: Box<dyn Hear>) -> Self {
        let run = Rc::new(RefCell::new(Some(run)));
        let shared = Rc::clone(&run);
        let call = Closure::<dyn FnMut(Event)>::new(move |event| {
            // An event that its own listener raises is not for this listener.
            if let Ok(mut run) = shared.try_borrow_mut()
                && let Some(run) = run.as_mut()
            {
                run.hear(event);
            }
        });
        // The browser drops it with the element.
        let call = call.into_js_value();
        drop(element.add_event_listener_with_callback(name, call.unchecked_ref()));
        Self { run }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A last event may come after the signals that the function uses are gone.
        if let Ok(mut run) = self.run.try_borrow_mut() {
            *run = None;
        }
    }
}
