"""Reads which modules of a Rust crate import which.

An import is a path to another module, in a `use` or in the code: `crate::a::B`,
`super::c`, `child::D`. It leads to where a thing is defined, not to who re-exports it.
Tests may import anything, and are not read.
"""
import os
import re

TOKEN = re.compile(r"""
    //[^\n]* | /\*.*?\*/                                            # comments
  | [bc]?r(?P<hash>\#*)".*?"(?P=hash) | [bc]?"(?:\\.|[^"\\])*"      # texts
  | b?'(?:\\.[^']*|[^'\\])' | '\w+ | \bpub\s*\([^)]*\) | \s+
  | (?P<word> \w+ | :: | . )""", re.S | re.X)
TEST = ["#", "[", "cfg", "(", "test", ")", "]"]


def words(text):
    """The words and signs of a Rust file and their lines, without those of its tests."""
    found, line = [], 1
    for match in TOKEN.finditer(text):
        if match["word"]:
            found.append((match["word"], line))
        line += match[0].count("\n")
    kept, at = [], 0
    while at < len(found):
        if [word for word, _ in found[at:at + len(TEST)]] != TEST:
            kept.append(found[at])
            at += 1
            continue
        at, depth = at + len(TEST), 0
        while at < len(found):      # to the end of what the attribute stands before
            word = found[at][0]
            depth += (word in "([{") - (word in ")]}")
            at += 1
            if depth == 0 and word in ";}":
                break
    return kept + [("", line)] * 3


class Crate:
    def __init__(self, folder, file):
        self.folder = folder
        self.files = {}     # a module, as a tuple of names -> its file
        self.binds = {}     # a module -> what its `use` lines bind: name -> path
        self.paths = []     # module, line and path, of each path
        self.load((), file)

    def load(self, module, file):
        """Reads a file, and those of the modules that it declares."""
        self.files[module], self.binds[module] = file, {}
        with open(os.path.join(self.folder, file), encoding="utf-8") as source:
            found = words(source.read())
        around, depth, at = [], 0, 0
        while at < len(found) - 3:
            (word, line), name, sign = found[at], found[at + 1][0], found[at + 2][0]
            if word == "mod" and sign == "{":
                around.append((module, depth))
                module += (name,)
                self.files[module], self.binds[module] = file, {}
                at += 2
                continue
            if word == "mod" and sign == ";":
                self.declared(module + (name,))
            elif word == "use":
                at = self.tree(module, found, at + 1, ())
                continue
            elif name == "::" and word.isidentifier():
                path = (word,)
                while found[at + 1][0] == "::" and found[at + 2][0].isidentifier():
                    path += (found[at + 2][0],)
                    at += 2
                self.paths.append((module, line, path))
            depth += (word == "{") - (word == "}")
            if word == "}" and around and depth == around[-1][1]:
                module = around.pop()[0]
            at += 1

    def declared(self, module):
        for file in (os.path.join(*module) + ".rs", os.path.join(*module, "mod.rs")):
            if os.path.exists(os.path.join(self.folder, file)):
                self.load(module, file)

    def tree(self, module, found, at, path):
        """One tree of a `use`: `a::b`, `a::{b, c::*}`, `a as b`. Returns where it ends."""
        start, line = at, found[at][1]
        while found[at][0] == "::" or found[at][0].isidentifier() and found[at][0] != "as":
            if found[at][0] not in ("::", "self") or not path and found[at][0] == "self":
                path += (found[at][0],)
            at += 1
        if found[at][0] == "{":
            while found[at][0] not in ("}", ""):
                at = self.tree(module, found, at + 1, path)
            return at + 1
        if path and (at > start or found[at][0] == "*"):
            self.paths.append((module, line, path))
            name = found[at + 1][0] if found[at][0] == "as" else path[-1]
            self.binds[module].setdefault(name, path)
        return at + {"as": 2, "*": 1}.get(found[at][0], 0)

    def resolve(self, module, path, hops=8):
        """The module that defines what a path names; None where that is another crate."""
        if path[0] == "crate":
            here, path = (), path[1:]
        elif path[0] in ("self", "super"):
            here = module
            while path and path[0] in ("self", "super"):
                here, path = here[:-1] if path[0] == "super" else here, path[1:]
        elif module + (path[0],) in self.files:
            here = module
        else:
            return None
        for at, name in enumerate(path):
            if here + (name,) in self.files:
                here += (name,)
            elif name in self.binds[here] and hops:
                return self.resolve(here, self.binds[here][name] + path[at + 1:], hops - 1) or here
            else:
                break
        return here

    def imports(self):
        """Who imports what: the folder that both are in, the two there, and file:line."""
        for module, line, path in self.paths:
            target = self.resolve(module, path)
            if target is not None:
                start, end = (self.place(self.files[it]) for it in (module, target))
                if start != end:
                    common = len(os.path.commonprefix([start, end]))
                    stands = f"{self.files[module]}:{line}"
                    yield start[:common], start[common], end[common], stands

    def place(self, file):
        """A file's folders and name; `a.rs` beside a folder `a` stands in that."""
        stem = file.removesuffix(".rs")
        inside = os.path.isdir(os.path.join(self.folder, stem))
        return tuple((os.path.join(stem, "mod") if inside else stem).split(os.sep))
