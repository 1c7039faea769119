"""Train the two compositions of this study in a plain PyTorch loop, with torch, timm, smp and rasterio alone.

Of ours it takes the UPerNet decoder and the neck before it, which no other library has.

    python experiments/plain_loop/plain_loop.py ROOT --model resnet18_unet --seeds 0 1 2

ROOT is the folder of the chip's rasters. A row per seed goes to standard output, and to the end of a table with --csv.
README.md says what is compared and found.
"""

import argparse
import copy
import csv
import sys
import time
from collections.abc import Sequence
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
MODELS = ("resnet18_unet", "vit_tiny_upernet")
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


def shuffled(images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the tiles as batches in random order, each tile turned by one of the eight symmetries of a square."""
    turned, truths = [], []
    for number in torch.randperm(len(images)).tolist():
        turns, flip = int(torch.randint(4, ())), bool(torch.randint(2, ()))
        image, truth = (torch.rot90(each[number], turns, (-2, -1)) for each in (images, labels))
        turned.append(image.flip(-1) if flip else image)
        truths.append(truth.flip(-1) if flip else truth)
    return list(zip(torch.stack(turned).split(BATCH), torch.stack(truths).split(BATCH), strict=True))


def unet(
    encoder: str = "tu-resnet18",
    bands: int = 13,
    classes: int = 2,
    channels: Sequence[int] = (256, 128, 64, 32, 16),
    kernel_size: int = 3,
    torch_start: Sequence[str] = (),
) -> nn.Module:
    """Return smp's Unet as it comes. The arguments take away one by one what ours lacked: see README.md.

    torch_start: those of `decoder` and `segmentation_head` whose convolutions begin as torch's layers do.
    """
    model = smp.Unet(encoder, encoder_weights=None, in_channels=bands, classes=classes, decoder_channels=list(channels))
    if kernel_size != 3:
        model.segmentation_head[0] = nn.Conv2d(channels[-1], classes, kernel_size, padding=kernel_size // 2)
        model.initialize()
    for part in torch_start:
        for module in getattr(model, part).modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
    return model


class VitUperNet(nn.Module):
    """timm's ViT, four of its layers as a pyramid, UPerNet and a 1 x 1 convolution, enlarged to the image."""

    def __init__(
        self,
        name: str = "vit_tiny_patch16_224",
        bands: int = 13,
        classes: int = 2,
        image_px: int = TILE_PX,
        layers: Sequence[int] = (2, 5, 8, 11),
        channels: int = 64,
    ) -> None:
        super().__init__()
        from geocompose.decoders.upernet import UperNetDecoder
        from geocompose.necks.pyramid import LearnedInterpolateToPyramidal

        self.encoder = timm.create_model(
            name, features_only=True, in_chans=bands, img_size=image_px, out_indices=list(layers)
        )
        widths = self.encoder.feature_info.channels()
        self.neck = LearnedInterpolateToPyramidal(widths)
        self.decoder = UperNetDecoder(self.neck.process_channel_list(widths), channels)
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, classes, H, W)."""
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


def step(model: nn.Module, batch: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer, clip: float | None) -> float:
    """Take one step down the gradient and return the batch's loss before it."""
    images, labels = batch
    loss = F.cross_entropy(model(images), labels, ignore_index=IGNORED)
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.item()


def optimization(
    model: nn.Module, lr: float, epochs: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW, and half a cosine over the epochs."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)


def train(
    model: nn.Module, image: np.ndarray, labels: np.ndarray, *, lr: float, epochs: int, clip: float | None
) -> dict[str, float]:
    """Train, keep the epoch with the best validation score, and return its scores."""
    split = {name: tiles(image, labels, name) for name in SPLITS}
    optimizer, schedule = optimization(model, lr, epochs)
    best, best_epoch, kept = -1.0, 0, {}
    for epoch in range(epochs):
        model.train()
        for batch in shuffled(*split["train"]):
            step(model, batch, optimizer, clip)
        schedule.step()
        score = mean_iou(model, *split["val"])
        if score > best:
            best, best_epoch, kept = score, epoch, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return {"val_mIoU": best, "test_mIoU": mean_iou(model, *split["test"]), "best_epoch": best_epoch}


def main() -> None:
    """Train each seed and write a row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--model", choices=MODELS, default="resnet18_unet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument(
        "--encoder", default="tu-resnet18", help="of resnet18_unet: tu-resnet18 is timm's, resnet18 smp's"
    )
    parser.add_argument(
        "--torch-start", nargs="*", choices=("decoder", "segmentation_head"), default=[],
        help="parts that begin as torch's layers do",
    )  # fmt: skip
    parser.add_argument("--kernel-size", type=int, default=3, help="of the head's convolution")
    parser.add_argument("--clip", type=float, default=1.0, help="greatest norm of the gradient; 0: not clipped")
    parser.add_argument("--variant", default="", help="a word for the table")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    image, labels = read(given.root)
    for seed in given.seeds:
        torch.manual_seed(seed)
        if given.model == "resnet18_unet":
            model = unet(given.encoder, kernel_size=given.kernel_size, torch_start=given.torch_start)
        else:
            model = VitUperNet()
        began = time.perf_counter()
        scores = train(model, image, labels, lr=given.lr, epochs=given.epochs, clip=given.clip or None)
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
