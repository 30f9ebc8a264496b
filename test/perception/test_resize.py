"""Sizes as detectron2 and Hugging Face choose them, pixels as PIL makes them, and the way back."""

import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional
from videomt_ros.network import Preprocessing
from videomt_ros.perception.resize import check_frame, Resizer, short_side_size

CPU = torch.device('cpu')


@pytest.fixture
def photo():
    """Give a picture with smooth parts, edges and noise."""
    rng = np.random.default_rng(0)

    def make(height, width):
        y, x = np.mgrid[:height, :width]
        smooth = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
        smooth[height // 4:height // 2, width // 3:width // 2] = (250, 20, 0)
        return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    return make


@pytest.mark.parametrize('source, size, resized, padded', [
    ((720, 1280), 448, (448, 796), (448, 800)),
    ((720, 1280), 480, (480, 853), (480, 864)),
    ((720, 1280), 544, (544, 967), (544, 992)),
    ((720, 1280), 720, (720, 1280), (736, 1280)),
    ((480, 640), 448, (448, 597), (448, 608)),
    ((480, 640), 480, (480, 640), (480, 640)),
    ((641, 359), 448, (800, 448), (800, 448)),
    ((500, 2000), 448, (333, 1333), (352, 1344)),
    ((2000, 500), 448, (1333, 333), (1344, 352)),
])
def test_short_side_is_what_the_paper_evaluates(source, size, resized, padded):
    geometry = Resizer(Preprocessing(size=size), patch_size=16).geometry(*source)
    assert geometry.source == source
    assert geometry.resized == resized
    assert geometry.padded == padded
    assert not geometry.one_step


def test_a_sliver_keeps_a_pixel():
    assert short_side_size((1, 9000), 448, 1333) == (1, 1333)


def test_square_stretches():
    geometry = Resizer(Preprocessing('square', size=640), patch_size=16).geometry(480, 641)
    assert geometry.resized == geometry.padded == (640, 640)
    assert geometry.one_step


def test_padding_suits_the_patch_size_too():
    geometry = Resizer(Preprocessing(size=448), patch_size=14).geometry(480, 640)
    assert all(side % 32 == 0 and side % 14 == 0 for side in geometry.padded)


def test_a_square_that_does_not_suit_the_patches_is_refused():
    with pytest.raises(ValueError, match='multiple of its patch size 14'):
        Resizer(Preprocessing('square', size=640), patch_size=14)


@pytest.mark.parametrize('source, record', [
    ((720, 1280), Preprocessing(size=448)),
    ((720, 1280), Preprocessing('square', size=640)),
    ((240, 320), Preprocessing(size=448)),
    ((641, 359), Preprocessing(size=160)),
])
def test_pixels_differ_from_pil_by_one_level_at_most(photo, source, record):
    image = pytest.importorskip('PIL.Image')
    frame = photo(*source)
    resizer = Resizer(record, patch_size=16)
    height, width = resizer.geometry(*source).resized
    wanted = np.asarray(
        image.fromarray(frame).resize((width, height), image.Resampling.BILINEAR), dtype=float)
    pixels = resizer.prepare(frame, CPU)[:, :height, :width].permute(1, 2, 0).numpy()
    levels = pixels * np.array(record.std) + np.array(record.mean)
    assert np.abs(levels - wanted).max() < 1.01
    assert (np.abs(levels - wanted) > 0.01).mean() < 0.02


def test_square_pixels_are_those_of_transformers_own_processor(photo):
    pytest.importorskip('torchvision')
    from transformers.models.videomt.video_processing_videomt import VideomtVideoProcessor
    frame = photo(240, 321)
    record = Preprocessing('square', size=160)
    theirs = VideomtVideoProcessor(size={'height': 160, 'width': 160})(
        [[frame]], return_tensors='pt').pixel_values_videos[0, 0]
    ours = Resizer(record, patch_size=16).prepare(frame, CPU)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_padding_is_zero_after_normalisation(photo):
    resizer = Resizer(Preprocessing(size=64), patch_size=16)
    geometry = resizer.geometry(50, 70)
    assert geometry.resized == (64, 90) and geometry.padded == (64, 96)
    pixels = resizer.prepare(photo(50, 70), CPU)
    assert pixels.shape == (3, 64, 96)
    assert (pixels[..., 90:] == 0).all()
    assert (pixels[..., :90] != 0).float().mean() > 0.95


def test_a_frame_of_the_right_size_is_only_normalised(photo):
    record = Preprocessing(size=64, multiple=16)
    frame = photo(64, 80)
    pixels = Resizer(record, patch_size=16).prepare(frame, CPU)
    wanted = (frame - np.array(record.mean)) / np.array(record.std)
    np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), wanted, atol=1e-5)


def test_read_only_flipped_and_strided_frames_are_taken_as_they_are(photo):
    resizer = Resizer(Preprocessing(size=64), patch_size=16)
    frame = photo(50, 70)
    wanted = resizer.prepare(frame, CPU)
    read_only = np.frombuffer(frame.tobytes(), dtype=np.uint8).reshape(frame.shape)
    padded_rows = np.zeros((50, 80, 3), dtype=np.uint8)
    padded_rows[:, :70] = frame
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for same in (read_only, frame[..., ::-1].copy()[..., ::-1], padded_rows[:, :70]):
            assert torch.equal(resizer.prepare(same, CPU), wanted)
    assert read_only.tobytes() == frame.tobytes()


def test_masks_come_back_in_two_steps_for_the_paper_and_one_for_hugging_face():
    masks = torch.randn(3, 16, 24)
    paper = Resizer(Preprocessing(size=64), patch_size=16).geometry(50, 70)
    padded = functional.interpolate(masks[None], size=(64, 96), mode='bilinear')
    wanted = functional.interpolate(padded[..., :64, :90], size=(50, 70), mode='bilinear')[0]
    assert torch.equal(paper.masks_to_source(masks), wanted)
    square = Resizer(Preprocessing('square', size=64), patch_size=16).geometry(50, 70)
    wanted = functional.interpolate(masks[None], size=(50, 70), mode='bilinear')[0]
    assert torch.equal(square.masks_to_source(masks), wanted)


def test_frame_part_leaves_the_padding_out():
    geometry = Resizer(Preprocessing(size=64), patch_size=16).geometry(50, 70)
    assert geometry.frame_part((16, 24)) == (slice(16), slice(23))  # 90 of 96 pixels


@pytest.mark.parametrize('bad, said', [
    (np.zeros((4, 4, 3), dtype=np.float32), 'float32'),
    (np.zeros((4, 4), dtype=np.uint8), r'shape \(4, 4\)'),
    (np.zeros((4, 4, 4), dtype=np.uint8), r'shape \(4, 4, 4\)'),
    (np.zeros((0, 4, 3), dtype=np.uint8), 'at least one pixel'),
    ([[0]], 'list'),
])
def test_what_is_no_picture_is_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        check_frame(bad)
