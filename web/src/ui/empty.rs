//! What is missing, one command, what happens next.

use super::command::Command;
use crate::pure::contours;
use crate::view::prelude::*;

/// Fills a page that has nothing to show yet.
#[component]
pub fn Empty(
    title: &'static str,
    text: &'static str,
    #[prop(into)] command: String,
    /// What happens next: title and sentence.
    steps: Vec<(&'static str, AnyView)>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let steps = steps
        .into_iter()
        .map(|(title, text)| view! { <li><strong>{title}</strong> <p>{text}</p></li> })
        .collect_view();
    let rings = (0..16)
        .map(|step| view! { <path class=if step % 5 == 4 { "contour strong" } else { "contour" } d=contours::ring(step, 37.0) /> })
        .collect_view();
    view! {
        <div class="empty-page">
            <svg class="contours" viewBox="-520 -480 700 640" preserveAspectRatio="xMaxYMax slice" aria-hidden="true">{rings}</svg>
            <div class="empty-body">
                <h2>{title}</h2>
                <p class="lead">{text}</p>
                <Command text=command />
                {children.map(|children| children())}
                <ol>{steps}</ol>
            </div>
        </div>
    }
}
