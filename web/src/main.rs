//! Entry point in the browser; wasm-bindgen calls it once the module is there.

#[cfg(target_arch = "wasm32")]
fn main() {
    krakend_web::mount();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("The dashboard runs in a browser. Build it with `cargo xtask web`.");
    std::process::exit(2);
}
