//! The decoder of packets behind the MAC: it must refuse or read, never panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = krakend_gossip::decodes(body);
});
