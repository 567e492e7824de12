//! Tells the compiler which nginx the module is being built for.
//!
//! `nginx-sys` reads it from the configured nginx tree and hands it over as
//! `DEP_NGINX_*`. Code can ask `cfg(ngx_feature = "http_ssl")` and
//! `cfg(ngx_os = "linux")`, and compare `env!("NGINX_VERSION_NUMBER")`
//! (`1022001` is nginx 1.22.1).

use std::env;

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
