//! Bodies that are too large for one entry: their pieces, and how they become a version.

use bytes::Bytes;
use uuid::Uuid;

use super::Transaction;
use crate::{Applied, Chunk, Publication, RecordKey, Rejected, StagedBody};

impl Transaction<'_> {
    pub(super) fn apply_stage_chunk(&mut self, chunk: &Chunk) -> Result<Applied, Rejected> {
        let known = self.state.staged.get(&chunk.upload).cloned();
        let fits = (1..=Chunk::MAX_BYTES).contains(&chunk.bytes.len())
            && chunk.parts <= Chunk::MAX_PARTS
            && chunk.part < chunk.parts
            && known.as_ref().is_none_or(|it| it.parts == chunk.parts);
        if !fits {
            return Err(Rejected::MalformedChunk { part: chunk.part });
        }
        let key = (chunk.upload, chunk.part);
        if self.state.staged_chunks.contains_key(&key) {
            return Ok(Applied::Unchanged);
        }
        self.forget_given_up();
        let total: u64 = self.state.staged.values().map(|it| it.bytes).sum();
        let bytes = chunk.bytes.len() as u64;
        if total + bytes > StagedBody::MAX_TOTAL_BYTES {
            return Err(Rejected::TooMany {
                what: "bytes of documents that are being published".into(),
                limit: StagedBody::MAX_TOTAL_BYTES,
            });
        }
        let mut body = known.unwrap_or(StagedBody {
            since_ms: self.now,
            parts: chunk.parts,
            bytes: 0,
        });
        body.bytes += bytes;
        self.state.staged.insert(chunk.upload, body);
        self.state.staged_chunks.insert(key, chunk.bytes.clone());
        self.changed(RecordKey::StagedBody(chunk.upload));
        self.changed(RecordKey::StagedChunk(chunk.upload, chunk.part));
        Ok(Applied::Done)
    }

    /// All pieces become the body of a version, and are forgotten. A rejection leaves them.
    pub(super) fn apply_publish_staged(
        &mut self,
        upload: Uuid,
        publication: &Publication,
    ) -> Result<Applied, Rejected> {
        let missing = || Rejected::NotStaged;
        let staged = self.state.staged.get(&upload).ok_or_else(missing)?;
        let mut body = Vec::new();
        for part in 0..staged.parts {
            let chunk = self.state.staged_chunks.get(&(upload, part));
            body.extend_from_slice(chunk.ok_or_else(missing)?);
        }
        let whole = Publication {
            body: Bytes::from(body),
            ..publication.clone()
        };
        let published = self.apply_publish(&whole)?;
        self.forget_staged(upload);
        Ok(published)
    }

    pub(super) fn apply_drop_staged(&mut self, upload: Uuid) -> Result<Applied, Rejected> {
        if !self.state.staged.contains_key(&upload) {
            return Ok(Applied::Unchanged);
        }
        self.forget_staged(upload);
        Ok(Applied::Done)
    }

    /// Uploads that nobody finished in time.
    pub(super) fn forget_given_up(&mut self) {
        let oldest = self.now.saturating_sub(StagedBody::KEEP_MS);
        let over: Vec<Uuid> = self
            .state
            .staged
            .iter()
            .filter(|(_, body)| body.since_ms < oldest)
            .map(|(upload, _)| *upload)
            .collect();
        for upload in over {
            self.forget_staged(upload);
        }
    }

    fn forget_staged(&mut self, upload: Uuid) {
        let Some(body) = self.state.staged.remove(&upload) else {
            return;
        };
        self.changed(RecordKey::StagedBody(upload));
        for part in 0..body.parts {
            if self.state.staged_chunks.remove(&(upload, part)).is_some() {
                self.changed(RecordKey::StagedChunk(upload, part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ClusterState, Command, Digest, FleetName, LogEntry, Role, TokenRecord};

    const NOW: u64 = 1_800_000_000_000;

    struct Group {
        state: ClusterState,
        index: u64,
        now: u64,
    }

    impl Group {
        fn begun() -> Self {
            let mut group = Self {
                state: ClusterState::default(),
                index: 0,
                now: NOW,
            };
            let first_token = TokenRecord {
                id: Uuid::from_u128(1),
                name: "admin".into(),
                role: Role::Admin,
                sha256: Digest([7; 32]),
                created_by: "bootstrap".into(),
                expires_ms: None,
            };
            let group_id = Uuid::from_u128(1);
            let bootstrap = Command::Bootstrap {
                group_id,
                first_token,
            };
            group.apply(bootstrap).expect("a new group");
            group
        }

        fn records(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
            self.state.records().collect()
        }

        /// Applies it, and sees that the changed keys name every record that differs.
        fn apply(&mut self, command: Command) -> Result<Applied, Rejected> {
            // Reading all of a full state for each of many pieces would take minutes.
            let look = self.state.staged_chunks.len() < 8;
            let mut behind = if look {
                self.records()
            } else {
                BTreeMap::new()
            };
            self.index += 1;
            let entry = LogEntry {
                time_ms: self.now,
                command,
            };
            let outcome = self.state.apply(self.index, &entry);
            if look {
                for key in outcome.changed {
                    match self.state.encode_record(&key) {
                        Some(value) => behind.insert(key.to_bytes(), value),
                        None => behind.remove(&key.to_bytes()),
                    };
                }
                assert!(behind == self.records(), "a changed record is not named");
            }
            outcome.result
        }

        fn stage(&mut self, upload: u128, part: u32, parts: u32) -> Result<Applied, Rejected> {
            self.apply(Command::StageChunk(Chunk {
                upload: Uuid::from_u128(upload),
                part,
                parts,
                bytes: vec![part as u8; Chunk::MAX_BYTES].into(),
            }))
        }

        fn publish(&mut self, upload: u128, parent: Option<Digest>) -> Result<Applied, Rejected> {
            self.apply(Command::PublishStaged {
                upload: Uuid::from_u128(upload),
                publication: Publication {
                    fleet: FleetName::default_fleet(),
                    parent,
                    digest: Digest([upload as u8; 32]),
                    body: Bytes::new(),
                    size_bytes: 9,
                    author: "a".into(),
                    message: String::new(),
                },
            })
        }

        fn staged(&self) -> (usize, usize) {
            (self.state.staged.len(), self.state.staged_chunks.len())
        }
    }

    #[test]
    fn pieces_in_any_order_become_one_version_and_are_forgotten() {
        let mut group = Group::begun();
        for part in [2, 0, 1] {
            assert_eq!(group.publish(5, None), Err(Rejected::NotStaged));
            group.stage(5, part, 3).expect("staged");
        }
        assert_eq!(group.stage(5, 1, 3), Ok(Applied::Unchanged));
        let read = ClusterState::from_records(group.state.records()).expect("its records");
        assert!(read.records().eq(group.state.records()));
        group.publish(5, None).expect("published");
        let version = group.state.newest_version(&FleetName::default_fleet());
        let body = &version.expect("a version").body;
        assert_eq!(body.len(), 3 * Chunk::MAX_BYTES);
        let parts: Vec<u8> = body.chunks(Chunk::MAX_BYTES).map(|it| it[0]).collect();
        assert_eq!(parts, [0, 1, 2]);
        assert_eq!(group.staged(), (0, 0));
        assert_eq!(group.publish(5, None), Err(Rejected::NotStaged));
    }

    #[test]
    fn a_rejected_publication_leaves_the_pieces_until_they_are_dropped() {
        let mut group = Group::begun();
        group.stage(5, 0, 1).expect("staged");
        let stale = group.publish(5, Some(Digest([9; 32])));
        assert!(matches!(stale, Err(Rejected::StaleParent { .. })));
        assert_eq!(group.staged(), (1, 1));
        let upload = Uuid::from_u128(5);
        group
            .apply(Command::DropStaged { upload })
            .expect("dropped");
        assert_eq!(group.staged(), (0, 0));
        let again = group.apply(Command::DropStaged { upload });
        assert_eq!(again, Ok(Applied::Unchanged));
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        let mut group = Group::begun();
        group.stage(5, 0, 2).expect("staged");
        for (part, parts) in [(2, 2), (1, 3), (0, 0), (0, Chunk::MAX_PARTS + 1)] {
            let refused = group.stage(5, part, parts);
            assert!(
                matches!(refused, Err(Rejected::MalformedChunk { .. })) || (part, parts) == (0, 2),
                "{part} of {parts}: {refused:?}"
            );
        }
        let large = Chunk {
            upload: Uuid::from_u128(6),
            part: 0,
            parts: 1,
            bytes: vec![0; Chunk::MAX_BYTES + 1].into(),
        };
        let refused = group.apply(Command::StageChunk(large));
        assert!(matches!(refused, Err(Rejected::MalformedChunk { .. })));
    }

    #[test]
    fn what_is_staged_is_bounded_and_forgotten_in_log_time() {
        let mut group = Group::begun();
        let fit = (StagedBody::MAX_TOTAL_BYTES / Chunk::MAX_BYTES as u64) as u32;
        for n in 0..fit {
            let (upload, part) = (u128::from(n / 64), n % 64);
            group.stage(upload, part, 64).expect("staged");
        }
        let refused = group.stage(99, 0, 1);
        assert!(
            matches!(refused, Err(Rejected::TooMany { .. })),
            "{refused:?}"
        );
        group.now += StagedBody::KEEP_MS + 1;
        group.stage(99, 0, 1).expect("room again");
        assert_eq!(group.staged(), (1, 1));
        group.now += StagedBody::KEEP_MS + 1;
        group.apply(Command::Tick).expect("a tick");
        assert_eq!(group.staged(), (0, 0));
    }
}
