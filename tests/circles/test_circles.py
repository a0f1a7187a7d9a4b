#!/usr/bin/env python3
"""The check for circles of imports, on small crates."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import circles


class Circles(unittest.TestCase):
    def said(self, **files):
        """What is said of a crate of these files, `__` being the slash of a folder; nothing if all is well."""
        with tempfile.TemporaryDirectory() as directory:
            for name, text in files.items():
                path = pathlib.Path(directory, *f"{name}.rs".split("__"))
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                failed = circles.main([directory])
            self.assertEqual(failed, bool(out.getvalue()))
            return out.getvalue().replace(f"{directory}/", "")

    def test_a_circle_is_named_with_the_imports_to_look_at(self):
        self.assertEqual(
            self.said(lib="mod a; mod b; mod c;",
                      a="use crate::b::{B, f};", b="\n\nuse super::c::C;", c="fn g() { crate::a::A::h() }"),
            "a circle of imports: a.rs b.rs c.rs\n  b.rs:3 takes super::c::C of c.rs\n  c.rs:1 takes crate::a::A::h of a.rs\n")

    def test_imports_one_way_are_none(self):
        self.assertEqual(self.said(lib="mod a; mod b; pub use a::A;", a="use crate::b::B;", b="use std::fmt;"), "")

    def test_what_is_handed_on_is_of_the_file_that_defines_it(self):
        crate = {"lib": "mod a; mod m;", "m__mod": "mod b; mod c; pub use b::B as Handed;", "m__b": ""}
        self.assertEqual(self.said(**crate, a="use crate::m::Handed;", m__c="use crate::a::A;"), "")
        crate["m__b"] = "use crate::a;\n\nfn f(a: &str) -> a::A { '\"'; a }"
        self.assertIn("a.rs m/b.rs", self.said(**crate, a="use crate::m::Handed;", m__c=""))

    def test_a_module_and_its_child_may_know_each_other_and_nobody_between(self):
        family = {"lib": "mod a; mod m;", "m": "mod b; use b::B;"}
        self.assertEqual(self.said(**family, m__b="use super::M;", a=""), "")
        self.assertIn("m.rs", self.said(**family, m__b="use crate::a::A;", a="use crate::m::M;"))
        family["m"] = "mod b; use crate::a::A;"
        self.assertIn("m.rs", self.said(**family, m__b="use super::M;", a="use crate::m::b::B;"))

    def test_tests_comments_and_texts_are_no_imports(self):
        none = """
            // use crate::a::A;
            const TEXT: &str = "crate::a::A"; const RAW: &str = r#"" crate::a::A"#; /* crate::a::A */
            #[cfg(test)]
            use crate::a::A;
            #[cfg(test)]
            mod tests { use crate::a::{A, B}; fn f() {} }
        """
        self.assertEqual(self.said(lib="mod a; mod b;", a="use crate::b::B;", b=none), "")
        self.assertIn("b.rs:8", self.said(lib="mod a; mod b;", a="use crate::b::B;", b=none + "use crate::a::A;"))


if __name__ == "__main__":
    unittest.main()
