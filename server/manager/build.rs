//! The embedded dashboard is part of the program: rebuild when it changes.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}
