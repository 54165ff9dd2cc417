"""The house's rules, each a function from one file's path and text to what is wrong with it.

The path is relative to the repository and says which package the text belongs to. Nothing is
imported or run: the rules read the syntax tree, the comments or the lines.
"""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

Rule = Callable[[PurePosixPath, str], list[str]]

LAYERS = ("identity", "crdt", "protocols", "node", "devnet")
PURE_LAYERS = ("identity", "crdt", "protocols")
PURE_FILES = ("node/router.py",)
BANNED_IN_PURE = frozenset(
    [
        *("asyncio", "datetime", "logging", "os", "random", "socket", "sqlite3", "threading"),
        *("time", "aiosqlite", "libp2p", "trio"),
    ]
)
# Where one thing of a banned module is allowed, and nothing else of it.
PURE_EXCEPTIONS = {"identity/keys.py": frozenset({"os.urandom"})}

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
# "path" or "path::function" -> the lines it may have; each with its reason. Only ever shrinks.
SIZE_EXCEPTIONS: dict[str, int] = {}

INTEGER_PLACES = ("crdt/", "protocols/")
BROAD = frozenset({"", "Exception", "BaseException"})  # "" is a bare `except:`
PRINT_PLACES = ("node/cli", "devnet/")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
URL_HOST = re.compile(r"https?://([^/\s\"'<>:]+)")
HOSTS_ALLOWED = frozenset({"127.0.0.1", "localhost"})
INDEX_OPTION = re.compile(r"(?<![\w-])(--index-url|--extra-index-url|--find-links|-i\s+http)")


def _layer(path: PurePosixPath) -> str | None:
    return path.parts[0] if path.parts[0] in LAYERS else None


def _is_test(path: PurePosixPath) -> bool:
    return path.parts[0] == "tests"


def _is_pure(path: PurePosixPath) -> bool:
    return _layer(path) in PURE_LAYERS or str(path) in PURE_FILES


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module or ''}.{alias.name}"


@functools.lru_cache(maxsize=1)  # the rules are asked of one file after the other
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def check_arrows(path: PurePosixPath, text: str) -> list[str]:
    """identity <- crdt <- protocols <- node <- devnet: nothing is imported from the right."""
    layer = _layer(path)
    if layer is None:
        return []
    right = LAYERS[LAYERS.index(layer) + 1 :]
    return [
        f"{path}:{line}: {layer} imports {name}"
        for line, name in _imports(_parse(text))
        if name.split(".")[0] in right
    ]


def check_relative_imports(path: PurePosixPath, text: str) -> list[str]:
    """Imports are absolute, so that `check_arrows` sees all of them."""
    return [
        f"{path}:{node.lineno}: relative import"
        for node in ast.walk(_parse(text))
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def check_purity(path: PurePosixPath, text: str) -> list[str]:
    """The pure layers import nothing with I/O, a clock, tasks or chance in it."""
    if not _is_pure(path):
        return []
    allowed = PURE_EXCEPTIONS.get(str(path), frozenset())
    allowed_modules = {name.split(".")[0] for name in allowed}
    tree = _parse(text)
    found = [
        f"{path}:{line}: imports {name}"
        for line, name in _imports(tree)
        if (root := name.split(".")[0]) in BANNED_IN_PURE
        and name not in allowed
        and not (name == root and root in allowed_modules)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if node.value.id in allowed_modules and name not in allowed:
                found.append(f"{path}:{node.lineno}: uses {name}")
    return found


def _comment_lines(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def check_broad_except(path: PurePosixPath, text: str) -> list[str]:
    """A broad `except` has a comment with its reason: on its line, above it, or first inside."""
    comments = _comment_lines(text)
    found = []
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            places = range(node.lineno - 1, node.body[0].lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = node.args
            places = range(node.lineno - 1, node.lineno + 1)
        else:
            continue
        broad = {ast.unparse(kind) if kind else "" for kind in caught} & BROAD
        if broad and not comments.intersection(places):
            found.append(f"{path}:{node.lineno}: broad except without its reason")
    return found


def check_unfinished(path: PurePosixPath, text: str) -> list[str]:
    """Nothing is left to do later."""
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := UNFINISHED.search(line))
    ]


def check_sleeps(path: PurePosixPath, text: str) -> list[str]:
    """Tests wait for what they need: a sleep of a fixed time stands only in a polling `while`."""
    if not _is_test(path):
        return []
    tree = _parse(text)
    polled = {
        id(inner)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While)
        for inner in ast.walk(loop)
    }
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = ast.unparse(node.func)
        literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
        passes_on = literal and not node.args[0].value  # sleep(0) is a checkpoint
        fixed = name == "time.sleep" or (name in {"trio.sleep", "anyio.sleep"} and literal)
        if fixed and not passes_on and id(node) not in polled:
            found.append(f"{path}:{node.lineno}: fixed sleep")
    return found


def check_print(path: PurePosixPath, text: str) -> list[str]:
    """Only the command line and the devnet print."""
    if _layer(path) is None or str(path).startswith(PRINT_PLACES):
        return []
    return [
        f"{path}:{node.lineno}: print"
        for node in ast.walk(_parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def check_sizes(path: PurePosixPath, text: str) -> list[str]:
    """Files and functions stay small enough to be read at once."""
    lines = len(text.splitlines())
    found = []
    if lines > SIZE_EXCEPTIONS.get(str(path), FILE_LINES_MAX):
        found.append(f"{path}: {lines} lines")
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > SIZE_EXCEPTIONS.get(f"{path}::{node.name}", FUNCTION_LINES_MAX):
                found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    return found


def check_docstring(path: PurePosixPath, text: str) -> list[str]:
    """Every module that holds anything says what it is for."""
    if not text.strip() or ast.get_docstring(_parse(text)):
        return []
    return [f"{path}: no module docstring"]


def check_integers(path: PurePosixPath, text: str) -> list[str]:
    """Where credits, scores and votes are counted there are no floats and no true division."""
    if not str(path).startswith(INTEGER_PLACES):
        return []
    found = []
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{path}:{node.lineno}: the float {node.value}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"{path}:{node.lineno}: true division")
        elif isinstance(node, ast.Name) and node.id == "float":
            found.append(f"{path}:{node.lineno}: float")
    return found


def check_no_index(path: PurePosixPath, text: str) -> list[str]:
    """No package index or other host is named where dependencies and checks are described."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        hosts = [host for host in URL_HOST.findall(line) if host not in HOSTS_ALLOWED]
        if hosts or INDEX_OPTION.search(line):
            found.append(f"{path}:{number}: {line.strip()}")
    return found


PYTHON_RULES: tuple[Rule, ...] = (
    check_arrows,
    check_relative_imports,
    check_purity,
    check_broad_except,
    check_unfinished,
    check_sleeps,
    check_print,
    check_sizes,
    check_docstring,
    check_integers,
)
