use std::collections::{HashMap, HashSet};

use super::Finding;
use crate::robustness::history::{Action, Event, Operation, Outcome, Seen, fleet};

/// Everything that one reader got, over all its connections.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Stream {
    pub reader: usize,
    pub events: Vec<Event>,
    pub connections: usize,
    /// Why it could not go on, if so.
    pub broken: Option<String>,
}

/// Readers that began at the same index must have got the same events, each once and in order, up to `until`; and every
/// acknowledged write after `from` must be among them.
pub fn watch(streams: &[Stream], operations: &[Operation], from: u64, until: u64) -> Finding {
    let mut complaints = Vec::new();
    for stream in streams {
        one_stream(stream, until, &mut complaints);
    }
    let Some(longest) = streams.iter().max_by_key(|stream| stream.events.len()) else {
        return Finding::fail("watch", "there was no reader", Vec::new());
    };
    for stream in streams {
        differences(longest, stream, until, &mut complaints);
    }
    missing_writes(longest, operations, from, until, &mut complaints);
    let connections: usize = streams.iter().map(|stream| stream.connections).sum();
    let looked_at = format!(
        "{} events to each of {} readers over {connections} connections",
        longest.events.len(),
        streams.len()
    );
    Finding::of("watch", looked_at, complaints)
}

type Complaints = Vec<(String, Vec<usize>)>;

fn one_stream(stream: &Stream, until: u64, complaints: &mut Complaints) {
    let reader = stream.reader + 1;
    if let Some(reason) = &stream.broken {
        complaints.push((format!("reader {reader}: {reason}"), Vec::new()));
    }
    for pair in stream.events.windows(2) {
        let (before, after) = (
            (pair[0].index, pair[0].position),
            (pair[1].index, pair[1].position),
        );
        if after <= before {
            let what = if after == before {
                "repeated"
            } else {
                "out of order"
            };
            let text = format!("reader {reader}: event {after:?} after {before:?} is {what}");
            complaints.push((text, Vec::new()));
        }
    }
    let last = stream.events.last().map_or(0, |event| event.index);
    if last < until {
        let text = format!("reader {reader} ends at index {last}, before {until}");
        complaints.push((text, Vec::new()));
    }
}

fn differences(longest: &Stream, other: &Stream, until: u64, complaints: &mut Complaints) {
    let by_place = |stream: &Stream| -> HashMap<(u64, u32), Event> {
        let shown = stream.events.iter().filter(|event| event.index <= until);
        shown
            .map(|event| ((event.index, event.position), event.clone()))
            .collect()
    };
    let (one, two) = (by_place(longest), by_place(other));
    let mut places: Vec<_> = one.keys().chain(two.keys()).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let text = match (one.get(place), two.get(place)) {
            (Some(one), Some(two)) if one == two => continue,
            (Some(_), Some(_)) => "differs between",
            _ => "is missing at one of",
        };
        let text = format!(
            "event {place:?} {text} readers {} and {}",
            longest.reader + 1,
            other.reader + 1
        );
        complaints.push((text, Vec::new()));
    }
}

fn missing_writes(
    stream: &Stream,
    operations: &[Operation],
    from: u64,
    until: u64,
    complaints: &mut Complaints,
) {
    let published: HashSet<(u64, &str, u64)> = stream
        .events
        .iter()
        .filter(|event| event.kind == "version_published")
        .filter_map(|event| Some((event.index, event.fleet.as_deref()?, event.version?)))
        .collect();
    for operation in operations {
        let (Action::Publish { key, .. }, Outcome::Ok(Seen::Published { number, index })) =
            (&operation.action, &operation.outcome)
        else {
            continue;
        };
        let expected = *index > from && *index <= until;
        if expected && !published.contains(&(*index, fleet(*key).as_str(), *number)) {
            let text = format!("no event tells of version {number} of key {key} at index {index}");
            complaints.push((text, vec![operation.id]));
        }
    }
}
