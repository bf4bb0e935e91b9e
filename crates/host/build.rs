//! Passes the target triple on: plugins must be built for it.

fn main() {
    println!("cargo::rustc-env=EXPANSE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
}
