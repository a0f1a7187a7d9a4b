#!/usr/bin/env python3
"""The circles of imports among the files of a crate. Only a module and what is below it may know each other.

    circles.py SRC…

SRC is a crate's src/. A file imports the files that define what it names, in a `use` or in a path; what a module only hands on
is of the file that it comes from. Tests don't count. Prints the circles, and of each the two imports that take least: look
there first. Ends with 1 if there is a circle.
"""

import pathlib
import re
import sys

NO_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|\br(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^\n']+|\\'|[^\\'\n])'""", re.DOTALL)
USE = re.compile(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")
PATH = re.compile(r"(?<![\w:])\w+(?:\s*::\s*\w+)+")


def code(text):
    """The text without comments, literals and tests, each line where it was."""
    text = NO_CODE.sub(lambda found: "\n" * found[0].count("\n"), text)
    while test := re.search(r"#\[cfg\(test\)\]", text):
        depth = 0
        for end in range(test.end(), len(text)):
            depth += (text[end] in "([{") - (text[end] in ")]}")
            if depth == 0 and text[end] in ";}":
                break
        text = text[: test.start()] + "\n" * text.count("\n", test.start(), end) + text[end + 1 :]
    return text


def leaves(tree):
    """The paths of a `use`, each after the name that it is known by."""
    while group := re.search(r"([\w:\s]*)\{([^{}]*)\}", tree):
        each = [group[1] + item.strip() for item in group[2].split(",") if item.strip()]
        tree = tree[: group.start()] + ",".join(each) + tree[group.end() :]
    for leaf in tree.split(","):
        path, _, alias = leaf.strip().partition(" as ")
        path = tuple(re.split(r"\s*::\s*", path))
        path = path[:-1] if path[1:] and path[-1] == "self" else path
        yield alias.strip() or path[-1], path


class Module:
    def __init__(self, path, parent=None):
        self.path, self.parent, self.children = path, parent, {}
        self.text = code(path.read_text(encoding="utf-8"))
        self.names = dict(leaf for use in USE.finditer(self.text) for leaf in leaves(use[2]))
        inside = path.parent if path.name in ("lib.rs", "main.rs", "mod.rs") else path.with_suffix("")
        for name, begins in re.findall(r"\bmod\s+(\w+)\s*([;{])", self.text):
            files = (inside / f"{name}.rs", inside / name / "mod.rs")
            # What is in braces is in this file.
            self.children[name] = self if begins == "{" else Module(files[not files[0].exists()], self)

    def all(self):
        return [self, *(module for child in self.children.values() if child is not self for module in child.all())]

    def is_below(self, other):
        return self.parent is not None and (self.parent is other or self.parent.is_below(other))

    def home(self, path, is_inside=False):
        """The module that defines what the path names; none for another crate's, or for what is only a module."""
        first, rest = path[0], path[1:]
        if first == "crate":
            return self.parent.home(path) if self.parent else self.home(("self", *rest))
        if first in ("self", "super"):
            above = self if first == "self" else self.parent
        elif first in self.children:
            above = self.children[first]
        elif first in self.names and self.names[first][0] != first:
            return self.home(self.names[first] + rest)
        else:
            return self if is_inside else None
        return above.home(rest, True) if rest else None

    def imports(self):
        """What is taken of other files, and the first line that does: {module: {path: line}}."""
        rest = USE.sub(lambda use: " " * len(use[0]), self.text)
        words = set(re.findall(r"\w+", rest))
        paths = [(path.start(), tuple(re.split(r"\s*::\s*", path[0]))) for path in PATH.finditer(rest)]
        for use in USE.finditer(self.text):
            paths += [(use.start(), path) for name, path in leaves(use[2]) if not use[1] or name in words]
        taken = {}
        for at, path in sorted(paths):
            if (home := self.home(path)) not in (None, self):
                taken.setdefault(home, {}).setdefault("::".join(path), self.text.count("\n", 0, at) + 1)
        return taken


def circle_of(start, imports):
    """The shortest way from a module back to it, if there is one."""
    ways, seen = [[start]], set()
    for way in ways:
        if start in imports[way[-1]]:
            return way
        new = [module for module in imports[way[-1]] if module not in seen]
        seen.update(new)
        ways += [[*way, module] for module in new]


def main(sources):
    said = set()
    for source in map(pathlib.Path, sources):
        modules = Module(next(root for root in (source / "lib.rs", source / "main.rs") if root.exists())).all()
        # Modules may take of those below them, or of those above: who does both closes a circle only with a third.
        for is_kin in (Module.is_below, lambda a, b: b.is_below(a)):
            imports = {a: {b: taken for b, taken in a.imports().items() if not is_kin(a, b)} for a in modules}
            for circle in filter(None, (circle_of(module, imports) for module in modules)):
                if not said.intersection(circle):
                    print("a circle of imports:", *(module.path for module in circle))
                    links = [(a, b, imports[a][b]) for a, b in zip(circle, circle[1:] + circle[:1])]
                    for a, b, taken in sorted(links, key=lambda link: len(link[2]))[:2]:
                        print(f"  {a.path}:{min(taken.values())} takes {', '.join(taken)} of {b.path}")
                said.update(circle)
    return bool(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
