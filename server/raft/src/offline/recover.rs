use std::path::Path;

use krakend_domain::EpochCause;
use uuid::Uuid;

use super::{
    Founded, OfflineError,
    found::{Heir, found},
    survey::take,
};

/// Makes the manager of this directory a group of one with everything in its log, because the others are gone for
/// good. `group_id` is the group that the operator means; `now_ms` is UTC in milliseconds.
pub async fn recover(
    data_dir: &Path,
    group_id: Uuid,
    now_ms: u64,
) -> Result<Founded, OfflineError> {
    let taken = take(data_dir).await?;
    let survey = taken.survey;
    if survey.group_id != group_id {
        return Err(OfflineError::OtherGroup {
            dir: data_dir.into(),
            found: survey.group_id,
            given: group_id,
        });
    }
    let dropped: Vec<&str> = survey.dropped().map(|it| it.node.name.as_str()).collect();
    let message = format!(
        "recovered after the quorum was lost: group {group_id}, epoch {}, index {}; dropped {}",
        survey.epoch,
        survey.last_index,
        match dropped.is_empty() {
            true => "nobody".into(),
            false => dropped.join(", "),
        }
    );
    let heir = Heir {
        manager_id: survey.manager_id,
        node: taken.node,
        cause: EpochCause::Recovered,
        epoch: None,
        message,
        now_ms,
    };
    found(data_dir, taken.base, heir).await
}
