#!/usr/bin/env python3
"""Checks what the modules of the workspace's crates import (see rust_imports.py): nothing
upward, nothing in a circle, and no crate that must not be known there.

    scripts/check-layers.py [ROOT]     checks the tree (default: the one it is in)
    scripts/check-layers.py --self-test

In each folder the files and folders may import one another, but not in a circle; a
`mod.rs`, `lib.rs` or `main.rs` is a file like any other.
"""
import glob
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # what is beside a script is not the script's to litter
from rust_imports import Crate

# The module's files and folders: each may import those below it.
LAYERS = ("lib", "hooks", "status", "variables", "handover", "failure", "request", "http2", "tunnel", "zone", "advice",
          "inject", "conf", "types", "nginx", "panic")
LAYERED = "src"

# Where a crate is, its name, and the crates of the workspace that it may import.
CRATES = (
    (LAYERED, "ngx_http_websocket_module",
     {"websocket_protocol", "websocket_zone", "websocket_status"}),
    ("protocol/src", "websocket_protocol", set()),
    ("zone/src", "websocket_zone", {"websocket_protocol"}),
    ("status/src", "websocket_status", {"websocket_protocol", "websocket_zone"}),
    ("check-websocket/src", "check_websocket", {"websocket_protocol"}),
    ("nginx-tests/src", "nginx_tests", set()),
    ("bench/src", "bench", {"websocket_protocol"}),
)


def check(root):
    """What is wrong, a text for each offence."""
    for folder, name, allowed in CRATES:
        for pattern in ("lib.rs", "main.rs", "bin/*.rs"):
            for file in glob.glob(os.path.join(root, folder, pattern)):
                crate = Crate(*os.path.split(file))
                shown = os.path.relpath(crate.folder, root)
                yield from unknown_crates(crate, shown, name, allowed)
                if folder == LAYERED:
                    yield from upward(crate, shown)
                yield from in_a_circle(crate, shown)


def unknown_crates(crate, shown, own, allowed):
    for module, line, path in crate.paths:
        if path[0] in {name for _, name, _ in CRATES} - allowed - {own}:
            yield f"{shown}/{crate.files[module]}:{line}: {own} must not import {path[0]}"


def upward(crate, shown):
    for thing in {crate.place(file)[0] for file in crate.files.values()} - set(LAYERS):
        yield f"{shown}/{thing}: has no place among the layers: {' > '.join(LAYERS)}"
    for within, start, end, stands in crate.imports():
        if not within and {start, end} <= set(LAYERS) and LAYERS.index(start) > LAYERS.index(end):
            yield f"{shown}/{stands}: {start} must not import {end}, a layer above it"


def in_a_circle(crate, shown):
    folders = {}    # a folder -> what is in it -> what that imports -> where
    for within, start, end, stands in crate.imports():
        folders.setdefault(within, {}).setdefault(start, {}).setdefault(end, stands)
    for within, graph in folders.items():
        for way in circles(graph):
            steps = [f"\n    {shown}/{graph[a][b]}: {a} -> {b}" for a, b in zip(way, way[1:])]
            yield f"{os.path.join(shown, *within)}: a circle: {' -> '.join(way)}" + "".join(steps)


def circles(graph):
    """A shortest circle through each thing that is in one, but not twice through the same."""
    seen = set()
    for start in sorted(graph):
        ways = [[start]]
        for way in ways if start not in seen else ():
            if way[-1] == start and len(way) > 1:
                seen.update(way)
                yield way
                break
            known = {thing for other in ways for thing in other[1:]}
            ways.extend(way + [to] for to in sorted(graph.get(way[-1], ())) if to not in known)


# ---- its own test: trees made up for it, and what has to be said of each ---------------

TREES = {
    "a clean tree": ({
        "src/lib.rs": "mod hooks; mod tunnel; mod types; mod nginx; use hooks::start;",
        "src/hooks/mod.rs": "mod seam; pub use seam::start; // use crate::lib_is_not_named_here;",
        "src/hooks/seam.rs": "use crate::{tunnel::{self, Tunnel}, types::Side}; fn start() {}",
        "src/tunnel.rs": "use websocket_protocol::Frame; use crate::types::*; use crate::nginx as n;",
        "src/types.rs": "#[cfg(test)] mod tests { use super::*; use crate::hooks::start; }",
        "src/nginx.rs": """const A: &str = "crate::hooks::x"; const B: char = '"'; fn f<'a>() {}""",
    }, []),
    "an import upward": ({
        "src/lib.rs": "mod failure; mod tunnel;",
        "src/failure.rs": "",
        "src/tunnel.rs": "\nfn f() { crate::failure::note!() }",
    }, ["src/tunnel.rs:2: tunnel must not import failure"]),
    "imports upward in one `use` of several lines": ({
        "src/lib.rs": "mod inject; mod conf; mod advice; mod types;",
        "src/advice.rs": "", "src/inject.rs": "", "src/types.rs": "",
        "src/conf.rs": "use crate::{\n    types::Side,\n    inject::{\n        self, a},\n    advice,\n};",
    }, ["src/conf.rs:4: conf must not import inject", "src/conf.rs:5: conf must not import advice"]),
    "an import upward by a long way": ({
        "src/lib.rs": "mod nginx; mod conf;",
        "src/conf.rs": "",
        "src/nginx/mod.rs": "mod pool;",
        "src/nginx/pool.rs": "pub use super::super::conf::Location;",
    }, ["src/nginx/pool.rs:1: nginx must not import conf"]),
    "an import of the root": ({
        "src/lib.rs": "mod conf; static MODULE: u8 = 0;",
        "src/conf.rs": "fn f() { crate::MODULE; }",
    }, ["src/conf.rs:1: conf must not import lib"]),
    "a file without a layer": ({"src/lib.rs": "mod extra;", "src/extra.rs": ""},
                               ["src/extra: has no place"]),
    "a circle in a folder": ({
        "src/lib.rs": "mod tunnel;",
        "src/tunnel/mod.rs": "mod a; mod b; mod c;",
        "src/tunnel/a.rs": "use super::b::B;",
        "src/tunnel/b.rs": "use crate::tunnel::c;",
        "src/tunnel/c.rs": "fn f(x: super::a::A) {}",
    }, ["src/tunnel: a circle: a -> b -> c -> a\n    src/tunnel/a.rs:1: a -> b"]),
    "a circle of a crate's modules": ({
        "bench/src/main.rs": "mod peer; mod load;",
        "bench/src/peer.rs": "use crate::load::x::X;",
        "bench/src/load/mod.rs": "pub mod x; mod y;",
        "bench/src/load/x.rs": "",
        "bench/src/load/y.rs": "use crate::peer;",
    }, ["bench/src: a circle: load -> peer -> load"]),
    "a circle through what the root re-exports": ({
        "protocol/src/lib.rs": "mod a; mod b; pub use a::A; pub use b::B;",
        "protocol/src/a.rs": "use crate::B;",
        "protocol/src/b.rs": "use crate::A;",
    }, ["protocol/src: a circle: a -> b -> a"]),
    "a crate that must not be known": ({"protocol/src/lib.rs": "use check_websocket::walk;"},
                                       ["protocol/src/lib.rs:1: websocket_protocol must not"]),
}


def self_test():
    for name, (files, expected) in TREES.items():
        with tempfile.TemporaryDirectory() as root:
            for file, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, file)), exist_ok=True)
                with open(os.path.join(root, file), "w", encoding="utf-8") as out:
                    out.write(text)
            said = set(check(root))
        missing = [text for text in expected if not any(line.startswith(text) for line in said)]
        if missing or len(said) != len(expected):
            sys.exit(f"{name}: expected {expected}, but said {said}")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) > 1 or arguments and arguments[0].startswith("-"):
        sys.exit(__doc__)
    root = arguments[0] if arguments else os.path.dirname(sys.path[0])
    said = [f"{folder}: is not there" for folder, _, _ in CRATES
            if not os.path.isdir(os.path.join(root, folder))]
    sys.exit("\n".join(said + sorted(set(check(root)))) or 0)


main(sys.argv[1:])
