/// What went over the wire since the start, and what was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, refused ones included.
    pub packets_in: u64,
    /// Bytes received, refused ones included.
    pub bytes_in: u64,
    /// Datagrams handed out for sending.
    pub packets_out: u64,
    /// Bytes handed out for sending.
    pub bytes_out: u64,
    /// Tag wrong, or made with a key that the ring does not hold.
    pub bad_mac: u64,
    /// Authentic, but seen before or too old to tell.
    pub replayed: u64,
    /// Not our format, or authentic with a payload that does not parse.
    pub malformed: u64,
    /// Longer than [`crate::MAX_PACKET_BYTES`].
    pub oversized: u64,
    /// Authentic packets of another process that uses our id.
    pub same_id: u64,
    /// Datagrams that the socket did not take.
    pub send_failed: u64,
    /// Probes of ours that stayed without any answer.
    pub probes_failed: u64,
    /// Suspicions of us that we refuted.
    pub refuted: u64,
    /// Lifeguard's local health score now: 0 is healthy, 8 the worst.
    pub health: u64,
}
