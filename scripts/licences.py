#!/usr/bin/env python3
"""Writes docs/licences.md: the licences of what is linked into the module and into check-websocket.

    scripts/licences.py           writes the page
    scripts/licences.py --check   says whether the page, debian/copyright and the specs in packaging/ are right
    scripts/licences.py --texts   prints the licences themselves, as the crates bring them
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/licences.md"
PRODUCTS = {"ngx-http-websocket-module": "the module", "check-websocket": "`check-websocket`"}
TARGET = "x86_64-unknown-linux-gnu"
# Whoever may choose Apache-2.0 has it in this project's own terms.
OWN = "Apache-2.0"

BEGINNING = """\
# Licences

The project's own code is under the Apache License 2.0, see [LICENSE](../LICENSE). Linked into what is built from it
are Rust's `core`, for `check-websocket` all of its standard library (MIT or Apache-2.0, parts of it with the LLVM
exception), and these crates. Nothing of nginx is linked in; its headers declare what the module uses.

Where a licence has a choice, the project takes Apache-2.0 if that is among it. `scripts/release.sh` puts the texts of
all of them beside the files. Made by `scripts/licences.py`, from what cargo says for Linux.

| Crate | Version | Licence | In the module | In `check-websocket` |
|---|---|---|---|---|
"""


def main(arguments):
    if arguments == ["--check"]:
        return check()
    if arguments == ["--texts"]:
        return texts()
    if arguments:
        sys.exit(__doc__)
    PAGE.write_text(page())
    return 0


def page():
    """The page as it has to be."""
    rows = []
    for (name, version), (licence, products) in sorted(crates().items()):
        marks = " | ".join("yes" if product in products else "" for product in PRODUCTS)
        rows.append(f"| {name} | {version} | {licence} | {marks} |\n")
    return BEGINNING + "".join(rows)


def crates():
    """Each crate that other people wrote, by name and version: its licence, and which products have it."""
    found = {}
    for product in PRODUCTS:
        for name, version, licence in linked(product):
            found.setdefault((name, version), (licence, set()))[1].add(product)
    return found


def linked(product):
    """What cargo links into a product. What only runs in the compiler is not linked."""
    lines = cargo("tree", "--package", product, "--edges", "normal,no-proc-macro", "--target", TARGET,
                  "--prefix", "none", "--no-dedupe", "--format", "{p}|{l}").splitlines()
    for line in lines:
        package, licence = line.split("|")
        words = package.split()
        # Of this workspace are those with a path behind the version.
        if len(words) == 2:
            # The old way of writing a choice.
            yield words[0], words[1].removeprefix("v"), licence.replace("/", " OR ")


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def check():
    wrong = []
    if not PAGE.exists() or PAGE.read_text() != page():
        wrong.append("docs/licences.md is not what scripts/licences.py writes")
    wrong += check_specs() + check_copyright()
    for line in wrong:
        print(f"licences: {line}", file=sys.stderr)
    return 1 if wrong else 0


def check_specs():
    """The packages of the module name each licence that is linked in."""
    licences = {OWN} | {licence for licence, products in crates().values() if "ngx-http-websocket-module" in products}
    expected = " AND ".join(f"({licence})" if " OR " in licence else licence for licence in sorted(licences))
    wrong = []
    for name, pattern in [
        ("packaging/rpm/nginx-mod-http-websocket.spec", r"^License: *(.*)$"),
        ("packaging/nginx.org/nginx-module-websocket.spec", r"^License: *(.*)$"),
        ("packaging/alpine/APKBUILD", r'^license="(.*)"$'),
    ]:
        said = re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)
        if said is None or said[1] != expected:
            wrong.append(f"{name} has to say: {expected}")
    return wrong


def check_copyright():
    """debian/copyright names each crate that has no Apache-2.0 to choose, or has more than that."""
    comment = (ROOT / "debian/copyright").read_text()
    wrong = []
    for (name, _), (licence, _) in sorted(crates().items()):
        is_own = " AND " not in licence and OWN in licence.split(" OR ")
        if not is_own and not re.search(rf"\b{re.escape(name)}\b", comment):
            wrong.append(f"debian/copyright does not name {name}, which is under {licence}")
    return wrong


def texts():
    """All licence files that the crates bring, each text once."""
    places = {(package["name"], package["version"]): Path(package["manifest_path"]).parent
              for package in json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))["packages"]}
    of_text = {}
    for (name, version), (licence, _) in sorted(crates().items()):
        files = sorted(file for file in places[name, version].iterdir()
                       if re.match(r"(LICEN[CS]E|COPYING|NOTICE|UNLICENSE|COPYRIGHT)", file.name, re.IGNORECASE)
                       and file.is_file())
        if not files:
            of_text.setdefault(f"(no file; Cargo.toml says: {licence})\n", []).append(f"{name} {version}")
        for file in files:
            text = file.read_text(errors="replace").strip() + "\n"
            of_text.setdefault(text, []).append(f"{name} {version}")
    for text, names in of_text.items():
        print("=" * 80 + "\n" + ", ".join(names) + "\n\n" + text)
    return 0


sys.exit(main(sys.argv[1:]))
