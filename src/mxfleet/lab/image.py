"""Build the base images from this machine's own Debian mirror, and keep them in the user's cache."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mxfleet.errors import LabError
from mxfleet.lab import mirror
from mxfleet.lab.command import run
from mxfleet.lab.recipe import RECIPES, SUITE, Recipe, bootstrap


def cache_directory(environment: Mapping[str, str]) -> Path:
    """`mxfleet` under XDG_CACHE_HOME or ~/.cache (XDG Base Directory Specification)."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "/root")) / ".cache")
    return Path(base) / "mxfleet" / "images"


def ready(names: Iterable[str], cache: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The root directory of each image, built now where the cache does not have its recipe."""
    cache.mkdir(parents=True, exist_ok=True)
    recipes = [RECIPES[name] for name in sorted(set(names))]
    with _alone(cache):
        absent = [recipe for recipe in recipes if not (cache / recipe.directory).is_dir()]
        if absent:
            _build_all(absent, cache, say)
        _forget_outdated(cache)
    return {recipe.name: cache / recipe.directory for recipe in recipes}


def _build_all(recipes: list[Recipe], cache: Path, say: Callable[[str], None]) -> None:
    sources = mirror.sources(run(["apt-get", "indextargets", "--format", mirror.INDEX_FORMAT]))
    settings = mirror.settings(run(["apt-config", "dump", "Acquire"]))
    named = " and ".join(f"{recipe.name} ({len(recipe.packages)} packages)" for recipe in recipes)
    say(f"building the base images {named} from Debian {SUITE}; about two minutes, once")
    with ThreadPoolExecutor(len(recipes)) as pool:
        for result in [pool.submit(_build, recipe, cache, sources, settings) for recipe in recipes]:
            result.result()


def _build(recipe: Recipe, cache: Path, sources: list[str], settings: list[str]) -> None:
    """Build beside, then rename: a directory under its final name is always whole."""
    with tempfile.TemporaryDirectory(
        prefix=f".{recipe.name}-", dir=cache, ignore_cleanup_errors=True
    ) as work:
        target = Path(work) / "root"
        log = cache / f"{recipe.name}.log"
        with log.open("wb") as output:
            done = subprocess.run(
                bootstrap(recipe, str(target), sources, settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": work, "DEBIAN_FRONTEND": "noninteractive"},
                check=False,
            )
        if done.returncode != 0:
            said = "; ".join(
                line for line in log.read_text(errors="replace").splitlines() if line[:2] == "E:"
            )
            raise LabError(
                f"the base image {recipe.name} could not be built: {said[-300:]}", hint=f"see {log}"
            )
        target.chmod(0o755)
        target.rename(cache / recipe.directory)


def _forget_outdated(cache: Path) -> None:
    """Remove images of other recipes and what interrupted builds left, unless a running lab stands on them."""
    current = {recipe.directory for recipe in RECIPES.values()}
    mounted = Path("/proc/mounts").read_text(encoding="utf-8")
    for path in (path for name in RECIPES for path in (*cache.glob(f"{name}-*"), *cache.glob(f".{name}-*"))):
        if path.is_dir() and path.name not in current and str(path) not in mounted:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache's lock: of two builders the second waits and finds the work done."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
