"""The published checkpoints: their facts, and how they are found, cached and fetched."""

from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
import pytest
from videomt_ros.network import CheckpointError, registry
from videomt_ros.network.class_lists import load_class_list
from videomt_ros.network.registry import ENTRIES, find

PORT = 'tue-mps/videomt-dinov2-large-vipseg'


class Missing(EntryNotFoundError):
    """What the hub answers for a file that a repository lacks, in any version of its client."""

    def __init__(self):
        Exception.__init__(self, '404')


class Hub:
    """A hub of a few files, and the cache on this side of it."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}
        self.asked = []
        self.down = None
        self.absent = set()
        self.pings = []
        self.unreachable = False

    def path(self, repo_id, name):
        return self.folder / repo_id / name

    def store(self, repo_id, *names):
        for name in names:
            self.path(repo_id, name).parent.mkdir(parents=True, exist_ok=True)
            self.path(repo_id, name).write_text('{}')

    def download(self, repo_id, name):
        self.asked.append((repo_id, name))
        if self.path(repo_id, name).is_file():
            return str(self.path(repo_id, name))
        if self.down is not None:
            raise self.down
        if name not in self.files.get(repo_id, ()):
            self.absent.add((repo_id, name))
            raise Missing
        self.store(repo_id, name)
        return str(self.path(repo_id, name))

    def metadata(self, url):
        self.pings.append(url)
        if self.unreachable:
            raise ConnectionError('Name or service not known')

    def look_up(self, repo_id, name):
        if (repo_id, name) in self.absent:
            return object()  # the client's mark of a file that is known not to exist
        path = self.path(repo_id, name)
        return str(path) if path.is_file() else None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path / 'hub')
    monkeypatch.setattr(registry, 'hf_hub_download', hub.download)
    monkeypatch.setattr(registry, 'get_hf_file_metadata', hub.metadata)
    monkeypatch.setattr(registry, 'try_to_load_from_cache', hub.look_up)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return hub


def test_all_thirteen_checkpoints_are_listed_once():
    assert [entry.name for entry in ENTRIES] == [
        'videomt-s-ytvis2019', 'videomt-b-ytvis2019', 'videomt-l-ytvis2019',
        'videomt-l-ytvis2021', 'videomt-l-ytvis2022', 'videomt-l-ovis', 'videomt-l-vipseg',
        'videomt-l-vspw', 'videomt-l-dinov3-ytvis2019', 'videomt-l-dinov3-ytvis2021',
        'videomt-l-dinov3-ytvis2022', 'videomt-l-dinov3-vipseg', 'videomt-l-dinov3-vspw']
    for field in ('name', 'original_file'):
        assert len({getattr(entry, field) for entry in ENTRIES}) == 13
    ports = [entry.hub_id for entry in ENTRIES if entry.hub_id]
    assert len(ports) == len(set(ports)) == 8


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_agrees_with_itself(entry):
    assert len(load_class_list(entry.dataset).names) == entry.num_classes
    dinov3 = entry.backbone == 'dinov3'
    assert dinov3 == ('dinov3' in entry.original_file) == (entry.hub_id is None)
    assert entry.norm_queries == (dinov3 and entry.num_classes == 124)
    assert entry.image_size == (1280 if entry.num_classes == 124 else 640)
    assert entry.port_preprocessing.rule == 'square'
    assert entry.port_preprocessing.size == entry.image_size
    paper = entry.preprocessing
    assert (paper.rule, paper.max_size, paper.multiple) == ('short_side', 1333, 32)
    expected = {25: 544, 124: 720, 40: 480 if dinov3 else 448}[entry.num_classes]
    assert paper.size == expected
    # The authors name their files after the accuracy.
    assert any(f'_{value:.1f}' in entry.original_file for _, value in entry.accuracy)
    assert entry.fps_doubtful == (dinov3 and entry.num_classes == 124)
    terms = ' '.join(entry.licence)
    assert ('non-commercial' in terms) == (entry.num_classes == 124)
    assert ('DINOv3' in terms) == dinov3


def test_facts_of_the_model_zoo():
    small, large, panoptic = (
        find(f'videomt-{name}') for name in ('s-ytvis2019', 'l-ytvis2022', 'l-dinov3-vipseg'))
    assert (small.accuracy, small.fps) == ((('AP', 52.8), ('AR10', 62.2)), 294)
    assert (large.accuracy, large.fps) == ((('AP-L', 42.6), ('AR-L10', 48.1)), 161)
    assert panoptic.original_url == ('https://huggingface.co/tue-mps/VidEoMT/resolve/main/'
                                     'dinov3_online/vipsseg_dinov3_55.1_47.1.pth')


@pytest.mark.parametrize('source', (
    'videomt-l-vipseg', PORT, 'vipseg_vit_large_55.2.pth'))
def test_a_checkpoint_is_found_by_each_of_its_names(source):
    assert find(source).name == 'videomt-l-vipseg'


def test_an_original_file_is_recognised_wherever_it_lies_but_a_wrong_path_is_not(tmp_path):
    path = tmp_path / 'vspw_dinov3_94.4_64.0.pth'
    assert find(path) is None and find(str(path)) is None
    path.write_bytes(b'')
    assert find(path).name == find(str(path)).name == 'videomt-l-dinov3-vspw'
    assert find('dinov3_online/vspw_dinov3_94.4_64.0.pth').name == 'videomt-l-dinov3-vspw'


@pytest.mark.parametrize('source', ('videomt-l', 'someone/videomt-l-vipseg', '', 'model.pth'))
def test_what_was_not_published_is_not_found(source):
    assert find(source) is None


@pytest.mark.parametrize('source,backbone,num_classes,expected', (
    ('mine.pth', 'dinov3', 124, True),
    ('mine.pth', 'dinov3', 40, False),
    ('mine.pth', 'dinov2', 124, False),
    ('vipsseg_dinov3_55.1_47.1.pth', 'dinov3', 124, True),
    ('yt_2019_dinov3_68.9.pth', 'dinov3', 40, False),
    ('vspw_vit_large_95.0_64.9.pth', 'dinov3', 124, False),  # its name has the last word
))
def test_norm_queries_come_from_the_name_or_else_from_the_shape(
        source, backbone, num_classes, expected):
    assert registry.guess_norm_queries(source, backbone, num_classes) is expected


def test_a_port_is_downloaded_once_and_then_taken_from_the_cache(hub):
    hub.files[PORT] = ('config.json', 'model.safetensors', 'video_preprocessor_config.json')
    entry = find('videomt-l-vipseg')
    assert registry.cached(entry) is None
    folder = registry.fetch(entry)
    assert folder == registry.cached(entry) == hub.folder / PORT
    assert {path.name for path in folder.iterdir()} == set(hub.files[PORT])
    hub.asked.clear()
    hub.down = AssertionError('the network was asked')
    assert registry.fetch(entry) == folder
    assert hub.asked == []


def test_a_checkpoint_without_a_port_is_its_original_file(hub):
    entry = find('videomt-l-dinov3-vspw')
    hub.files['tue-mps/VidEoMT'] = (entry.original_file,)
    path = registry.fetch(entry)
    assert path == registry.cached(entry) == hub.folder / 'tue-mps/VidEoMT' / entry.original_file


def test_an_original_file_in_the_hub_cache_spares_the_port(hub):
    entry = find('videomt-l-vipseg')
    hub.store('tue-mps/VidEoMT', entry.original_file)
    assert registry.fetch(entry).name == 'vipseg_vit_large_55.2.pth'
    assert hub.asked == []


def test_half_a_port_is_not_taken_for_a_whole_one(hub):
    hub.store(PORT, 'config.json')
    assert registry.cached(find('videomt-l-vipseg')) is None


def test_files_fetched_by_hand_come_first(hub, tmp_path):
    entry = find('videomt-l-vipseg')
    by_hand = tmp_path / 'cache' / 'videomt_ros'
    assert registry.by_hand_folder() == by_hand
    folder = by_hand / entry.name
    folder.mkdir(parents=True)
    (folder / 'config.json').write_text('{}')
    assert registry.cached(entry) is None
    (folder / 'model.safetensors').write_text('')
    assert registry.cached(entry) == folder
    (by_hand / 'vipseg_vit_large_55.2.pth').write_text('')
    assert registry.fetch(entry) == by_hand / 'vipseg_vit_large_55.2.pth'
    assert hub.asked == []


def test_the_cache_is_below_home_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    assert registry.by_hand_folder() == Path.home() / '.cache' / 'videomt_ros'


@pytest.mark.parametrize('name,file', (
    ('videomt-l-vipseg', 'VidEoMT/resolve/main/vipseg_vit_large_55.2.pth'),
    ('videomt-l-dinov3-ytvis2021', 'VidEoMT/resolve/main/dinov3_online/yt_2021_dinov3_63.2.pth'),
))
def test_without_a_network_one_line_says_which_file_to_put_where(hub, tmp_path, name, file):
    hub.unreachable = True
    with pytest.raises(CheckpointError) as caught:
        registry.fetch(find(name))
    message = str(caught.value)
    assert '\n' not in message
    assert message.startswith(f'{name} is not on this machine')
    assert 'huggingface.co cannot be reached' in message
    assert file in message and message.endswith(f'into {tmp_path / "cache" / "videomt_ros"}')
    assert hub.pings[0].endswith(('resolve/main/config.json', file))
    assert hub.asked == [], 'a download retries for long'


def test_other_troubles_of_a_download_are_told_in_one_line_too(hub):
    hub.down = OSError('No space left\non device')
    with pytest.raises(CheckpointError, match='OSError: No space left on device'):
        registry.fetch(find('videomt-l-vipseg'))


def test_a_foreign_repository_is_fetched_with_our_record_where_it_has_one(hub):
    hub.files['me/mine'] = ('config.json', 'model.safetensors', 'videomt_ros.json')
    folder = registry.fetch_hub('me/mine')
    assert {path.name for path in folder.iterdir()} == set(hub.files['me/mine'])
    hub.asked.clear()
    assert registry.fetch_hub('me/mine') == folder
    assert hub.asked == []


def test_a_foreign_repository_without_weights_is_refused(hub):
    hub.files['me/mine'] = ('config.json',)
    with pytest.raises(CheckpointError, match='me/mine is not on this machine.*model.safetensors'):
        registry.fetch_hub('me/mine')


def test_what_another_program_cached_is_asked_about_once_more_and_else_taken(hub, caplog):
    hub.store('me/mine', 'config.json', 'model.safetensors')
    hub.down = LocalEntryNotFoundError('offline')
    assert registry.fetch_hub('me/mine') == hub.folder / 'me/mine'
    assert 'videomt_ros.json' in caplog.messages[0] and 'going on without' in caplog.messages[0]
    hub.down = None
    hub.files['me/mine'] = ('config.json', 'model.safetensors', 'videomt_ros.json')
    assert (registry.fetch_hub('me/mine') / 'videomt_ros.json').is_file()


def test_a_foreign_repository_that_is_nowhere_is_told_in_one_line(hub):
    hub.down = LocalEntryNotFoundError('offline')
    with pytest.raises(CheckpointError, match=r'^me/mine is not on this machine[^\n]+name that$'):
        registry.fetch_hub('me/mine')


def test_the_layout_of_the_real_cache_is_understood_and_the_real_client_can_fail(
        tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    entry = find('videomt-l-vipseg')
    with pytest.raises(CheckpointError, match='huggingface.co cannot be reached'):
        registry.fetch(entry)
    with pytest.raises(CheckpointError, match='huggingface.co cannot be reached'):
        registry.fetch_hub('me/mine')
    repository = tmp_path / 'hub' / ('models--' + PORT.replace('/', '--'))
    snapshot = repository / 'snapshots' / ('0' * 40)
    (repository / 'refs').mkdir(parents=True)
    (repository / 'refs' / 'main').write_text('0' * 40)
    snapshot.mkdir(parents=True)
    (snapshot / 'model.safetensors').write_text('')
    assert registry.cached(entry) is None
    (snapshot / 'config.json').write_text('{}')
    assert registry.cached(entry) == registry.fetch(entry) == snapshot
