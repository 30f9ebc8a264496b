"""A frame equals Hugging Face's result, a clip's last one the paper's; nothing else is paid."""

import types

import numpy as np
import pytest
import torch
from torch.nn import functional
from videomt_ros.network import NetworkConfig, Preprocessing, QueryState, VideoMT, VideoMTOutput
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.instance import InstanceTask
from videomt_ros.perception.offline import segment_clip
from videomt_ros.perception.resize import Resizer
from videomt_ros.perception.tasks import View
from videomt_ros.perception.tracks import TrackRules

NAMES = ('person', 'dog', 'cup')
# As many instances as there can be: nothing is too doubtful, too small or a duplicate.
OPEN = TrackRules(start_score=0.02, keep_score=0.0, min_area=0, duplicate_overlap=1.0)


def random_answer(seed, queries=12):
    """Give class logits (Q, K+1) and the embeddings and features of smooth random masks."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(queries, len(NAMES) + 1, generator=generator) * 2
    embeddings = torch.randn(queries, 8, generator=generator)
    features = functional.interpolate(
        torch.randn(1, 8, 5, 7, generator=generator), size=(16, 24), mode='bicubic')
    return classes, embeddings, features


def judge(answer, record, source, rules=OPEN):
    """Run the task on one frame; give its instances, the geometry and all mask logits."""
    classes, embeddings, features = answer
    output = VideoMTOutput(classes[None], embeddings[None], features,
                           QueryState(embeddings[None], embeddings))
    geometry = Resizer(record, patch_size=16).geometry(*source)
    task = InstanceTask(NetworkConfig(
        num_queries=len(classes), class_names=NAMES, thing_classes=frozenset()))
    done = task.segment(View(output, 0, classes.numpy(), geometry, None, 0.0), rules)
    return done.instances, geometry, output.mask_logits[0]


def hugging_face(classes, masks, threshold):
    """Score and cut out instances by the formula of ``post_process_instance_segmentation``."""
    scores, labels = classes.softmax(-1)[:, :-1].max(-1)
    positive = masks > 0
    quality = (masks.sigmoid() * positive).flatten(1).sum(1) / (positive.flatten(1).sum(1) + 1e-6)
    scores = scores * quality
    kept = [q for q in range(len(scores)) if positive[q].any() and scores[q] >= threshold]
    return [(labels[q].item(), scores[q].item(), positive[q].numpy()) for q in kept]


SQUARE = (Preprocessing('square', size=64), (53, 71))  # the masks of random_answer are 16 x 24:
PAPER = (Preprocessing(size=64), (50, 70))  # with padding to 64 x 96


@pytest.mark.parametrize('record, source', [SQUARE, PAPER], ids=['square', 'short_side'])
@pytest.mark.parametrize('seed', range(5))
def test_scores_and_masks_of_a_frame_are_hugging_faces(record, source, seed):
    answer = random_answer(seed)
    instances, geometry, logits = judge(answer, record, source)
    wanted = hugging_face(answer[0], geometry.masks_to_source(logits), threshold=0.02)
    assert len(instances) == len(wanted) >= 8
    wanted.sort(key=lambda each: -each[1])
    for ours, (class_id, score, mask) in zip(
            sorted(instances, key=lambda i: -i.score), wanted, strict=True):
        assert ours.class_id == class_id
        assert ours.class_name == NAMES[class_id]
        assert ours.score == pytest.approx(score, abs=1e-5)
        assert (ours.mask != mask).sum() <= 1  # a logit of exactly 0, but for rounding
        assert ours.area == ours.mask.sum()
        rows, columns = np.nonzero(ours.mask)
        assert ours.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_a_frame_equals_transformers_own_function():
    pytest.importorskip('torchvision')
    from transformers.models.videomt.video_processing_videomt import VideomtVideoProcessor
    classes, embeddings, features = random_answer(7)
    record, source = SQUARE
    instances, _, logits = judge((classes, embeddings, features), record, source)
    outputs = types.SimpleNamespace(
        class_queries_logits=classes[None], masks_queries_logits=logits[None])
    theirs = VideomtVideoProcessor().post_process_instance_segmentation(
        outputs, target_sizes=[source], threshold=0.02)[0]
    found = sorted((i.class_id, round(i.score, 4)) for i in instances)
    assert found == sorted(
        (each['label_id'], round(each['score'], 4)) for each in theirs['segments_info'])
    covered = np.any([i.mask for i in instances], axis=0)
    assert (covered != (theirs['segmentation'] >= 0).numpy()).sum() <= 1


def test_the_last_frame_of_a_clip_is_the_papers_offline_result():
    torch.manual_seed(0)
    record = Preprocessing(size=64)
    network = VideoMT(NetworkConfig(
        hidden_size=32, num_layers=2, num_heads=1, mlp_size=64, num_queries=6,
        num_query_blocks=1, grid_size=4, class_names=NAMES, thing_classes=frozenset(),
        preprocessing=record)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    segmenter = VideoSegmenter(
        network, start_score=0.0, keep_score=0.0, min_area=0, duplicate_overlap=1.0,
        move_overlap=1.0, max_lost=99, confirm_frames=1)
    clip = np.random.default_rng(0).integers(0, 256, (6, 50, 70, 3), dtype=np.uint8)
    resizer = Resizer(record, patch_size=16)
    geometry = resizer.geometry(50, 70)
    classes, masks, state = [], [], None
    with torch.inference_mode():
        for frame in clip:
            output = network(resizer.prepare(frame, torch.device('cpu'))[None], state)
            classes.append(output.class_logits[0])
            masks.append(output.mask_logits[0])
            state = output.state
            result = segmenter.process(frame)
    assert [i.track_id for i in result.instances] == list(range(1, len(result.instances) + 1))
    assert {i.age for i in result.instances} == {6}  # every slot was one track throughout
    probabilities = torch.stack(classes).mean(0).softmax(-1)[:, :-1]
    offline = segment_clip(
        torch.stack(classes), torch.stack(masks), 'instance', geometry.padded, geometry.resized,
        geometry.source, top_k=6 * len(NAMES))
    best = {}
    for each in offline:
        best.setdefault(each.query, each)
    kept = [each for each in best.values() if each.masks[-1].any()]
    assert len(result.instances) == len(kept) >= 4
    for theirs in kept:
        ours = min(result.instances, key=lambda i: (i.mask != theirs.masks[-1]).sum())
        assert (ours.mask != theirs.masks[-1]).sum() <= 1
        assert ours.class_id == theirs.class_id
        assert theirs.score == pytest.approx(float(probabilities[theirs.query].max()), abs=1e-6)
        logits = geometry.masks_to_source(masks[-1][[theirs.query]])
        quality = float(logits[logits > 0].sigmoid().mean())
        assert ours.score == pytest.approx(theirs.score * quality, abs=1e-5)


def test_masks_are_made_for_slots_that_pass_and_patches_for_those_that_live(
        scripted, shows, frame, monkeypatch):
    made = []
    from videomt_ros.perception.upsample import MaskUpsampler
    original = MaskUpsampler.patches

    def spy(self, logits):
        made.append(len(logits))
        return original(self, logits)
    monkeypatch.setattr(MaskUpsampler, 'patches', spy)
    here, there = (1, 1, 5, 5), (9, 9, 5, 5)
    network = scripted([{
        3: shows('person', here), 17: shows('dog', there, 0.6), 60: shows('person', here, 0.7),
        90: shows('cup', there, 0.4), 120: shows(None, there), 150: shows('dog', None)}] * 2,
        num_queries=200)
    segmenter = VideoSegmenter(network)
    for _ in range(2):
        assert len(segmenter.process(frame).instances) == 2
    # 60 is a second slot on the person, 90 too doubtful, 120 nothing, 150 has no mask.
    assert network.asked == [[3, 17, 60, 150]] * 2
    assert made == [2, 2]


def test_pixels_are_made_for_what_is_seen_alone(scripted, shows, monkeypatch):
    from videomt_ros.perception.upsample import MaskUpsampler
    original, made = MaskUpsampler._strip, []

    def spy(self, mask, rows, columns):
        made[-1] += (rows.stop - rows.start) * (columns.stop - columns.start)
        return original(self, mask, rows, columns)
    monkeypatch.setattr(MaskUpsampler, '_strip', spy)
    # Of 16 x 16 cells over 1280 x 720 pixels, one is 80 x 45.
    things = {4: shows('dog', (2, 6, 2, 3)), 17: shows('person', (7, 6, 2, 3)),
              160: shows('dog', (12, 6, 2, 3))}
    script = [{}, *(dict(list(things.items())[:count]) for count in (1, 2, 3, 0))]
    segmenter = VideoSegmenter(
        scripted(script, num_queries=200, square=True), confirm_frames=1)
    seen = []
    for _ in script:
        made.append(0)
        result = segmenter.process(np.zeros((720, 1280, 3), np.uint8))
        seen.append(sum(instance.area > 0 for instance in result.instances))
    assert seen == [0, 1, 2, 3, 0] and len(result.instances) == 3  # the lost ones wait
    one = made[1]
    assert made == [0, one, 2 * one, 3 * one, 0]
    assert 2 * 3 * 80 * 45 <= one <= 4 * 5 * 80 * 45


def test_an_empty_room_costs_no_mask(scripted, frame):
    network = scripted([])
    assert VideoSegmenter(network).process(frame).instances == ()
    assert network.asked == []


def test_masks_that_are_not_numbers_are_an_error(scripted, shows, frame):
    classes, mask = shows('person', (1, 1, 5, 5))
    segmenter = VideoSegmenter(scripted([{0: (classes, mask * float('nan'))}]))
    with pytest.raises(FloatingPointError, match='mask logits'):
        segmenter.process(frame)
