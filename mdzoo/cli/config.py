"""A command's config: its file in `conf/`, one choice for each axis, and the user's `key=value` words."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import mdzoo

NOTHING = ("null", "none", "None", "")
QUOTED_KEY = re.compile(r"(['\"])([\w.*?-]+)\1\s*:")
"""A key of a table in quotes, which Hydra takes without them alone."""


def conf_dir() -> Path:
    """Return the folder of the configs: inside the installed package, or beside it in a checkout."""
    return mdzoo.folder("conf")


def groups() -> dict[str, list[str]]:
    """Return the axes and the choices of each, as they lie in `conf/`."""
    folders = sorted(path for path in conf_dir().iterdir() if path.is_dir())
    return {folder.name: sorted(path.stem for path in folder.glob("[!_]*.yaml")) for folder in folders}


def compose(command: str, words: Sequence[str] = ()) -> DictConfig:
    """Return the config of `command` with the user's words; what does not exist is refused with its nearest name.

    Arguments:
        command: a file of `conf/`.
        words: `key=value` in Hydra's syntax; `axis=null` leaves an axis out.
    """
    overrides = [parse(word) for word in words]
    check_choices(overrides)
    chosen = [translate(override) for override in overrides if override.key_or_group in groups()]
    values = [override for override in overrides if override.key_or_group not in groups()]
    base = composed(command, chosen)
    check_keys(command, base, values)
    return composed(command, chosen + [added(override, base) for override in values])


def parse(word: str) -> Override:
    """Parse one `key=value`; keys of tables may have quotes, and a value that Hydra's grammar does not take is text."""
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[+~]*[\w.@/]+", key):
        raise ValueError(f"`{word}` must be key=value, got {word!r}; see mdzoo COMMAND --help")
    if value.startswith("{"):
        value = QUOTED_KEY.sub(r"\2:", value)
    try:
        return OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return OverridesParser.create().parse_override(f"{key}='{quoted}'")


def added(override: Override, base: DictConfig) -> str:
    """Return the override, marked as one that brings keys of its own where it fills a table that is empty."""
    empty = isinstance(override.value(), dict) and not OmegaConf.select(base, override.key_or_group)
    return f"++{line_of(override)}" if empty else line_of(override)


def check_choices(overrides: Iterable[Override]) -> None:
    """Refuse a choice that has no file."""
    for override in overrides:
        choices = groups().get(override.key_or_group)
        value = override.value()
        for choice in value if isinstance(value, list) else [value]:
            if choices is not None and str(choice) not in (*choices, *NOTHING):
                raise ValueError(
                    f"`{override.key_or_group}` must be one of {choices}, got {choice}; "
                    f"did you mean {nearest(str(choice), choices)}?"
                )


def translate(override: Override) -> str:
    """Return the override of an axis in Hydra's words: no choice at all is a deletion, or an empty list."""
    axis = override.key_or_group
    if isinstance(override.value(), list) or str(override.value()) not in NOTHING:
        return line_of(override)
    return f"{axis}=[]" if axis == "empirical" else f"~{axis}"


def check_keys(command: str, base: DictConfig, overrides: Iterable[Override]) -> None:
    """Refuse a key that the composed config does not have."""
    known = keys(base)
    for override in overrides:
        key = override.key_or_group
        if key not in known:
            near = nearest(key, [*known, *groups()])
            raise ValueError(
                f"`{key}` must be a key of `mdzoo {command}`, got {line_of(override)}; did you mean {near}?"
            )


def keys(config: Any, prefix: str = "") -> list[str]:
    """Return every dotted key of a config, inner and outer."""
    found = []
    for key in config:
        found.append(f"{prefix}{key}")
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_missing():
            found += keys(value, f"{prefix}{key}.")
    return found


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the choice that looks most like `word`: one that ends alike, whatever the case, before all others."""

    def likeness(choice: str) -> tuple[bool, float]:
        a, b = word.lower(), choice.lower()
        return a.split(".")[-1] == b.split(".")[-1], difflib.SequenceMatcher(None, a, b).ratio()

    return max(choices, key=likeness)


def line_of(override: Override) -> str:
    """Return the override as it was written, without the marks that add or delete."""
    return (override.input_line or "").lstrip("+~")


def composed(command: str, lines: list[str]) -> DictConfig:
    """Compose with Hydra; its errors become one line."""
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(command, overrides=lines)
    except (HydraException, OmegaConfBaseException, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`{' '.join(lines)}` must compose to a config, got: {first}; see mdzoo {command} --help"
        ) from error


def plain(config: Any) -> Any:
    """Return the config as dicts and lists, interpolations resolved; the error names a value that is missing."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "value"
        raise ValueError(f"`{key}` must be given, got nothing; say {key}=...") from error
