"""Reads code for what unpickles, evaluates or opens a shell: Python by its names, whatever they were imported as.

A name counts where it is used, not only where it is called: what is handed on is called elsewhere. Rules of Snakemake,
recipes of make and shell scripts are read as text, line by line.
"""

import ast
import re

# Names that nothing uses; a module's name stands for all that is in it.
MODULES = (
    "pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle",
    "code", "codeop", "pty", "runpy", "cffi",
)  # fmt: skip
NAMES = (
    "os.system", "os.popen", "os.startfile", "os.exec*", "os.spawn*", "os.posix_spawn*",
    "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "shutil.unpack_archive", "importlib.import_module", "importlib.__import__",
    "importlib.util.spec_from*", "importlib.util.module_from_spec",
    "ctypes.CDLL", "ctypes.PyDLL", "ctypes.cdll*", "ctypes.pydll*", "ctypes.pythonapi*",
    "torch.load", "torch.serialization.load", "torch.jit.load", "torch.hub.*", "torch.package.*", "torch.export.load",
    "pandas.read_pickle", "pandas.io.pickle.*", "pandas.eval",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load*", "yaml.full_load*", "yaml.Loader", "yaml.UnsafeLoader",
    "yaml.FullLoader", "yaml.CLoader", "yaml.CUnsafeLoader", "yaml.CFullLoader",
)  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__", "__builtins__"}
SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}
METHODS = {"extractall", "exec_module", "load_module", "read_pickle", "to_pickle", "unsafe_load", "full_load"}
TEXT = {
    "unpickling": r"pickle|marshal|shelve|joblib\.load|torch\.load|allow_pickle\s*=\s*(?!False\b)",
    "yaml that makes objects": r"yaml\.(unsafe_load|full_load|load\b)|UnsafeLoader|FullLoader",
    "evaluating": r"(?<![\w.-])eval(?![\w-])|(?<![\w.-])exec\s*\(|__import__|import_module",
    "by another name": r"from\s+(torch|yaml|os|builtins)\b.*\bimport\b.*(\b(load|system|popen|eval|exec)\b|\*)",
    "a shell": r"os\.(system|popen|exec|spawn)|shell\s*=\s*True|get(status)?output\s*\(",
    "a shell within a shell": r"\b(ba|da|z|k)?sh\s+-\w*c\b|\|\s*(sudo\s+)?(ba|da|z|k)?sh\b|(\bsource|(?<!\S)\.)\s+<\(",
}


def found_in_python(source):
    """What of Python code unpickles, evaluates or opens a shell.

    Returns:
        Pairs: the full name of what is used, such as `torch.load`, and the smallest call or statement that it is in.
    """
    return _Reader(ast.parse(source)).found


def found_in_text(source):
    """What of rules, recipes and scripts does, as pairs: of what kind, and the line. Lines of comment do nothing."""
    lines = [line.strip() for line in source.splitlines() if not line.lstrip().startswith("#")]
    return [(kind, line) for line in lines for kind, pattern in TEXT.items() if re.search(pattern, line)]


class _Reader(ast.NodeVisitor):
    def __init__(self, tree):
        self.found, self._within, self._imported = [], [], {}
        self._annotations = set(_annotations(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    bound = each.name if each.asname else each.name.partition(".")[0]  # `import a.b` binds `a`
                    self._imported[each.asname or bound] = bound
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for each in node.names:
                    self._imported[each.asname or each.name] = f"{node.module}.{each.name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and (name := self._resolved(node.value)):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self._imported.setdefault(target.id, name)
        self.visit(tree)

    def visit(self, node):
        if node in self._annotations:
            return
        holds = isinstance(node, ast.stmt | ast.Call)
        if holds:
            self._within.append(node)
        if isinstance(node, ast.List | ast.Tuple):
            words = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
            if str(words[0] if words else "").rpartition("/")[2] in SHELLS and "-c" in words:
                self._tell("a shell")
        super().visit(node)
        if holds:
            self._within.pop()

    def visit_Import(self, node):
        for each in node.names:
            self._look_at(each.name)

    def visit_ImportFrom(self, node):
        if not node.level:
            for each in node.names:
                self._look_at(f"{node.module}.{each.name}")

    def visit_Name(self, node):
        name = self._imported.get(node.id)
        if name:
            self._look_at(name)
        elif node.id in BUILTINS and isinstance(node.ctx, ast.Load):
            self._tell(node.id)

    def visit_Attribute(self, node):
        if name := self._resolved(node):
            self._look_at(name)
            return
        if node.attr in METHODS:
            self._tell(node.attr)
        self.generic_visit(node)

    def visit_Call(self, node):
        name = self._resolved(node.func) or ""
        given = {each.arg: each.value for each in node.keywords}
        # What is not written out may be anything.
        hidden = name.startswith("subprocess.") and None in given
        if hidden or ("shell" in given and not _is(given["shell"], False)):
            self._tell("shell=")
        loads = name in ("numpy.load", "numpy.lib.format.read_array")  # they must say that they do not unpickle
        if (loads or "allow_pickle" in given) and not _is(given.get("allow_pickle"), False):
            self._tell("allow_pickle=")
        # getattr(torch, "load")
        if _called(node, "getattr") and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            whole = self._resolved(node.args[0])
            self._look_at(f"{whole}.{node.args[1].value}" if whole else str(node.args[1].value))
        self.generic_visit(node)

    def _resolved(self, node):
        """The full name of an expression that begins with something imported; else None."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id)
        if isinstance(node, ast.Attribute) and (whole := self._resolved(node.value)):
            return f"{whole}.{node.attr}"
        return None

    def _look_at(self, name):
        name = name.removeprefix("builtins.")
        forbidden = (
            name in BUILTINS
            or any(f"{name}.".startswith(f"{each}.") for each in MODULES)
            or any(_matches(name, each) for each in NAMES)
            or (name.rpartition(".")[2] in METHODS and not name.startswith("softshare."))
        )
        if forbidden:
            self._tell(name)

    def _tell(self, name):
        told = (name, ast.unparse(self._within[-1]).splitlines()[0])
        if told not in self.found:
            self.found.append(told)


def _annotations(tree):
    """Annotations that call nothing: they name types, and use none."""
    for node in ast.walk(tree):
        for each in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if each is not None and not any(isinstance(part, ast.Call) for part in ast.walk(each)):
                yield each


def _matches(name, pattern):
    if name.endswith(".*"):  # of all that is taken from a module this is a part
        return pattern.startswith(name[:-1])
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _is(node, value):
    return isinstance(node, ast.Constant) and node.value is value


def _called(node, name):
    return isinstance(node.func, ast.Name) and node.func.id == name
