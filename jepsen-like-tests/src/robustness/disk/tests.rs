use std::ffi::OsStr;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::image::{DiskError, Image, ROOT};

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A file with this content, not fsynced.
fn file(image: &mut Image, directory: u64, text: &str, content: &[u8]) -> u64 {
    let made = image
        .make(directory, name(text), 0o600, false)
        .expect("made");
    image.write(made.number, 0, content).expect("written");
    made.number
}

fn sync(image: &mut Image, number: u64) {
    let sync = image.begin_sync(number).expect("there").expect("a file");
    image.finish_sync(&sync).expect("powered");
}

/// Power losses of many seeds: what must be gone or there has to be so in all of them.
fn lose(image: &mut Image) {
    image.lose_power(&mut StdRng::seed_from_u64(1));
}

fn content(image: &Image, text: &str) -> Option<Vec<u8>> {
    let found = image.lookup(ROOT, name(text)).ok()?;
    Some(image.read(found.number, 0, u32::MAX).ok()?.to_vec())
}

#[test]
fn what_was_fsynced_is_there_and_what_was_overwritten_since_is_not() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    sync(&mut image, number);
    image.write(number, 0, b"j").expect("written");
    assert_eq!(content(&image, "a").as_deref(), Some(&b"jello"[..]));
    lose(&mut image);
    assert_eq!(content(&image, "a").as_deref(), Some(&b"hello"[..]));
}

#[test]
fn a_file_that_was_never_fsynced_is_gone() {
    let mut image = Image::default();
    file(&mut image, ROOT, "a", b"hello");
    lose(&mut image);
    assert_eq!(content(&image, "a"), None);
}

#[test]
fn an_fsync_that_the_power_loss_overtakes_does_not_count() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    let sync = image.begin_sync(number).expect("there").expect("a file");
    lose(&mut image);
    assert_eq!(image.finish_sync(&sync), Err(DiskError::NoPower));
    assert_eq!(content(&image, "a"), None);
}

#[test]
fn without_power_no_fsync_succeeds_until_it_is_back() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    let begun = image.begin_sync(number).expect("there").expect("a file");
    image.cut_power();
    assert_eq!(image.finish_sync(&begun), Err(DiskError::NoPower));
    assert_eq!(image.sync_directory(ROOT), Err(DiskError::NoPower));
    lose(&mut image);
    assert_eq!(content(&image, "a"), None);
    let number = file(&mut image, ROOT, "a", b"hello");
    sync(&mut image, number);
    lose(&mut image);
    assert!(content(&image, "a").is_some());
}

#[test]
fn what_is_written_while_an_fsync_is_on_its_way_is_not_covered() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    let sync = image.begin_sync(number).expect("there").expect("a file");
    image.write(number, 0, b"j").expect("written");
    image.finish_sync(&sync).expect("powered");
    lose(&mut image);
    assert_eq!(content(&image, "a").as_deref(), Some(&b"hello"[..]));
}

#[test]
fn a_rename_lasts_after_an_fsync_of_the_directory_only() {
    for synced in [false, true] {
        let mut image = Image::default();
        let old = file(&mut image, ROOT, "a", b"old");
        sync(&mut image, old);
        let new = file(&mut image, ROOT, "b", b"new");
        sync(&mut image, new);
        image
            .rename((ROOT, name("b")), (ROOT, name("a")))
            .expect("renamed");
        if synced {
            image.sync_directory(ROOT).expect("a directory");
        }
        lose(&mut image);
        let expected: &[u8] = if synced { b"new" } else { b"old" };
        assert_eq!(content(&image, "a").as_deref(), Some(expected));
        assert_eq!(content(&image, "b").is_some(), !synced);
    }
}

#[test]
fn a_removal_lasts_after_an_fsync_of_the_directory_only() {
    for synced in [false, true] {
        let mut image = Image::default();
        let number = file(&mut image, ROOT, "a", b"hello");
        sync(&mut image, number);
        image.remove(ROOT, name("a"), false).expect("removed");
        if synced {
            image.sync_directory(ROOT).expect("a directory");
        }
        lose(&mut image);
        assert_eq!(content(&image, "a").is_some(), !synced);
    }
}

#[test]
fn an_fsync_anchors_the_new_directories_above_a_file() {
    let mut image = Image::default();
    let above = image
        .make(ROOT, name("d"), 0o700, true)
        .expect("made")
        .number;
    let number = file(&mut image, above, "a", b"hello");
    sync(&mut image, number);
    lose(&mut image);
    let above = image.lookup(ROOT, name("d")).expect("there");
    assert!(image.lookup(above.number, name("a")).is_ok());
}

#[test]
fn a_cut_file_is_whole_again_without_an_fsync() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    sync(&mut image, number);
    image.set_size(number, 2).expect("cut");
    assert_eq!(content(&image, "a").as_deref(), Some(&b"he"[..]));
    let mut lost = image;
    lose(&mut lost);
    assert_eq!(content(&lost, "a").as_deref(), Some(&b"hello"[..]));
    lost.set_size(number, 2).expect("cut");
    sync(&mut lost, number);
    lose(&mut lost);
    assert_eq!(content(&lost, "a").as_deref(), Some(&b"he"[..]));
}

#[test]
fn of_an_append_a_beginning_may_be_left_and_never_more() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut image = Image::default();
        let number = file(&mut image, ROOT, "a", b"hello");
        sync(&mut image, number);
        image.write(number, 5, b" world").expect("written");
        image.lose_power(&mut StdRng::seed_from_u64(seed));
        let left = content(&image, "a").expect("there");
        assert!(
            b"hello world".starts_with(left.as_slice()) && left.len() >= 5,
            "seed {seed}"
        );
        lengths.insert(left.len());
    }
    assert!(lengths.len() > 3 && lengths.contains(&5), "{lengths:?}");
}

#[test]
fn a_full_disk_says_so() {
    let mut image = Image::default();
    let number = file(&mut image, ROOT, "a", b"hello");
    assert_eq!(image.write(number, 1 << 31, b"x"), Err(DiskError::Full));
}
