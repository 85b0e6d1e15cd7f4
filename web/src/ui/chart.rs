//! A line chart at real pixels with a cross-hair that all charts share.

use crate::pure::chart::{Chart, Drawing, MomentKind};
use crate::pure::event::Mark;
use crate::view::prelude::*;
use leptos::html::Div;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::chart_table;
use super::icon::{Icon, IconView};
use super::mark::MarkIcon;

const HEIGHT: f64 = 154.0;
const TALL: f64 = 190.0;

/// Draws `chart` as wide as its cell.
#[component]
pub fn LineChart(
    #[prop(into)] chart: Signal<Chart>,
    /// The sentence that readers hear.
    #[prop(into)]
    sentence: Signal<String>,
    hover: RwSignal<Option<i64>>,
    #[prop(optional)] tall: bool,
) -> impl IntoView {
    let height = if tall { TALL } else { HEIGHT };
    let host = NodeRef::<Div>::new();
    let width = width_of(host);
    let drawing = Memo::new(move |_| chart.with(|c| c.draw(width.get(), height)));
    let point = move |event: web_sys::PointerEvent| {
        // The drawing takes no pointer, so the offset is the chart's own.
        let x = f64::from(event.offset_x());
        hover.set(drawing.with_untracked(|d| d.time_at(x)));
    };
    let step = move |event: web_sys::KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowLeft" => -60_000,
            "ArrowRight" => 60_000,
            "Escape" => return hover.set(None),
            _ => return,
        };
        event.prevent_default();
        let (from, to) = drawing.with_untracked(|d| (d.from, d.to));
        hover.update(|at| *at = Some((at.unwrap_or(to) + by).clamp(from, to)));
    };
    let as_table = RwSignal::new(false);
    view! {
        <div class="chart-frame" class:tall=tall>
        <div class="chart" class:tall=tall class:away=as_table node_ref=host tabindex="0" role="group" aria-label="Chart; left and right arrow move through time"
            on:pointermove=point on:pointerleave=move |_| hover.set(None) on:keydown=step on:blur=move |_| hover.set(None)>
            <svg role="img" aria-label=sentence width=move || drawing.with(|d| d.width) height=height
                viewBox=move || drawing.with(|d| format!("0 0 {} {height}", d.width))>
                {move || drawing.with(body)}
                {move || hover.get().and_then(|at| drawing.with(|d| d.x_of(at).map(|x| (x, d.top, d.bottom)))).map(|(x, top, bottom)| {
                    view! { <line class="cross" x1=x x2=x y1=top - 6.0 y2=bottom /> }
                })}
            </svg>
        </div>
        {move || as_table.get().then(|| chart.with(|c| chart_table::table(c, sentence.get())))}
        <button type="button" class="quiet-icon chart-switch" data-testid="chart-table" aria-pressed=move || as_table.get().to_string()
            aria-label="The numbers as a table" title="The numbers as a table" on:click=move |_| as_table.update(|t| *t = !*t)><IconView icon=Icon::List /></button>
        </div>
    }
}

fn body(d: &Drawing) -> impl IntoView + use<> {
    let (left, right, top, bottom) = (d.left, d.right, d.top, d.bottom);
    let grid = d.y_ticks.iter().map(|(y, label)| {
        let (y, label) = (*y, label.clone());
        view! {
            <line class="grid" x1=left x2=right y1=y y2=y />
            <text class="axis axis-y" x=left - 6.0 y=y + 4.0>{label}</text>
        }
    });
    let times = d.x_ticks.iter().map(|(x, label)| {
        let (x, label) = (*x, label.clone());
        view! { <text class="axis axis-x" x=x y=bottom + 17.0>{label}</text> }
    });
    let hatches = d.hatches.iter().map(|(x, width)| {
        view! { <rect class="hatch" x=*x y=top width=*width height=bottom - top fill="url(#hatch)" /> }
    });
    let lines = d.series.iter().map(|s| {
        let end = s
            .end
            .map(|(label, y)| view! { <text class="axis" x=right + 6.0 y=y + 4.0>{label}</text> });
        view! {
            <path class=format!("area {}", s.class) d=s.area.clone() />
            <path class=format!("line {}", s.class) d=s.line.clone() />
            {end}
        }
    });
    let moments = d.moments.iter().map(|(x, moment)| {
        let (mark, class) = match moment.kind {
            MomentKind::Trouble => (Mark::Unreachable, "moment t-warn"),
            MomentKind::Published => (Mark::Published, "moment t-accent"),
        };
        view! {
            <g class=class>
                <title>{moment.title.clone()}</title>
                <line x1=*x x2=*x y1=top y2=bottom />
                <svg x=*x - 6.0 y=top - 12.0 width="12" height="12" class="moment-mark"><MarkIcon mark /></svg>
            </g>
        }
    });
    view! {
        {hatches.collect_view()}
        {grid.collect_view()}
        <line class="base" x1=left x2=right y1=bottom y2=bottom />
        {times.collect_view()}
        {lines.collect_view()}
        {moments.collect_view()}
    }
}

/// The pattern of missing time, once in the page.
#[component]
pub fn HatchPattern() -> impl IntoView {
    view! {
        <svg class="defs" width="0" height="0" aria-hidden="true">
            <defs>
                <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                    <line class="hatch-line" x1="1" x2="1" y1="0" y2="6" />
                </pattern>
                <pattern id="hatch-warn" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                    <line class="hatch-warn-line" x1="1" x2="1" y1="0" y2="6" />
                </pattern>
            </defs>
        </svg>
    }
}

/// The element's width in pixels, kept up to date.
fn width_of(host: NodeRef<Div>) -> RwSignal<f64> {
    let width = RwSignal::new(320.0);
    Effect::new(move |_| {
        let Some(element) = host.get() else { return };
        let observed = element.clone();
        let on_resize = Closure::<dyn FnMut()>::new(move || {
            let now = f64::from(observed.client_width());
            if now > 0.0 && (now - width.get_untracked()).abs() >= 1.0 {
                width.set(now);
            }
        });
        if let Ok(observer) = web_sys::ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
            observer.observe(&element);
        }
        // The observer lives as long as the element and calls this; the page has three charts in its life.
        on_resize.forget();
    });
    width
}
