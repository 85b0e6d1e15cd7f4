//! Heat strips and their key.

use crate::pure::heat::{self, Cell, LIMITS_MS, LIMITS_PERCENT, Measure};
use crate::view::prelude::*;

pub const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 18.0;

/// One strip; the cross-hair is drawn over it without drawing it anew.
#[component]
pub fn Strip(
    cells: Vec<Cell>,
    range: (i64, i64),
    hover: RwSignal<Option<i64>>,
    sentence: String,
) -> impl IntoView {
    let rects = cells
        .into_iter()
        .map(|c| view! { <rect class=format!("h-{}", c.level) x=c.x width=c.width y="0" height=HEIGHT /> })
        .collect_view();
    let x = move || {
        let at = hover.get()?;
        let share = (at - range.0) as f64 / (range.1 - range.0).max(1) as f64;
        (0.0..=1.0).contains(&share).then_some(share * WIDTH)
    };
    let point = move |e: web_sys::PointerEvent| {
        let share = (f64::from(e.offset_x()) / WIDTH).clamp(0.0, 1.0);
        hover.set(Some(range.0 + (share * (range.1 - range.0) as f64) as i64));
    };
    view! {
        <svg class="heat" width=WIDTH height=HEIGHT viewBox="0 0 240 18" role="img" aria-label=sentence on:pointermove=point on:pointerleave=move |_| hover.set(None)>
            {rects}
            {move || x().map(|x| view! { <line class="cross" x1=x x2=x y1="0" y2=HEIGHT /> })}
        </svg>
    }
}

/// Colours with their limits.
#[component]
pub fn Key(#[prop(into)] measure: Signal<Measure>) -> impl IntoView {
    move || {
        let (title, limits): (&str, Vec<String>) = match measure.get() {
            Measure::P99 => (
                "p99, ms",
                LIMITS_MS.iter().map(|l| format!("{l:.0}")).collect(),
            ),
            Measure::Errors => (
                "errors, %",
                LIMITS_PERCENT.iter().map(ToString::to_string).collect(),
            ),
            Measure::Rate => ("share of its own highest rate", Vec::new()),
        };
        let last = heat::LIMITS_MS.len();
        let boxes = (0..=last)
            .map(|level| {
                let limit = limits.get(level).cloned();
                view! { <svg width="15" height="10" aria-hidden="true"><rect class=format!("h-{level} key-box") x="0.5" y="0.5" width="14" height="9" /></svg> {limit} }
            })
            .collect_view();
        view! { <span class="heat-key">{title} {boxes}</span> }
    }
}
