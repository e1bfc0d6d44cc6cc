"""Help texts: the comment at the head of each file of `conf/` is what a person reads about it."""

from omegaconf import OmegaConf

from mdzoo.cli.config import composed, conf_dir, groups

FIRST = ("train", "evaluate", "export", "md")
COMMANDS = "mdzoo COMMAND key=value ..."


def command_names() -> list[str]:
    """Return the commands, one for each file of `conf/`, in the order in which a newcomer needs them."""
    names = sorted(path.stem for path in conf_dir().glob("*.yaml"))
    return [*FIRST, *(name for name in names if name not in FIRST)]


def comment(name: str) -> list[str]:
    """Return the lines of the comment at the head of `conf/<name>.yaml`."""
    lines = []
    for line in (conf_dir() / f"{name}.yaml").read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return lines or [""]


def overview() -> str:
    """Return what `mdzoo --help` prints."""
    width = max(len(name) for name in command_names())
    commands = [f"    {name:{width}}  {comment(name)[0]}" for name in command_names()]
    return f"""mdzoo: interatomic potentials, E = E_empirical + E_ML, from DFT data to molecular dynamics.

    {COMMANDS}       run a command
    mdzoo COMMAND --help              its examples, choices and keys

Commands:
{chr(10).join(commands)}

A first model, on data that come with mdzoo, and a run with it:
    mdzoo train data=silicon empirical=zbl descriptor=so3 regressor=linear fit=least_squares run_dir=outputs/first
    mdzoo md model=outputs/first steps=1000

Every command takes run_dir=PATH (by default outputs/COMMAND/DATE_TIME) and seed=N."""


def describe(command: str) -> str:
    """Return what `mdzoo COMMAND --help` prints: text, examples, the choices of each axis, every key with its value."""
    lines = [f"mdzoo {command}: {comment(command)[0]}", *comment(command)[1:], ""]
    for axis in axes_of(command):
        lines += [f"{axis}=", *choices_of(axis), ""]
    keys = OmegaConf.to_yaml(composed(command, [])).splitlines()
    return "\n".join([*lines, "Keys and their values:", *(f"    {line}" for line in keys)])


def axes_of(command: str) -> list[str]:
    """Return the axes on which `conf/<command>.yaml` makes a choice."""
    defaults = OmegaConf.select(OmegaConf.load(conf_dir() / f"{command}.yaml"), "defaults", default=[])
    return [axis for entry in defaults if entry != "_self_" for axis in entry]


def choices_of(axis: str) -> list[str]:
    """Return one line for each choice of an axis, with what its file says of itself."""
    width = max(len(choice) for choice in groups()[axis])
    return [f"    {choice:{width}}  {comment(f'{axis}/{choice}')[0]}" for choice in groups()[axis]]
