"""What a command leaves behind: its directory with the config, the log and the numbers."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

PRINTING = ("list", "doctor")  # commands that print and keep nothing unless asked


@contextmanager
def run_directory(command: str, config: DictConfig) -> Iterator[Path | None]:
    """Make the command's directory with `config.yaml` and a log of everything that mdzoo says, `<command>.log`."""
    if config.run_dir is None and command in PRINTING:
        yield None
        return
    path = Path(config.run_dir).expanduser() if config.run_dir else unused(Path("outputs") / command)
    path.mkdir(parents=True, exist_ok=True)
    config.run_dir = str(path)
    OmegaConf.save(config, path / "config.yaml", resolve=True)
    handler = logging.FileHandler(path / f"{command}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
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


def unused(parent: Path) -> Path:
    """Return a new directory named by date and time."""
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    paths = [parent / name, *(parent / f"{name}_{count}" for count in range(1, 1000))]
    return next(path for path in paths if not path.exists())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain numbers and texts, indented."""
    path.write_text(json.dumps(value, indent=1) + "\n")


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
