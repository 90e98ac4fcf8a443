"""The catalogue of failure reasons: what a condition, a failed client or an event may name.

Each has a page, docs/reference/reasons/<Reason>.md: what it means, its likely cause, what to do.
A test requires a page for every reason, and a reason for every page. docs/contributing/layout.md
says for each which module decides it.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something failed or was warned of, in PascalCase as Kubernetes writes reasons.

    Attributes:
        summary: One line for a person.
    """

    summary: str

    def __new__(cls, value: str, summary: str) -> Reason:
        """Makes a text with a summary."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.summary = summary
        return reason

    @property
    def page(self) -> str:
        """Where its page is, from the repository's root."""
        return f"docs/reference/reasons/{self.value}.md"

    # What was given cannot run
    SPEC_INVALID = "SpecInvalid", "The resource breaks a rule of its schema."
    SOURCE_INVALID = "SourceInvalid", "model_def.py cannot be used."
    MODEL_INVALID = "ModelInvalid", "The model class cannot be instantiated."
    TRAIN_FUNCTION_INVALID = (
        "TrainFunctionInvalid",
        "The training function cannot be called with what fedjob passes.",
    )
    COMPONENT_INVALID = "ComponentInvalid", "One of the user's own components cannot be loaded."
    CHECKPOINT_INVALID = "CheckpointInvalid", "The initial weights cannot be read as weights."
    SHARDS_MISSING = "ShardsMissing", "No shard was found where the job looks for its data."
    UPLOAD_TOO_LARGE = "UploadTooLarge", "The files to upload are larger than the operator allows."
    UPLOAD_EXPIRED = "UploadExpired", "The files did not arrive in the days that an upload has."
    MANIFEST_MISSING = "ManifestMissing", "A shard has no manifest at its root."
    MANIFEST_INVALID = "ManifestInvalid", "A line of a manifest cannot be used."
    SHARD_UNSAFE = "ShardUnsafe", "A shard's ZIP would write outside its folder or is too large."
    CHECKSUM_MISMATCH = "ChecksumMismatch", "A file is not the one whose checksum is known."
    NUM_CLASSES_TOO_SMALL = "NumClassesTooSmall", "A label is outside the number of classes."
    DATASET_INVALID = "DatasetInvalid", "A worker cannot read its shard as a data set."
    IMAGE_INVALID = "ImageInvalid", "A file of a shard is not an image."
    IMAGE_REFUSED = "ImageRefused", "An image's address or size is not allowed."
    IMAGE_UNAVAILABLE = "ImageUnavailable", "An image cannot be fetched."
    WORKSPACE_ERROR = "WorkspaceError", "The job folder cannot be made or read."
    KIT_INVALID = "KitInvalid", "A worker's startup kit is not its own, not whole or out of date."
    PROBABLE_MISTAKE = (
        "ProbableMistake",
        "Something in the inputs looks like a mistake and does not stop the job (a warning).",
    )

    # The cluster, from a client
    CLUSTER_UNREACHABLE = "ClusterUnreachable", "The API server of the cluster does not answer."

    # The store
    STORE_UNREACHABLE = "StoreUnreachable", "The S3 store does not answer."
    BUCKET_MISSING = "BucketMissing", "The bucket does not exist."
    CREDENTIALS_REFUSED = "CredentialsRefused", "The store refuses the credentials."
    STORE_NOT_ALLOWED = (
        "StoreNotAllowed",
        "The job names a store or objects that its namespace may not use.",
    )
    PREFIX_IN_USE = "PrefixInUse", "The job's prefix in the store belongs to another cluster's job."
    OBJECT_MISSING = "ObjectMissing", "An object that the job needs is not in the store."
    OBJECT_TOO_LARGE = "ObjectTooLarge", "An object in the store has more bytes than is allowed."
    ROUND_LOG_CORRUPT = "RoundLogCorrupt", "The log of committed rounds contradicts itself."
    NO_SPACE = "NoSpace", "The disk is full."

    # The image and the cluster
    IMAGE_BUILD_FAILED = "ImageBuildFailed", "The job's image cannot be built."
    REGISTRY_REFUSED = "RegistryRefused", "The registry refuses the push or the pull."
    REGISTRY_NOT_ALLOWED = (
        "RegistryNotAllowed",
        "The job names a registry, or a repository in it, that its namespace may not use.",
    )
    REGISTRY_UNREACHABLE = "RegistryUnreachable", "The registry does not answer."
    BASE_IMAGE_MISSING = "BaseImageMissing", "The base image does not exist."
    IMAGE_PULL_FAILED = "ImagePullFailed", "A node cannot pull the job's image."
    QUEUED = "Queued", "The job waits in a queue of Kueue."
    UNSCHEDULABLE = "Unschedulable", "No node takes a pod of the job."
    GPU_UNAVAILABLE = "GpuUnavailable", "No node offers the GPUs that the workers ask for."
    GPU_FALLBACK = (
        "GpuFallback",
        "The workers train on CPUs, because no node offers GPUs (a warning).",
    )
    ADMISSION_REFUSED = "AdmissionRefused", "The cluster refuses an object of the job."

    # Training
    TRAINING_FAILED = "TrainingFailed", "The user's training code raised an error."
    TRAINING_TIMEOUT = "TrainingTimeout", "A worker did not answer within roundTimeout."
    OUT_OF_MEMORY = "OutOfMemory", "A worker ran out of memory."
    INVALID_RESULT = (
        "InvalidResult",
        "The training function returned something else than its answer.",
    )
    MISSING_WEIGHTS = "MissingWeights", "The training function gave no weights."
    EMPTY_WEIGHTS = "EmptyWeights", "The answer holds no tensors."
    INVALID_WEIGHTS = "InvalidWeights", "The weights do not fit the model."
    MISSING_TENSOR = "MissingTensor", "A tensor of the model is missing in the weights."
    UNEXPECTED_TENSOR = (
        "UnexpectedTensor",
        "The weights hold something that the model does not have.",
    )
    SHAPE_MISMATCH = "ShapeMismatch", "A tensor has another shape than the model's."
    DTYPE_MISMATCH = "DtypeMismatch", "A tensor's values do not fit the model's dtype."
    NON_FINITE_WEIGHTS = "NonFiniteWeights", "The weights hold NaN or infinity."
    INVALID_SAMPLES = "InvalidSamples", "samples is not a whole number above 0."
    WEIGHTS_NOT_LOADED = (
        "WeightsNotLoaded",
        "A worker seems to train without the global weights (a warning).",
    )
    METRIC_DROPPED = "MetricDropped", "A metric is not a number and was left out (a warning)."
    WRAPPER_PREFIX = (
        "WrapperPrefix",
        "Names of the weights had a wrapper's prefix, which was taken off (a warning).",
    )
    TIED_WEIGHT_FILLED = (
        "TiedWeightFilled",
        "A tied weight was left out and filled in from its twin (a warning).",
    )
    DTYPE_CONVERTED = (
        "DtypeConverted",
        "Floats with whole values were taken for integers (a warning).",
    )
    FILES_NOT_KEPT = (
        "FilesNotKept",
        "Files that the training function left were not kept (a warning).",
    )
    TRAINING_WARNING = "TrainingWarning", "An answer came with a text of the author's (a warning)."
    RESULT_TOO_LARGE = "ResultTooLarge", "A worker's answer is larger than allowed."
    BAD_TASK_DATA = "BadTaskData", "A task came without the weights it needs."

    # The federation
    VERSION_MISMATCH = (
        "VersionMismatch",
        "Server and worker, or operator and image, are of releases that do not fit together.",
    )
    TOO_FEW_WORKERS = "TooFewWorkers", "Fewer workers than minClients are left."
    WORKER_EXITED = "WorkerExited", "A worker's process ended."
    WORKER_LOST = "WorkerLost", "A worker is gone and left no message."
    SERVER_CRASHED = "ServerCrashed", "The server's process ended before the run was over."
    FEDERATION_FAILED = "FederationFailed", "The federation ended again and again without a round."
    AGGREGATION_FAILED = "AggregationFailed", "The answers cannot be averaged."
    AGGREGATION_OVERFLOW = (
        "AggregationOverflow",
        "The mean of finite answers is infinite or not a number.",
    )
    COMPONENT_FAILED = "ComponentFailed", "A component of the author raised an error on the server."
    HANDOVER_INVALID = (
        "HandoverInvalid",
        "The author's code on the server wrote to the files that fedjob hands over there.",
    )
    FENCED = "Fenced", "Another server has taken over."
    INTERRUPTED = "Interrupted", "The run was stopped on request."
    DEADLINE_EXCEEDED = "DeadlineExceeded", "The job ran longer than activeDeadlineSeconds."
    BACKOFF_LIMIT_EXCEEDED = (
        "BackoffLimitExceeded",
        "The server failed more often than backoffLimit allows.",
    )
    INTERNAL_ERROR = "InternalError", "fedjob met an error that it does not know."
