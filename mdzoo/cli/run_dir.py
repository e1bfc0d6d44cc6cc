"""What a command leaves behind: its directory with the config, the log and the numbers."""

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

RUN_DIR = "MDZOO_RUN_DIR"  # by which the processes of one run find its directory
PRINTING = ("list", "doctor", "lammps")  # commands that print and keep nothing unless asked


@contextmanager
def run_directory(command: str, config: DictConfig) -> Iterator[Path | None]:
    """Make the command's directory with `config.yaml` and a log of everything that mdzoo says, `<command>.log`."""
    if config.run_dir is None and command in PRINTING:
        yield None
        return
    path = chosen(command, config)
    if rank() > 0:
        yield path
        return
    path.mkdir(parents=True, exist_ok=True)
    config.run_dir = os.environ[RUN_DIR] = str(path)
    OmegaConf.save(config, path / "config.yaml", resolve=True)
    handler = logging.FileHandler((path / f"{command}.log").resolve())
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # what it says of devices and tips is not news
    logger = logging.getLogger("mdzoo")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield path
    except BaseException:
        logger.exception("stopped")
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def rank() -> int:
    """Return which process of the machine this is; those above zero were started by the first and write nothing."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def chosen(command: str, config: DictConfig) -> Path:
    """Return the directory that the user named, that of the first process, or a new one."""
    if config.run_dir:
        return Path(config.run_dir).expanduser()
    return Path(os.environ[RUN_DIR]) if rank() > 0 else unused(Path("outputs") / command)


def unused(parent: Path) -> Path:
    """Return a new directory named by date and time."""
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    paths = [parent / name, *(parent / f"{name}_{count}" for count in range(1, 1000))]
    return next(path for path in paths if not path.exists())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain numbers and texts, indented; what is not finite becomes null, for JSON has no word for it."""
    path.write_text(json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return `value` with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Clock:
    """Seconds spent in each part of a command.

    Example:
        >>> clock = Clock()
        >>> with clock("read"):
        ...     pass
        >>> list(clock.seconds)
        ['read']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure the body under `name`."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
