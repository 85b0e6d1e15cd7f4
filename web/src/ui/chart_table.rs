//! The numbers of a chart as a table, for who cannot or does not want to read lines.

use crate::pure::chart::Chart;
use crate::pure::clock::Zone;
use crate::pure::format;
use crate::view::prelude::*;

/// The newest first.
const MOST_ROWS: usize = 400;

/// All values, one row for each step.
pub fn table(chart: &Chart, sentence: String) -> AnyView {
    let zone = Zone {
        offset_min: chart.offset_min,
    };
    let head = chart
        .series
        .iter()
        .map(|s| view! { <th class="number" scope="col">{s.name()}</th> })
        .collect_view();
    let rows = chart
        .rows()
        .into_iter()
        .rev()
        .take(MOST_ROWS)
        .map(|(at, values)| {
            let cells = values
                .into_iter()
                .map(|v| {
                    let text = v.map_or_else(|| format::NO_DATA.to_owned(), format::plain);
                    view! { <td class="number">{text}</td> }
                })
                .collect_view();
            view! { <tr><th scope="row">{zone.moment(at, chart.to)}</th>{cells}</tr> }
        })
        .collect_view();
    view! {
        <div class="chart-table" tabindex="0" role="region" aria-label=sentence>
            <table class="table dense"><thead><tr><th scope="col">"From"</th>{head}</tr></thead><tbody>{rows}</tbody></table>
        </div>
    }
    .into_any()
}
