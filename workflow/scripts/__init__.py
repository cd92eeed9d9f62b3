"""The programs of the workflow and what they share: a folder per stage, named as its rule file and its results.

Stages import ``common``, what stands below them (``inputs``, ``planet``, ``submission``) and their own folder; the
contract is in pyproject.toml. A program runs as ``python -m workflow.scripts.STAGE.PROGRAM --help``.
"""
