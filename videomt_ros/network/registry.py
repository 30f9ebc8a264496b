"""
The published checkpoints: what they are called, where they lie, and how their weights are fed.

Facts of the authors' model zoo and configurations (`model_zoo/*.md` and `configs/` of
tue-mps/videomt) and of the eight Hugging Face ports.  The thirteen are all there are: none of
DINOv3 for OVIS, or in another size than L.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import logging
import os
from pathlib import Path

from huggingface_hub import (
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import logging as hub_logging

from .config import Preprocessing
from .errors import CheckpointError
from .folder import CONFIG_FILE, PREPROCESSOR_FILE, RECORD_FILE, WEIGHTS_FILE

ORIGINAL_REPO = 'tue-mps/VidEoMT'

_PORT_FILES = (CONFIG_FILE, WEIGHTS_FILE)
_PORT_EXTRAS = (PREPROCESSOR_FILE, RECORD_FILE)
_RESEARCH_ONLY = ('vipseg', 'vspw')

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegistryEntry:
    """
    One published checkpoint; its port and its original file hold the same weights.

    :param name: short name, as `load_network` takes it.
    :param original_file: its path in the authors' hub repository.
    :param hub_id: hub id of its Hugging Face port; None where there is none.
    :param dataset: key of the class list that it was trained on.
    :param num_classes: K, without no-object.
    :param backbone: 'dinov2' or 'dinov3'.
    :param norm_queries: propagate the queries after the final norm; no file says so.
    :param image_size: side in pixels of the training images, 16 times the grid of positions.
    :param short_side: shorter side in pixels of the images that the accuracy was measured on.
    :param accuracy: published figures in percent, by measure.
    :param fps: published frames per second on an H100 (compiled, float16 autocast, the network
        alone).
    :param fps_doubtful: the figure is printed for smaller images too, so it is hardly right.
    """

    name: str
    original_file: str
    hub_id: str | None
    dataset: str
    num_classes: int
    backbone: str
    norm_queries: bool
    image_size: int
    short_side: int
    accuracy: tuple[tuple[str, float], ...]
    fps: int
    fps_doubtful: bool = False

    @property
    def preprocessing(self) -> Preprocessing:
        """Give how the published accuracy was measured: aspect ratio kept, sides padded to 32."""
        return Preprocessing('short_side', self.short_side)

    @property
    def port_preprocessing(self) -> Preprocessing:
        """Give what the port's own processor does: stretch to a square; accuracy unpublished."""
        return Preprocessing('square', self.image_size)

    @property
    def original_url(self) -> str:
        """Give the address of the original file."""
        return f'https://huggingface.co/{ORIGINAL_REPO}/resolve/main/{self.original_file}'

    @property
    def licence(self) -> tuple[str, ...]:
        """Give what is known of the terms of the weights; their hub page has the last word."""
        return (
            "the authors' repository is under the MIT licence; see the hub page for the weights",
            *(["derived from weights under Meta's DINOv3 licence, which are gated"]
              if self.backbone == 'dinov3' else []),
            *(['trained on data released for non-commercial research only']
              if self.dataset in _RESEARCH_ONLY else []),
        )


def _ytvis(name: str, file: str, port: str | None, ap: float, ar: float, fps: int,
           long: str = '') -> RegistryEntry:
    dinov3 = 'dinov3' in name
    return RegistryEntry(
        name, file, port, name.rsplit('-', 1)[1], 40, 'dinov3' if dinov3 else 'dinov2', False,
        640, 480 if dinov3 else 448, ((f'AP{long}', ap), (f'AR{long}10', ar)), fps)


def _wild(name: str, file: str, port: str | None, accuracy: tuple[tuple[str, float], ...],
          fps: int) -> RegistryEntry:
    dinov3 = 'dinov3' in name
    return RegistryEntry(
        name, file, port, name.rsplit('-', 1)[1], 124, 'dinov3' if dinov3 else 'dinov2', dinov3,
        1280, 720, accuracy, fps, fps_doubtful=dinov3)


ENTRIES = (
    _ytvis('videomt-s-ytvis2019', 'yt_2019_vit_small_52.8.pth',
           'tue-mps/videomt-dinov2-small-ytvis2019', 52.8, 62.2, 294),
    _ytvis('videomt-b-ytvis2019', 'yt_2019_vit_base_58.2.pth',
           'tue-mps/videomt-dinov2-base-ytvis2019', 58.2, 66.5, 251),
    _ytvis('videomt-l-ytvis2019', 'yt_2019_vit_large_68.6.pth',
           'tue-mps/videomt-dinov2-large-ytvis2019', 68.6, 73.9, 160),
    _ytvis('videomt-l-ytvis2021', 'yt_2021_vit_large_63.1.pth',
           'tue-mps/videomt-dinov2-large-ytvis2021', 63.1, 68.1, 160),
    _ytvis('videomt-l-ytvis2022', 'yt_2022_vit_large_42.6.pth',
           'tue-mps/videomt-dinov2-large-ytvis2022', 42.6, 48.1, 161, long='-L'),
    RegistryEntry(
        'videomt-l-ovis', 'ovis_vit_large_52.5.pth', 'tue-mps/videomt-dinov2-large-ovis', 'ovis',
        25, 'dinov2', False, 640, 544, (('AP', 52.5), ('AR10', 57.5)), 115),
    _wild('videomt-l-vipseg', 'vipseg_vit_large_55.2.pth', 'tue-mps/videomt-dinov2-large-vipseg',
          (('VPQ', 55.2), ('STQ', 48.9)), 75),
    _wild('videomt-l-vspw', 'vspw_vit_large_95.0_64.9.pth', 'tue-mps/videomt-dinov2-large-vspw',
          (('mVC16', 95.0), ('mIoU', 64.9)), 73),
    _ytvis('videomt-l-dinov3-ytvis2019', 'dinov3_online/yt_2019_dinov3_68.9.pth', None,
           68.9, 74.8, 133),
    _ytvis('videomt-l-dinov3-ytvis2021', 'dinov3_online/yt_2021_dinov3_63.2.pth', None,
           63.2, 69.2, 133),
    _ytvis('videomt-l-dinov3-ytvis2022', 'dinov3_online/yt_2022_dinov3_42.8.pth', None,
           42.8, 50.3, 133, long='-L'),
    # The double s is the authors'.
    _wild('videomt-l-dinov3-vipseg', 'dinov3_online/vipsseg_dinov3_55.1_47.1.pth', None,
          (('VPQ', 55.1), ('STQ', 47.1)), 133),
    _wild('videomt-l-dinov3-vspw', 'dinov3_online/vspw_dinov3_94.4_64.0.pth', None,
          (('mVC16', 94.4), ('mIoU', 64.0)), 133),
)


def find(source: str | Path) -> RegistryEntry | None:
    """
    Recognise a published checkpoint.

    :param source: its short name, the hub id of its port, the name of its original file, or the
        path of such a file.  The path must exist: a mistyped one is not to start a download.
    :returns: its entry, or None.
    """
    text, path = str(source), Path(source)
    if path.exists():
        text = path.name
    for entry in ENTRIES:
        original = entry.original_file
        if text in (entry.name, entry.hub_id, original, Path(original).name):
            return entry
    return None


def guess_norm_queries(source: str | Path, backbone: str, num_classes: int) -> bool:
    """
    Say whether queries are propagated after the final norm, which no original file stores.

    :param source: the file; a published one is looked up.
    :param backbone: 'dinov2' or 'dinov3'.
    :param num_classes: K, without no-object.
    :returns: true for the published DINOv3 weights of VIPSeg and VSPW, and for a file of an
        unknown name that is like them.
    """
    entry = find(source)
    if entry is not None:
        return entry.norm_queries
    return backbone == 'dinov3' and num_classes == 124


def by_hand_folder() -> Path:
    """Give the folder in which files that were fetched by hand are looked for."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'videomt_ros'


def cached(entry: RegistryEntry) -> Path | None:
    """
    Find a checkpoint on this machine; the network is not asked.

    :param entry: the checkpoint.
    :returns: a folder in Hugging Face's layout or an original file, from the folder of files
        fetched by hand or from the hub's cache; None when it is in neither.
    """
    original = by_hand_folder() / Path(entry.original_file).name
    if original.is_file():
        return original
    port = by_hand_folder() / entry.name
    if all((port / name).is_file() for name in _PORT_FILES):
        return port
    if entry.hub_id is not None:
        folder = _cached_port(entry.hub_id)
        if folder is not None:
            return folder
    file = try_to_load_from_cache(ORIGINAL_REPO, entry.original_file)
    return Path(file) if isinstance(file, str) else None


def fetch(entry: RegistryEntry) -> Path:
    """
    Bring a checkpoint to this machine: its port where there is one, else its original file.

    What is cached is taken as it is, without asking the network.  A download goes to the cache of
    huggingface_hub, which shows its progress.

    :param entry: the checkpoint.
    :returns: a folder in Hugging Face's layout, or an original file.
    :raises CheckpointError: when it is not here and cannot be downloaded; the message says which
        file to put where.
    """
    here = cached(entry)
    if here is not None:
        return here
    remedy = f'put {entry.original_url} into {by_hand_folder()}'
    with _download_of(entry.name, remedy):
        if entry.hub_id is not None:
            return _download_port(entry.hub_id)
        _reach_hub(ORIGINAL_REPO, entry.original_file)
        return Path(hf_hub_download(ORIGINAL_REPO, entry.original_file))


def fetch_hub(repo_id: str) -> Path:
    """
    Bring a checkpoint of somebody else's hub repository to this machine.

    :param repo_id: hub id, 'owner/name'.
    :returns: a folder with at least `config.json` and `model.safetensors`.
    :raises CheckpointError: when it is not cached and cannot be downloaded.
    """
    here = _cached_port(repo_id, _PORT_EXTRAS)
    if here is not None:
        return here
    remedy = f'put its {" and ".join(_PORT_FILES)} into a folder and name that'
    try:
        with _download_of(repo_id, remedy):
            return _download_port(repo_id)
    except CheckpointError:
        here = _cached_port(repo_id)
        if here is None:
            raise
        _log.warning('%s: the hub cannot be asked whether it has %s; going on without',
                     repo_id, ' and '.join(_PORT_EXTRAS))
        return here


def _cached_port(repo_id: str, extras: Sequence[str] = ()) -> Path | None:
    """Find a port in the hub's cache, where it is also known which of the extras it has."""
    needed = [try_to_load_from_cache(repo_id, name) for name in _PORT_FILES]
    asked = [try_to_load_from_cache(repo_id, name) for name in extras]
    if not isinstance(needed[0], str) or not isinstance(needed[1], str) or None in asked:
        return None
    return Path(needed[0]).parent


class _HubUnreachableError(Exception):
    """Nobody answers at the hub's address."""


def _reach_hub(repo_id: str, name: str) -> None:
    """Ask the hub once; its client's downloads retry in silence for 23 seconds without it."""
    try:
        get_hf_file_metadata(hf_hub_url(repo_id, name))
    except HfHubHTTPError:
        pass  # It answers; what it has against the file, the download says.
    except Exception as error:  # noqa: B902  errors of the HTTP library, which has changed
        raise _HubUnreachableError from error


def _download_port(repo_id: str) -> Path:
    _reach_hub(repo_id, CONFIG_FILE)
    for name in _PORT_EXTRAS:
        try:
            hf_hub_download(repo_id, name)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # no answer, rather than no such file
                raise
    paths = [hf_hub_download(repo_id, name) for name in _PORT_FILES]
    return Path(paths[-1]).parent


@contextmanager
def _download_of(name: str, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong in the hub's client into one sentence, without its own lines."""
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    try:
        yield
    except Exception as error:  # noqa: B902  the client lets errors of its HTTP library pass
        if isinstance(error, (LocalEntryNotFoundError, _HubUnreachableError)):
            reason = 'huggingface.co cannot be reached'
        else:
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise CheckpointError(
            f'{name} is not on this machine and cannot be downloaded ({reason}); {remedy}'
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)
