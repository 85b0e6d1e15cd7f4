//! `view!` with leptos' syntax, for the renderer in `web/src/view`.
//!
//! leptos' own `view!` makes a type of each element and so code of its own for building, changing and dropping it: 567 kB of
//! compressed WebAssembly for this dashboard. Here an element with all below it is one string, its shape, which one function
//! reads, and a list of its parts: what the shape leaves open, in order. Components stay leptos' own.
//!
//! A shape is a sequence of words, each ended by a NUL; the first character of a word says what it does:
//!
//! | word | does |
//! | --- | --- |
//! | `<div` | opens an element of HTML |
//! | `{path` | opens an element of SVG |
//! | `>` | closes the innermost one |
//! | `=class` `value` | sets an attribute |
//! | `'text` | adds text |
//! | `@title` | part: an attribute |
//! | `.wide` | part: a class that is there or not |
//! | `!value` | part: a property |
//! | `^click` | part: a listener |
//! | `&` | part: a reference to the element |
//! | `*` | part: anything to show |

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use rstml::Infallible;
use rstml::node::{KeyedAttribute, Node, NodeAttribute, NodeBlock, NodeElement, NodeName};
use syn::spanned::Spanned as _;
use syn::{Expr, Ident, Lit, LitStr};

/// Elements that are SVG's wherever they stand. `title` and `a` are what they are inside of.
const SVG: [&str; 14] = [
    "svg", "g", "path", "line", "rect", "circle", "ellipse", "polygon", "polyline", "text",
    "tspan", "defs", "pattern", "use",
];

/// Makes a view.
#[proc_macro]
pub fn view(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let expanded = rstml::parse2(tokens.into()).and_then(|nodes| views(&nodes));
    expanded.unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Several nodes beside each other.
fn views(nodes: &[Node]) -> syn::Result<TokenStream> {
    let mut all = Vec::new();
    for node in nodes {
        all.extend(single(node)?);
    }
    Ok(match all.len() {
        1 => quote! { #(#all)* },
        _ => quote! { crate::view::View::List(::std::vec![#(#all),*]) },
    })
}

/// A node that is not inside an element: an expression of type `View`, or nothing for a comment.
fn single(node: &Node) -> syn::Result<Option<TokenStream>> {
    Ok(Some(match node {
        Node::Comment(_) => return Ok(None),
        Node::Element(element) if is_component(element.name()) => component(element)?,
        Node::Element(element) => {
            let mut template = Template::new();
            template.element(element, false)?;
            template.finish()
        }
        Node::Text(text) => {
            let text = &text.value;
            quote! { crate::view::IntoView::into_view(#text) }
        }
        Node::Block(NodeBlock::ValidBlock(block)) => quote_spanned! { block.span() =>
            crate::view::IntoView::into_view(#[allow(unused_braces)] #block)
        },
        Node::Fragment(fragment) => views(&fragment.children)?,
        other => return Err(syn::Error::new(other.span(), "this cannot stand in a view")),
    }))
}

fn is_component(name: &NodeName) -> bool {
    let text = name.to_string();
    let last = text.rsplit("::").next().unwrap_or_default().trim();
    last.starts_with(|c: char| c.is_ascii_uppercase())
}

/// leptos' call of a component.
fn component(element: &NodeElement<Infallible>) -> syn::Result<TokenStream> {
    let name = element.name();
    let mut props = TokenStream::new();
    for attribute in element.attributes() {
        let KeyedAttribute { key, .. } = keyed(attribute)?;
        let value = keyed(attribute)?
            .value()
            .map_or_else(|| quote! { #key }, |v| quote! { #v });
        props.extend(quote! { .#key(#[allow(unused_braces)] { #value }) });
    }
    if !element.children.is_empty() {
        let children = views(&element.children)?;
        props.extend(quote! { .children(crate::view::ToChildren::to_children(move || #children)) });
    }
    Ok(quote! {
        crate::view::IntoView::into_view(::leptos::component::component_view(
            &#name,
            ::leptos::component::component_props_builder(&#name) #props .build(),
        ))
    })
}

fn keyed(attribute: &NodeAttribute) -> syn::Result<&KeyedAttribute> {
    match attribute {
        NodeAttribute::Attribute(attribute) => Ok(attribute),
        NodeAttribute::Block(block) => {
            Err(syn::Error::new(block.span(), "attributes have names here"))
        }
    }
}

/// One element with all below it.
struct Template {
    shape: String,
    parts: Vec<TokenStream>,
    /// Hygienic: what the parts say cannot mean it.
    builder: Ident,
}

impl Template {
    fn new() -> Self {
        Self {
            shape: String::new(),
            parts: Vec::new(),
            builder: Ident::new("template", Span::mixed_site()),
        }
    }

    fn word(&mut self, kind: char, text: &str, span: Span) -> syn::Result<()> {
        if text.contains('\0') {
            return Err(syn::Error::new(span, "a NUL cannot stand in a view"));
        }
        self.shape.push(kind);
        self.shape.push_str(text);
        self.shape.push('\0');
        Ok(())
    }

    fn part(&mut self, kind: char, name: &str, span: Span, call: TokenStream) -> syn::Result<()> {
        let builder = &self.builder;
        self.parts.push(quote_spanned! { span => #builder.#call; });
        self.word(kind, name, span)
    }

    fn element(&mut self, element: &NodeElement<Infallible>, in_svg: bool) -> syn::Result<()> {
        let name = element.name().to_string();
        let span = element.name().span();
        let svg = in_svg || SVG.contains(&name.as_str());
        self.word(if svg { '{' } else { '<' }, &name, span)?;
        for attribute in element.attributes() {
            self.attribute(keyed(attribute)?)?;
        }
        for child in &element.children {
            self.child(child, svg)?;
        }
        self.word('>', "", span)
    }

    fn attribute(&mut self, attribute: &KeyedAttribute) -> syn::Result<()> {
        let key = attribute.key.to_string();
        let span = attribute.key.span();
        let Some(value) = attribute.value() else {
            self.word('=', &key, span)?;
            self.shape.push('\0');
            return Ok(());
        };
        if let Some(event) = key.strip_prefix("on:") {
            let kind = event_type(event);
            return self.part('^', event, span, quote! { on::<#kind, _>(#value) });
        }
        if let Some(property) = key.strip_prefix("prop:") {
            return self.part('!', property, span, quote! { value(#value) });
        }
        if let Some(class) = key.strip_prefix("class:") {
            return self.part('.', class, span, quote! { value(#value) });
        }
        if key == "node_ref" {
            return self.part('&', "", span, quote! { node_ref(#value) });
        }
        if key.contains(':') {
            return Err(syn::Error::new(
                span,
                "attributes are plain, on:, prop: or class:",
            ));
        }
        match literal(value) {
            Some(text) => {
                self.word('=', &key, span)?;
                if text.contains('\0') {
                    return Err(syn::Error::new(span, "a NUL cannot stand in a view"));
                }
                self.shape.push_str(&text);
                self.shape.push('\0');
                Ok(())
            }
            None => self.part('@', &key, span, quote! { value(#value) }),
        }
    }

    fn child(&mut self, child: &Node, in_svg: bool) -> syn::Result<()> {
        match child {
            Node::Comment(_) => Ok(()),
            Node::Element(element) if !is_component(element.name()) => {
                self.element(element, in_svg)
            }
            Node::Text(text) => self.word('\'', &text.value.value(), text.value.span()),
            Node::Fragment(fragment) => fragment
                .children
                .iter()
                .try_for_each(|c| self.child(c, in_svg)),
            Node::Block(NodeBlock::ValidBlock(block)) => self.part(
                '*',
                "",
                block.span(),
                quote! { child(#[allow(unused_braces)] #block) },
            ),
            other => match single(other)? {
                Some(view) => self.part('*', "", Span::mixed_site(), quote! { child(#view) }),
                None => Ok(()),
            },
        }
    }

    fn finish(self) -> TokenStream {
        let Self {
            shape,
            parts,
            builder,
        } = self;
        let shape = LitStr::new(&shape, Span::mixed_site());
        let many = parts.len();
        quote! {{
            #[allow(unused_mut)]
            let mut #builder = crate::view::Template::new(#shape, #many);
            #(#parts)*
            #builder.finish()
        }}
    }
}

/// What the browser hands to a listener.
fn event_type(event: &str) -> TokenStream {
    match event {
        "click" | "dblclick" => quote! { ::web_sys::MouseEvent },
        "keydown" | "keyup" => quote! { ::web_sys::KeyboardEvent },
        "focus" | "blur" | "focusin" | "focusout" => quote! { ::web_sys::FocusEvent },
        "submit" => quote! { ::web_sys::SubmitEvent },
        name if name.starts_with("pointer") => quote! { ::web_sys::PointerEvent },
        _ => quote! { ::web_sys::Event },
    }
}

/// Text that is known now.
fn literal(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            Lit::Int(number) => Some(number.base10_digits().to_owned()),
            _ => None,
        },
        _ => None,
    }
}
