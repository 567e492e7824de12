//! Tells the compiler which nginx the module is being built for.
//!
//! `nginx-sys` reads it from the configured nginx tree and hands it over as
//! `DEP_NGINX_*`. Code can ask `cfg(ngx_feature = "http_ssl")` and
//! `cfg(ngx_os = "linux")`, and compare `env!("NGINX_VERSION_NUMBER")`
//! (`1022001` is nginx 1.22.1). `cfg(nginx_since = "1.19.10")` is for what older ones lack.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    cfg_values(
        "ngx_feature",
        "DEP_NGINX_FEATURES",
        "DEP_NGINX_FEATURES_CHECK",
    );
    cfg_values("ngx_os", "DEP_NGINX_OS", "DEP_NGINX_OS_CHECK");

    let version = metadata("DEP_NGINX_VERSION_NUMBER");
    println!("cargo::rustc-env=NGINX_VERSION_NUMBER={version}");
    since(&version);

    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        link_no_library();
    }
}

/// Versions of nginx that brought what the module uses, where it builds for older ones.
fn since(version: &str) {
    println!("cargo::rustc-check-cfg=cfg(nginx_since, values(\"1.19.10\"))");
    let number: u32 = version.parse().expect("nginx's version is a number");
    if number >= 1_019_010 {
        println!("cargo::rustc-cfg=nginx_since=\"1.19.10\"");
    }
}

/// Links the module by itself. What it uses of libc, nginx has loaded already, whichever libc that
/// is: a library named in the module would tie it to one, and to that one's versions of symbols.
fn link_no_library() {
    println!("cargo::rustc-link-arg=-nostdlib");
    // nginx forgets the module of a configuration that it refuses, and the one that a new configuration no longer loads.
    // But its chain of filters still leads here, and descriptors that workers share are kept here.
    println!("cargo::rustc-link-arg=-Wl,-z,nodelete");

    // The crate libc has rustc name these to the linker, which finds empty ones first.
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for library in ["c", "dl", "m", "pthread", "rt", "util"] {
        let archive = directory.join(format!("lib{library}.a"));
        fs::write(archive, "!<arch>\n").expect("OUT_DIR is for files like this one");
    }
    println!("cargo::rustc-link-search=native={}", directory.display());
}

/// Sets `name="value"` for each value listed in `values`, and declares the
/// values listed in `known`, so that a misspelt one is a warning.
fn cfg_values(name: &str, values: &str, known: &str) {
    println!(
        "cargo::rustc-check-cfg=cfg({name}, values({}))",
        metadata(known)
    );
    for value in metadata(values)
        .split(',')
        .map(str::trim)
        .filter(|value| !value.is_empty())
    {
        println!("cargo::rustc-cfg={name}=\"{value}\"");
    }
}

/// What the build script of `nginx-sys` says under this name.
fn metadata(name: &str) -> String {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: is nginx-sys a dependency?"))
}
