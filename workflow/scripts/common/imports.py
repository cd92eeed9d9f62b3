"""Which modules of the project a program imports, so that a change in one reruns the rules that use it."""

import ast
from functools import cache
from pathlib import Path


def local_modules(root, *programs):
    """Paths of ``programs`` (below ``root``) and of every module below ``root`` they import, sorted, as text.

    Imports are read, not executed; those inside functions count too.
    """
    found, queue = set(), [Path(root, program) for program in programs]
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imported(path, Path(root))
    return sorted(map(str, found))


# Cached, since programs share most modules.
@cache
def _imported(path, root):
    local = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        paths = (root.joinpath(*name.split(".")).with_suffix(".py") for name in names if name)
        local += [path for path in paths if path.is_file()]
    return local
