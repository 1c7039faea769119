"""Lightning data modules as a user has them: numbered samples of {image, mask or label}, and nothing of ours."""

MODULE = '''
import lightning
import torch
from torch.utils.data import DataLoader, Dataset, Subset

BANDS = ("BLUE", "GREEN", "RED")


class Chips(Dataset):
    """Made-up chips whose label follows from their pixels: bright ones are of class 1."""

    bands = BANDS
    classes = ["dark", "bright"]

    def __init__(self, number, seed, kind, size=32, odd=None):
        self.number, self.seed, self.kind, self.size, self.odd = number, seed, kind, size, odd

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        draw = torch.Generator().manual_seed(1000 * self.seed + index)
        size = self.size + (8 if self.odd == index else 0)
        image = torch.rand(3, size, size, generator=draw) + index % 2
        mean = image.mean(dim=0)
        return {"image": image, **{
            "segmentation": {"mask": (mean > 1).long()},
            "regression": {"mask": mean},
            "classification": {"label": torch.tensor(index % 2)},
            "multilabel": {"label": torch.tensor([1 - index % 2, index % 2])},
            "scalar_regression": {"label": image.mean()},
            "both": {"mask": (mean > 1).long(), "label": torch.tensor(index % 2)},
            "nothing": {},
        }[self.kind]}


class Chipped(lightning.LightningDataModule):
    """Has its data sets as attributes, as TorchGeo's modules do."""

    def __init__(self, root, kind="segmentation", number=12, odd=None):
        super().__init__()
        self.root, self.kind, self.number, self.odd = root, kind, number, odd

    def setup(self, stage):
        if stage == "fit":
            self.train_dataset = Chips(self.number, 1, self.kind, odd=self.odd)
            self.val_dataset = Chips(4, 2, self.kind)
        if stage == "test":
            self.test_dataset = Chips(4, 3, self.kind)


class Loaded(lightning.LightningDataModule):
    """Has loaders alone, of parts of one data set."""

    def __init__(self, kind: str = "segmentation", without_test: bool = False):
        super().__init__()
        self.chips, self.without_test = Chips(20, 4, kind), without_test

    def train_dataloader(self):
        return DataLoader(Subset(self.chips, range(12)))

    def val_dataloader(self):
        return DataLoader(Subset(self.chips, range(12, 16)))

    def test_dataloader(self):
        if self.without_test:
            raise NotImplementedError("there is no test data")
        return DataLoader(Subset(self.chips, range(16, 20)))


class Missing(lightning.LightningDataModule):
    def setup(self, stage):
        raise FileNotFoundError("chips.zip is not there\\nand more lines")
'''
