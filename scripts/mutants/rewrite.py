"""Writes all mutants of a list into the sources, each turned on by its number at run time.

A copy of the sources is rewritten, never the sources that are worked on. The list is that of
`cargo mutants --list --json`. An operator `a + b` with the mutants 7 and 8 becomes

    (if crate::mutant(7) {a - b} else if crate::mutant(8) {a * b} else {a + b})

where the operands of the last branch carry their own mutants. A mutant of a body becomes an early
`return`, one of a match arm becomes a guard. Comments mark each changed piece, so that an error of the
compiler leads back to its mutant (see `viable.py`).
"""

import json
import pathlib
import re
import sys

import tree_sitter
import tree_sitter_rust

sys.setrecursionlimit(100_000)
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
OPERATIONS = ("binary_expression", "compound_assignment_expr", "unary_expression")


def marked(mutant, text):
    """`text` between the marks of `mutant`."""
    return f"/*<{mutant['id']}*/{text}/*{mutant['id']}>*/"


class Rewriter:
    """The mutants of one file, attached to the nodes of its syntax tree that they change."""

    def __init__(self, source, mutants):
        self.source = source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.tree = PARSER.parse(source)
        self.at_node = {}  # id of a node -> its mutants
        self.constant_functions = set()
        self.unplaced = []
        self.not_rust = []
        for mutant in mutants:
            node = self.place(mutant)
            if node is None:
                self.unplaced.append(mutant["id"])
            elif node.type == "let_chain" or (mutant["genre"] == "MatchArm" and not self.has_rest(node)):
                self.not_rust.append(mutant["id"])
            else:
                self.at_node.setdefault(node.id, []).append(mutant)

    def offset(self, position):
        """Bytes before a line and column, which count characters from one."""
        start = self.lines[position["line"] - 1]
        line = self.source[start : self.lines[position["line"]]].decode()
        return start + len(line[: position["column"] - 1].encode())

    def place(self, mutant):
        """The node that `mutant` changes; none if it is outside functions or the tree has no such node."""
        start = self.offset(mutant["span"]["start"])
        end = self.offset(mutant["span"]["end"])
        node = self.tree.root_node.descendant_for_byte_range(start, start + 1)
        chain = []
        while node is not None:
            chain.append(node)
            node = node.parent
        function = next((n for n in chain if n.type == "function_item"), None)
        if function is None:
            return None
        self.mark_constant(function)
        genre = mutant["genre"]
        if genre == "FnValue":
            # Another iterator would be another type.
            return None if "impl " in (mutant["function"] or {}).get("return_type", "") else function
        if genre in ("BinaryOperator", "UnaryOperator"):
            for n in chain:
                if n.type == "let_chain" and any(c.start_byte == start for c in n.children if not c.is_named):
                    return n  # `||` cannot stand there
                if n.type in OPERATIONS and any(c.start_byte == start for c in n.children if not c.is_named):
                    return n
        if genre in ("MatchArm", "MatchArmGuard"):
            for n in chain:
                if n.type == "match_arm" and n.start_byte <= start and end <= n.end_byte + 1:
                    return n.child_by_field_name("pattern")
        if genre == "StructField":
            return next((n for n in chain if n.type == "struct_expression"), None)
        return None

    def has_rest(self, pattern):
        """Whether an arm of the same match takes everything that is left, so that one arm can go."""
        for arm in pattern.parent.parent.named_children:
            other = arm.child_by_field_name("pattern") if arm.type == "match_arm" else None
            if other is not None and other.id != pattern.id and other.child_by_field_name("condition") is None:
                if re.fullmatch(r"_|[a-z]\w*", other.text.decode().strip()):
                    return True
        return False

    def mark_constant(self, function):
        """A function that reads the environment is not constant: its modifier goes."""
        for child in function.children:
            if child.type == "function_modifiers" and b"const" in child.text.split():
                self.constant_functions.add(child.id)

    def raw(self, start, end):
        return self.source[start:end].decode()

    def text(self):
        """The whole file with all mutants."""
        return self.render(self.tree.root_node)

    def render(self, node):
        """The text of `node` with the mutants in it and on it."""
        mutants = self.at_node.get(node.id, [])
        if node.id in self.constant_functions:
            return " ".join(word for word in node.text.decode().split() if word != "const")
        if mutants and node.type == "match_pattern":
            return self.pattern(node, mutants)
        original = self.inner(node, mutants)
        if not mutants or node.type == "function_item":
            return original
        choices = [
            f"if crate::mutant({m['id']}) {{{marked(m, self.changed(node, m))}}} else " for m in mutants
        ]
        return f"({''.join(choices)}{{{original}}})"

    def inner(self, node, mutants):
        """The text of `node` with the mutants in it, and early returns where it is a function."""
        parts = []
        at = node.start_byte
        for child in node.children:
            parts.append(self.raw(at, child.start_byte))
            text = self.render(child)
            if node.type == "function_item" and child.type == "block" and mutants:
                returns = (
                    f"if crate::mutant({m['id']}) {{{marked(m, 'return ' + m['replacement'] + ';')}}}"
                    for m in mutants
                )
                text = "{" + "".join(returns) + text[1:]
            parts.append(text)
            at = child.end_byte
        parts.append(self.raw(at, node.end_byte))
        return "".join(parts)

    def changed(self, node, mutant):
        """The text of `node` after the mutant's change, with no other mutant in it."""
        start = self.offset(mutant["span"]["start"])
        end = self.offset(mutant["span"]["end"])
        if mutant["genre"] == "StructField" and self.raw(end, end + 1) == ",":
            end += 1
        return self.raw(node.start_byte, start) + mutant["replacement"] + self.raw(end, node.end_byte)

    def pattern(self, node, mutants):
        """A match pattern whose guard is replaced, or refuses when the arm is deleted."""
        guard = node.child_by_field_name("condition")
        whole = self.raw(node.start_byte, guard.start_byte if guard else node.end_byte)
        head = re.sub(r"\s+if\s*$", "", whole) if guard else whole
        condition = f"({self.render(guard)})" if guard else "true"
        for mutant in mutants:
            value = mutant["replacement"] if mutant["genre"] == "MatchArmGuard" else "false"
            condition = f"(if crate::mutant({mutant['id']}) {{{marked(mutant, value)}}} else {{{condition}}})"
        return f"{head} if {condition}"


def write_if_new(path, text):
    """Keeps the time of a file that stays as it is, so that it is not compiled again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def rewrite(root, original, mutants, files):
    """Writes `mutants` into the copy `root` of the sources `original`, and nothing into the other `files`.

    Returns the numbers of those without a place, and of those that no Rust can spell.
    """
    files = {file: [] for file in files}
    for mutant in mutants:
        files[mutant["file"]].append(mutant)
    unplaced, not_rust = [], []
    switch = pathlib.Path(__file__).with_name("switch.rs").read_text()
    crates = set()
    for file, of_file in files.items():
        rewriter = Rewriter((original / file).read_bytes(), of_file)
        text = rewriter.text()
        unplaced += rewriter.unplaced
        not_rust += rewriter.not_rust
        library = pathlib.Path(*pathlib.Path(file).parts[:2]) / "src/lib.rs"
        crates.add(library)
        if pathlib.Path(file) == library:
            raise SystemExit(f"{file} has mutants: move its functions to a module first")
        write_if_new(root / file, text)
    for library in crates:
        text = (original / library).read_text()
        write_if_new(root / library, "#![allow(warnings, arithmetic_overflow, unconditional_panic)]\n" + text + "\n" + switch)
    return unplaced, not_rust


def number(lists):
    """The mutants of several lists, numbered from one."""
    mutants = [mutant for path in lists for mutant in json.loads(pathlib.Path(path).read_text())]
    for index, mutant in enumerate(mutants):
        mutant["id"] = index + 1
        mutant.pop("diff", None)
    return mutants
