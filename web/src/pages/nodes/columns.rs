//! Which columns the table has; this browser remembers it.

use crate::data::browser;
use crate::pure::columns::{self, Column};
use crate::ui::dialog::Dialog;
use crate::ui::icon::{Icon, IconView};
use crate::view::prelude::*;

const KEPT: &str = "columns";

/// The columns as they were the last time.
pub fn remembered() -> RwSignal<Vec<Column>> {
    RwSignal::new(columns::chosen(browser::recall(KEPT).as_deref()))
}

/// Button and dialog.
#[component]
pub fn Chooser(columns: RwSignal<Vec<Column>>) -> impl IntoView {
    let open = RwSignal::new(false);
    let count = move || {
        format!(
            "Columns {} of {}",
            columns.with(Vec::len),
            Column::ALL.len()
        )
    };
    let set = move |now: Vec<Column>| {
        browser::remember(KEPT, &columns::kept(&now));
        columns.set(now);
    };
    let boxes = move || {
        let free = Column::ALL.into_iter().skip(Column::FIXED);
        free.map(|column| {
            let testid = format!("column-{}", column.key());
            view! {
                <label class="check">
                    <input type="checkbox" data-testid=testid prop:checked=move || columns.with(|c| c.contains(&column))
                        on:change=move |_| set(columns::toggled(&columns.get_untracked(), column)) />
                    {column.name()}
                </label>
            }
        })
        .collect_view()
    };
    view! {
        <button type="button" class="button quiet hide-phone" data-testid="columns" aria-haspopup="dialog" on:click=move |_| open.set(true)>
            <IconView icon=Icon::List /> {count}
        </button>
        <Dialog open title="Columns">
            <p>"State, node and host are always there."</p>
            <div class="checks">{boxes}</div>
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| set(columns::chosen(None))>"The usual ones"</button>
                <span class="grow"></span>
                <button type="button" class="button primary" data-testid="columns-done" on:click=move |_| open.set(false)>"Done"</button>
            </div>
        </Dialog>
    }
}
