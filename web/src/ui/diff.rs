//! Two documents beside each other, or one below the other.

use crate::pure::diff::{self, Half, Row};
use crate::view::prelude::*;

/// Rows drawn at most; a larger difference is exported.
const MOST: usize = 3_000;

/// Side by side: left old, right new.
#[component]
pub fn SideBySide(unified: String) -> impl IntoView {
    let rows = diff::rows(&unified);
    let more = rows.len().saturating_sub(MOST);
    let drawn = rows.into_iter().take(MOST).map(row).collect_view();
    view! {
        <table class="diff" data-testid="diff">
            <colgroup><col class="number"/><col class="sign"/><col/><col class="number"/><col class="sign"/><col/></colgroup>
            <tbody>{drawn}</tbody>
        </table>
        {(more > 0).then(|| view! { <p class="cell calm">{format!("{more} more rows are not drawn: export both versions to compare them.")}</p> })}
    }
}

fn row(row: Row) -> AnyView {
    match row {
        Row::Unchanged(count) => {
            let text = if count == 1 {
                "1 unchanged line".to_owned()
            } else {
                format!("{count} unchanged lines")
            };
            view! { <tr class="fold"><td></td><td class="code" colspan="2">{text.clone()}</td><td></td><td class="code" colspan="2">{text}</td></tr> }.into_any()
        }
        Row::Pair(left, right) => {
            view! { <tr>{half(left, "old", "\u{2212}")} {half(right, "new", "+")}</tr> }.into_any()
        }
    }
}

fn half(half: Option<Half>, side: &'static str, sign: &'static str) -> AnyView {
    let Some(half) = half else {
        return view! { <td class="missing number" aria-label="no such line"></td><td class="missing"></td><td class="missing code"></td> }.into_any();
    };
    let class = if half.changed { side } else { "" };
    let [before, inside, after] = half.parts;
    view! {
        <td class=format!("{class} number")>{half.line}</td>
        <td class=format!("{class} sign")>{half.changed.then_some(sign)}</td>
        <td class=format!("{class} code")>{before} {(!inside.is_empty()).then(|| view! { <u>{inside}</u> })} {after}</td>
    }
    .into_any()
}

/// The lines as the manager wrote them.
#[component]
pub fn Unified(unified: String) -> impl IntoView {
    let rows = diff::rows(&unified);
    let drawn = rows
        .into_iter()
        .take(MOST)
        .map(|row| match row {
            Row::Unchanged(count) => view! { <tr class="fold"><td></td><td></td><td></td><td class="code">{format!("{count} unchanged lines")}</td></tr> }.into_any(),
            Row::Pair(Some(left), Some(right)) if !left.changed => {
                view! { <tr><td class="number">{left.line}</td><td class="number">{right.line}</td><td></td><td class="code">{right.parts.concat()}</td></tr> }.into_any()
            }
            Row::Pair(left, right) => {
                let line = |half: Half, class: &'static str, sign: &'static str| {
                    let (old, new) = if class == "old" { (Some(half.line), None) } else { (None, Some(half.line)) };
                    let [before, inside, after] = half.parts;
                    view! { <tr><td class=format!("{class} number")>{old}</td><td class=format!("{class} number")>{new}</td><td class=format!("{class} sign")>{sign}</td><td class=format!("{class} code")>{before} <u>{inside}</u> {after}</td></tr> }
                };
                view! { {left.map(|l| line(l, "old", "\u{2212}"))} {right.map(|r| line(r, "new", "+"))} }.into_any()
            }
        })
        .collect_view();
    view! { <table class="diff unified" data-testid="diff"><colgroup><col class="number"/><col class="number"/><col class="sign"/><col/></colgroup><tbody>{drawn}</tbody></table> }
}
