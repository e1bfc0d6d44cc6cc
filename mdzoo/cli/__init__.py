"""What did the user ask? `mdzoo COMMAND key=value ...`."""

import os
import re
import sys
from collections.abc import Sequence

from mdzoo import __version__
from mdzoo.cli.config import compose, composed, nearest, plain
from mdzoo.cli.help import command_names, describe, overview
from mdzoo.cli.run_dir import run_directory

HELP = {"-h", "--help", "help"}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 after an error, 2 for a command that does not exist.

    An error is one line; the environment variable MDZOO_TRACEBACK=1 shows where it came from. Large tensors get huge
    pages, for the system else fills each anew, page by page: a third of the CPU time of a fit in closed form (114 s, 89
    with them, 1299 features). THP_MEM_ALLOC_ENABLE=0 declines.
    """
    words = list(sys.argv[1:] if words is None else words)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it when it first needs much memory
    try:
        return run(words)
    except KeyboardInterrupt:
        print("mdzoo: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("MDZOO_TRACEBACK"):
            raise
        print(f"mdzoo: {one_line(error)}", file=sys.stderr)
        return 1


def run(words: list[str]) -> int:
    """Show the help that was asked for, or compose the config and run the command."""
    command, overrides = (words or ["--help"])[0], words[1:]
    if command in HELP:
        print(overview())
    elif command == "--version":
        print(__version__)
    elif command not in command_names():
        near = nearest(command, command_names())
        print(f"mdzoo: `{command}` is no command; did you mean {near}? (mdzoo --help shows all)", file=sys.stderr)
        return 2
    elif HELP & set(overrides):
        print(describe(command))
    else:
        execute(command, overrides)
    return 0


def execute(command: str, overrides: list[str]) -> None:
    """Compose the config, make the run directory and do the command; the rooms are imported only now.

    A first word without `=` says what to do, as in `mdzoo lammps build`.
    """
    if overrides and re.fullmatch(r"\w+", overrides[0]) and "action" in composed(command, []):
        overrides = [f"action={overrides[0]}", *overrides[1:]]
    config = compose(command, overrides)
    plain(config)  # what is missing is said before anything is written
    from mdzoo.cli.commands import COMMANDS

    with run_directory(command, config) as run_dir:
        COMMANDS[command](config, run_dir)


def one_line(error: Exception) -> str:
    """Return the message of `error` in one line; errors that are not about input are named by their type."""
    text = " ".join(str(error).split()) or "no message"
    known = isinstance(error, ValueError | FileNotFoundError)
    return text if known else f"{type(error).__name__}: {text} (MDZOO_TRACEBACK=1 shows where)"
