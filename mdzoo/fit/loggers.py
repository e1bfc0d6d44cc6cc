"""Where the numbers of a run go: CSV always, Weights & Biases where wanted, and `train.log`."""

import contextlib
import logging
import netrc
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)
MODES = ("auto", "online", "offline", "disabled")


def loggers(
    run_dir: Path, wandb: str = "auto", project: str = "mdzoo", config: Mapping[str, Any] | None = None
) -> list[Logger]:
    """Return the loggers of a run.

    Arguments:
        run_dir: CSV goes to `log/metrics.csv` in it, W&B's files to `wandb/`.
        wandb: `online`, `offline`, `disabled`, or `auto`: online with a key and a network, else offline.
        project: of W&B.
        config: what W&B keeps as the run's configuration, the hash of the data with it.
    """
    if wandb not in MODES:
        raise ValueError(f"`wandb` must be one of {list(MODES)}, got {wandb!r}; auto needs neither network nor key")
    found: list[Logger] = [CSVLogger(str(run_dir), name="", version="log", flush_logs_every_n_steps=50)]
    mode = os.environ.get("WANDB_MODE", "") or wandb
    mode = ("online" if reachable() else "offline") if mode == "auto" else mode
    if mode in ("online", "offline"):
        with contextlib.suppress(Exception) if mode == "online" else contextlib.nullcontext():
            found.append(wandb_logger(run_dir, mode, project, dict(config or {})))
        if len(found) == 1:
            log.warning("Weights & Biases did not answer; the numbers are in %s", run_dir / "log")
    return found


def wandb_logger(run_dir: Path, mode: str, project: str, config: dict[str, Any]) -> WandbLogger:
    """Return a W&B logger that gives up after half a minute and says nothing on the terminal."""
    import wandb

    (run_dir / "wandb").mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(init_timeout=30, silent=True, console="off")
    logger = WandbLogger(
        name=run_dir.name, save_dir=str(run_dir), project=project, mode=mode, settings=settings, config=config
    )
    logger.experiment  # noqa: B018 - starts the run now, where an error can be handled
    return logger


def reachable(seconds: float = 3.0) -> bool:
    """Tell whether there is a key for W&B and its server answers."""
    import wandb

    with contextlib.suppress(OSError, netrc.NetrcParseError):
        url = urlparse(str(wandb.Settings().base_url))
        host, port = str(url.hostname), url.port or (443 if url.scheme == "https" else 80)
        if not os.environ.get("WANDB_API_KEY") and not netrc.netrc(os.environ.get("NETRC")).authenticators(host):
            return False
        with socket.create_connection((host, port), timeout=seconds):
            return True
    return False


def add_files(found: Sequence[Logger], plots: Sequence[Path] = (), artifacts: Sequence[Path] = ()) -> None:
    """Give plots and files (the exported model) to W&B; the others have them in the run directory."""
    for logger in found:
        if isinstance(logger, WandbLogger):
            import wandb

            for plot in plots:
                logger.experiment.log({plot.stem: wandb.Image(str(plot))})
            for path in artifacts:
                artifact = wandb.Artifact(f"{logger.experiment.id}-{path.stem}", type="model")
                artifact.add_file(str(path))
                logger.experiment.log_artifact(artifact)


def finish(found: Sequence[Logger]) -> None:
    """Write what waits, and close W&B's run."""
    for logger in found:
        logger.save()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Write what mdzoo says to a file too, and keep Lightning's remarks off the terminal, while the context lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger("mdzoo")
    if any(getattr(known, "baseFilename", None) == str(path.resolve()) for known in root.handlers):
        yield  # whoever called writes it already
        return
    handler = logging.FileHandler(path) if getattr(rank_zero_only, "rank", 0) == 0 else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level or logging.INFO, logging.INFO))
    lightning = logging.getLogger("pytorch_lightning")
    chatter = lightning.level
    lightning.setLevel(logging.WARNING)
    try:
        yield
    finally:
        lightning.setLevel(chatter)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
