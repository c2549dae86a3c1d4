"""The settings of a training run. `TrainConfig` is written to the run's `config.yaml`.

Every setting and its default stand once, in a frozen dataclass: those of the network in `network_settings.py`, those
of exports and the server in `usage_settings.py`. No framework is imported, so that a command line is parsed in
milliseconds. The `Attributes:` of each class are also the help texts of the command-line flags made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from keras_retinanet.config.names import (
    BadDataPolicy,
    DifficultRule,
    ExifRule,
    MetricName,
    MixedPrecision,
    NonFinitePolicy,
    OptimizerName,
    PersonBox,
    RecipeName,
    ScheduleName,
    VocOrigin,
    Winograd,
    YoloRows,
)
from keras_retinanet.config.network_settings import NetworkConfig

AUTO = 0
"""`batch_size` and `accumulate`: what memory allows."""
DEMO_PATH = "./demo-scenes"
"""Default folder of the `demo` data set."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are fed.

    Attributes:
        dataset: Format of the data: a key of `data.datasets.DATASETS`.
        path: Folder of the data (tfds: its name); for CSV, see `annotations`.
        train_set: Name of the split to train on. Defaults to the format's own.
        val_set: Name of the split to evaluate on. Defaults to the format's own.
        more_data: Further data sets as FORMAT:PATH, joined to the first by class name.
        keep_classes: Use only these classes, in this order.
        map_class: Rename classes, as OLD=NEW; several old names may become one class.
        val_share: Share of the training images to set aside for validation, if the data set has no validation images.
        val_fold: Divide the training images into N folds and validate on one of them, as I/N, the first is 1/N;
            validation images of the data set are not used.
        val_seed: Seed of the choice of these images.
        annotations: CSV file with the training annotations.
        classes: File with the class names: CSV lines of name and id, or the label map of TFRecords.
        val_annotations: CSV file with the validation annotations.
        labels_filter: Open Images: only these classes, in this order.
        parent_label: Open Images: only this class and those below it in the hierarchy.
        difficult: Pascal VOC, DOTA: treat difficult objects as ignore regions, keep them as ordinary ones, or drop.
        image_dir: Folder of the images, if they are not in one of the usual places.
        class_attribute: VIA: region attribute that holds the class, if regions have several.
        voc_origin: Pascal VOC: number of the first pixel; auto decides by the coordinates of the whole data set.
        yolo_rows: YOLO: read rows of more than six numbers as polygons or as boxes with keypoints; auto decides by the
            data set.
        person_box: CrowdHuman: boxes of the whole person, of its visible part, or of the head.
        exif: Turn images upright by their EXIF orientation, or leave them as stored; auto decides by sizes and boxes.
        bit_depth: Bits of the values in 16-bit images. Defaults to what a sample of the files has.
        bad_data: Boxes outside their image or without area, and images that cannot be decoded: stop, or report them
            and continue.
        use_index_cache: Cache the parsed annotations of a large data set until the files change.
        limit: Use only the first N training images.
        workers: Threads that read and decode images. Defaults to the number of cores.
        use_cache: Keep the decoded images in memory.
        augment: Random changes of training images: a preset (none, flip, flips, fizyr, multi_scale, strong,
            large_jitter, aerial, mosaic, copy_paste, heavy), a function of your own as MODULE:FUNCTION, or several,
            with commas.
        close_mosaic: Do not combine images (mosaic, mixup, copy_paste) in the last N epochs.
        repeat_threshold: Use images of rare classes more often: of classes that less than this share of the images
            show, as in LVIS. 0 turns it off.
    """

    dataset: str = "coco"
    path: str = ""
    train_set: str | None = None
    val_set: str | None = None
    more_data: tuple[str, ...] | None = None
    keep_classes: tuple[str, ...] | None = None
    map_class: tuple[str, ...] | None = None
    val_share: float = 0.0
    val_fold: str | None = None
    val_seed: int = 0
    annotations: str | None = None
    classes: str | None = None
    val_annotations: str | None = None
    labels_filter: tuple[str, ...] | None = None
    parent_label: str | None = None
    difficult: DifficultRule = "ignore"
    image_dir: str | None = None
    class_attribute: str | None = None
    voc_origin: VocOrigin = "auto"
    yolo_rows: YoloRows = "auto"
    person_box: PersonBox = "fbox"
    exif: ExifRule = "auto"
    bit_depth: int | None = None
    bad_data: BadDataPolicy = "skip"
    use_index_cache: bool = True
    limit: int | None = None
    workers: int | None = None
    use_cache: bool = False
    augment: str = "flip"
    close_mosaic: int = 0
    repeat_threshold: float = 0.0

    @property
    def divides_training_images(self) -> bool:
        """Whether the validation images are a part of the training images."""
        return self.val_share > 0 or self.val_fold is not None


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and schedule (paper §4.1: SGD, momentum 0.9, 0.01 for 16 images, decay 1e-4, ÷10 at 2/3 and 8/9).

    Attributes:
        optimizer: SGD with momentum as in the paper, Adam, AdamW, or Muon, which learned faster than AdamW from random
            weights (docs/training.md).
        learning_rate: Peak learning rate. Defaults to 0.01 (adam, adamw: 0.0001, muon: 0.001) for 16 images, scaled
            with the batch.
        schedule: Decay after the warm-up: divide by 10 at 2/3 and 8/9 of the run, half a cosine over the whole run or
            over its last part (flat_cosine), or none.
        warmup_steps: Steps of linear warm-up. Defaults to 500, but at most a tenth of the run.
        weight_decay: Weight decay, applied to kernels only. Defaults to 0.0001 (sgd), 0 (adam), 0.05 (adamw, muon).
        clip_norm: Largest norm of the whole gradient; 0 turns clipping off.
        momentum: Momentum of SGD.
        backbone_rate: Factor on the learning rate of the backbone.
        layer_decay: Further factor for each stage of the backbone below C5: C4 has it once, C3 twice.
        ema_decay: Average the weights exponentially with this decay; evaluations and snapshots use the average. 0 turns
            it off; usual is 0.999.
        swa_epochs: Average the weights at the ends of the last N epochs; evaluations and snapshots use the average.
        use_muon_in_backbone: With Muon: also update the kernels of the backbone by Muon, not by AdamW. In a pretrained
            backbone AdamW is better and much faster.
        flat_share: Part of the run before flat_cosine begins to fall.
    """

    optimizer: OptimizerName = "sgd"
    learning_rate: float | None = None
    schedule: ScheduleName = "step"
    warmup_steps: int | None = None
    weight_decay: float | None = None
    clip_norm: float = 10.0
    momentum: float = 0.9
    backbone_rate: float = 1.0
    layer_decay: float = 1.0
    ema_decay: float = 0.0
    swa_epochs: int = 0
    use_muon_in_backbone: bool = True
    flat_share: float = 0.5


@dataclass(frozen=True)
class TrainConfig(NetworkConfig):
    """One training run: the settings of the network, and how it is trained.

    Attributes:
        recipe: Settings that belong together, filled in where nothing else sets them: those of the paper, of
            fizyr/keras-retinanet, or modern ones, which depend on the data and the machine.
        time: Fit the number of epochs to a time such as 30m or 1h30m, measured over the first steps.
        data: Which images, and how they are fed.
        optimizer: Optimizer and schedule.
        batch_size: Images per step; auto takes the most that fit into memory, at most 64.
        epochs: Passes over the training images.
        steps: Steps per epoch. Defaults to one pass over all images.
        seed: Seed of everything random: new weights, order and augmentation of the images.
        mixed_precision: Compute convolutions in half precision; boxes and losses are always float32.
        freeze_backbone: Do not train the backbone.
        freeze_stages: Do not train the first stages of the backbone: 1 is the stem, N all maps of strides up to 2 ** N.
        unfreeze_at: Train the backbone only after this many epochs.
        snapshot_path: Folder in which each run creates its own folder.
        tensorboard_dir: Also write TensorBoard logs here: figures, numbers of each class, and pictures of what is fed
            and found.
        wandb: Also log the run to this project of Weights & Biases.
        mlflow: Also log the run to this experiment of MLflow.
        use_evaluation: Evaluate on the validation split.
        evaluate_every: Epochs between two evaluations; the last epoch is always evaluated.
        metric: Metric of these evaluations; best.keras holds the weights that are best by its first number, such as
            AP (coco), mAP at IoU 0.5 (voc) or oLRP (lrp).
        monitor: Number by which best.keras is chosen in place of the metric's first: AP75, AP/cat (of a class) or
            lrp.oLRP (of another metric).
        patience: Evaluations in a row without a better value after which the run ends. Defaults to no limit.
        report: File of the report, or none. Defaults to report.html in the run's folder.
        save_every: Also save inside an epoch, every 5m of time or every 500 steps. Defaults to the ends of epochs.
        keep: Snapshots to keep, the newest, last.keras included.
        on_nan: What follows a loss that is not finite: stop the run, skip the batch, or restore the last snapshot and
            continue at half the learning rate.
        nan_limit: Losses that are not finite after which skip and restore end the run.
        accumulate: Compute each step in this number of parts, one after the other, and sum their gradients: less memory
            for the same batch. auto takes the fewest that fit.
        devices: Devices that train together, each on its part of every batch: all, a number, or names with commas
            (GPU:0,GPU:1). Defaults to the first.
        gpu_growth: Take GPU memory as it is needed, and not all of it at the start (TensorFlow).
        winograd: On a CPU, compute large 3x3 convolutions in float32 by Winograd's algorithm, with a quarter of the
            multiplications: off, or auto where it is faster (TensorFlow).
    """

    recipe: RecipeName = "paper"
    time: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 2
    epochs: int = 12
    steps: int | None = None
    seed: int = 0
    mixed_precision: MixedPrecision = "none"
    freeze_backbone: bool = False
    freeze_stages: int = 0
    unfreeze_at: int = 0
    snapshot_path: str = "./snapshots"
    tensorboard_dir: str | None = None
    wandb: str | None = None
    mlflow: str | None = None
    use_evaluation: bool = True
    evaluate_every: int = 1
    metric: MetricName = "coco"
    monitor: str | None = None
    patience: int | None = None
    report: str | None = None
    save_every: str | None = None
    keep: int = 1
    on_nan: NonFinitePolicy = "stop"
    nan_limit: int = 5
    accumulate: int = 1
    devices: str | None = None
    gpu_growth: bool = True
    winograd: Winograd = "off"

    @property
    def network(self) -> NetworkConfig:
        """The settings that the network is built from."""
        names = (group.name for group in fields(NetworkConfig))
        return NetworkConfig(**{name: getattr(self, name) for name in names})
