"""Train the two compositions of this study in a plain PyTorch loop: torch, timm, smp, rasterio, and nothing of ours but the
UPerNet decoder and the neck before it, which no other library has.

    python experiments/plain_loop/plain_loop.py ROOT --model resnet18_unet --seeds 0 1 2

ROOT is the folder of the chip's rasters. A row per seed goes to standard output, and to the end of a table with --csv.
README.md says what is compared and found.
"""

import argparse
import copy
import csv
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHIP = "Spain_7370579"
SPLITS = {"train": (0, 320), "val": (320, 384), "test": (384, 512)}  # columns
TILE_PX, BATCH, IGNORED = 64, 8, -1
SETTINGS = {"resnet18_unet": {"lr": 1e-3}, "vit_tiny_upernet": {"lr": 1e-3}}
COLUMNS = ("loop", "model", "variant", "seed", "val_mIoU", "test_mIoU", "best_epoch", "seconds")


def read(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the image (13, 512, 512), normalised by the training columns, and the labels (512, 512)."""
    with rasterio.open(root / f"{CHIP}_S2Hand.tif") as file:
        image = file.read().astype(np.float32)
    with rasterio.open(root / f"{CHIP}_LabelHand.tif") as file:
        labels = file.read(1).astype(np.int64)
    start, stop = SPLITS["train"]
    train = image[:, :, start:stop].reshape(len(image), -1).astype(np.float64)
    mean, std = train.mean(axis=1).astype(np.float32), train.std(axis=1).astype(np.float32)
    return (image - mean[:, None, None]) / std[:, None, None], labels


def tiles(image: np.ndarray, labels: np.ndarray, split: str) -> tuple[Tensor, Tensor]:
    """Return the split's tiles, side by side: images (N, 13, 64, 64) and labels (N, 64, 64)."""
    start, stop = SPLITS[split]
    corners = [(row, column) for row in range(0, 512, TILE_PX) for column in range(start, stop, TILE_PX)]
    windows = [np.s_[..., row : row + TILE_PX, column : column + TILE_PX] for row, column in corners]
    return (
        torch.from_numpy(np.stack([image[window] for window in windows])),
        torch.from_numpy(np.stack([labels[window] for window in windows])),
    )


def epoch_of_crops(image: Tensor, labels: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Return batches of crops, drawn anywhere in the training columns and turned by one of the eight symmetries."""
    start, stop = SPLITS["train"]
    images, truths = [], []
    for _ in range(count):
        row = int(torch.randint(512 - TILE_PX + 1, ()))
        column = start + int(torch.randint(stop - start - TILE_PX + 1, ()))
        window = np.s_[..., row : row + TILE_PX, column : column + TILE_PX]
        turns, flip = int(torch.randint(4, ())), bool(torch.randint(2, ()))
        crop, truth = torch.rot90(image[window], turns, (-2, -1)), torch.rot90(labels[window], turns, (-2, -1))
        images.append(crop.flip(-1) if flip else crop)
        truths.append(truth.flip(-1) if flip else truth)
    return list(zip(torch.stack(images).split(BATCH), torch.stack(truths).split(BATCH), strict=True))


def resnet18_unet(*, encoder: str = "tu-resnet18", smp_start: bool = True, kernel_size: int = 3) -> nn.Module:
    """Return smp's Unet as it comes; the arguments take away what ours lacked."""
    model = smp.Unet(encoder, encoder_weights=None, in_channels=13, classes=2)
    if kernel_size != 3:
        model.segmentation_head[0] = nn.Conv2d(16, 2, kernel_size, padding=kernel_size // 2)
        model.initialize()
    if not smp_start:
        for part in (model.decoder, model.segmentation_head):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
    return model


class VitUperNet(nn.Module):
    """timm's ViT, four of its layers as a pyramid, UPerNet and a 1 x 1 convolution, enlarged to the image."""

    def __init__(self) -> None:
        super().__init__()
        from geocompose.decoders.upernet import UperNetDecoder
        from geocompose.necks.pyramid import LearnedInterpolateToPyramidal

        self.encoder = timm.create_model(
            "vit_tiny_patch16_224", features_only=True, in_chans=13, img_size=TILE_PX, out_indices=[2, 5, 8, 11]
        )
        self.neck = LearnedInterpolateToPyramidal([192] * 4)
        self.decoder = UperNetDecoder(self.neck.process_channel_list([192] * 4))
        self.head = nn.Conv2d(256, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        logits = self.head(self.decoder(self.neck(self.encoder(image))))
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


def mean_iou(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the mean over both classes of intersection over union, all tiles' pixels pooled."""
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in images.split(BATCH)])
    known = labels != IGNORED
    found, truth = found[known], labels[known]
    shares = []
    for number in (0, 1):
        both, either = (found == number) & (truth == number), (found == number) | (truth == number)
        shares.append(both.sum().item() / either.sum().item())
    return sum(shares) / len(shares)


def train(
    model: nn.Module, image: np.ndarray, labels: np.ndarray, *, lr: float, epochs: int, clip: float | None
) -> dict[str, float]:
    """Train with AdamW along half a cosine, keep the epoch with the best validation score, and return its scores."""
    held_out = {split: tiles(image, labels, split) for split in ("val", "test")}
    count = len(tiles(image, labels, "train")[0])
    whole, truth = torch.from_numpy(image), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    best, best_epoch, kept = -1.0, 0, {}
    for epoch in range(epochs):
        model.train()
        for batch, classes in epoch_of_crops(whole, truth, count):
            loss = F.cross_entropy(model(batch), classes, ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        schedule.step()
        score = mean_iou(model, *held_out["val"])
        if score > best:
            best, best_epoch, kept = score, epoch, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return {"val_mIoU": best, "test_mIoU": mean_iou(model, *held_out["test"]), "best_epoch": best_epoch}


def main() -> None:
    """Train each seed and write a row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--model", choices=SETTINGS, default="resnet18_unet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--encoder", default="tu-resnet18", help="of resnet18_unet: tu-resnet18 is timm's, resnet18 smp's")
    parser.add_argument("--torch-start", action="store_true", help="decoder and head begin as torch's layers do")
    parser.add_argument("--kernel-size", type=int, default=3, help="of the head's convolution")
    parser.add_argument("--clip", type=float, default=1.0, help="greatest norm of the gradient; 0: not clipped")
    parser.add_argument("--variant", default="", help="a word for the table")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    image, labels = read(given.root)
    for seed in given.seeds:
        torch.manual_seed(seed)
        if given.model == "resnet18_unet":
            model = resnet18_unet(
                encoder=given.encoder, smp_start=not given.torch_start, kernel_size=given.kernel_size
            )
        else:
            model = VitUperNet()
        began = time.perf_counter()
        scores = train(model, image, labels, epochs=given.epochs, clip=given.clip or None, **SETTINGS[given.model])
        row = {"loop": "plain", "model": given.model, "variant": given.variant, "seed": seed, **scores}
        row["seconds"] = round(time.perf_counter() - began, 1)
        shown = {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
        write(sys.stdout, [shown], header=False)
        if given.csv is not None:
            new = not given.csv.exists()
            with given.csv.open("a", newline="") as file:
                write(file, [shown], header=new)


def write(file, rows, *, header: bool) -> None:
    """Write rows of the table."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    file.flush()


if __name__ == "__main__":
    main()
