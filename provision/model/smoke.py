"""What the worker is asked, what it answers, and what is concluded from the answer.

The worker runs in a stack's interpreter and knows none of these classes: the two sides share the JSON only,
`SCHEMA` is its version, and `tests/smoke` holds both to it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.failure import Cause

SCHEMA = 1

# What people and configuration files call a torch dtype.
SHORT_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


class PageRequest(Struct, frozen=True, kw_only=True):
    """One page to read: `lines` are drawn on the character grid by the worker, at run time.

    `image_path` names a picture to read instead; `lines` then only say what it shows.
    """

    name: str
    lines: tuple[str, ...]
    image_path: str | None = None


class JobRequest(Struct, frozen=True, kw_only=True):
    """One model to load and the pages that it reads, one after the other.

    `device` is a torch device such as `cpu` or `cuda:0`; `dtype` a torch dtype name; `attention` the
    `attn_implementation` asked for. `time_limit_s` covers loading and all pages.
    """

    model: str
    family: str
    model_dir: str
    device: str
    dtype: str
    attention: str
    prompt: str
    max_new_tokens: int
    trust_remote_code: bool
    time_limit_s: float
    pages: tuple[PageRequest, ...]


class WorkerRequest(Struct, frozen=True, kw_only=True):
    """All jobs of one stack. `threads` is what torch may use on the CPU; None leaves torch's own choice."""

    schema: int = SCHEMA
    threads: int | None = None
    jobs: tuple[JobRequest, ...]


class JobOutcome(StrEnum):
    """How a job ended: it ran, raised, its process died by a signal or exit code, or time ran out."""

    RAN = "ran"
    ERROR = "error"
    CRASHED = "crashed"
    TIMEOUT = "timeout"


class WorkerFault(Struct, frozen=True, kw_only=True):
    """What went wrong: class name and message of an exception, and the last lines of its traceback.

    A process that died or was stopped has no exception: `type` is then its signal, "exit" or "timeout". `log`
    is the end of what the process wrote to stdout and stderr.
    """

    type: str
    message: str
    traceback: str = ""
    log: str = ""


class BadParameter(Struct, frozen=True, kw_only=True):
    """A weight that holds NaN or inf: how many of its values."""

    name: str
    dtype: str
    nonfinite: int
    values: int


class NumericFault(Struct, frozen=True, kw_only=True):
    """The first module, in order of execution, that made a value that is not finite; the innermost such.

    `tensor` is "output", or "input of NAME" where the module's own arithmetic between its children made it,
    as attention does. `dtype` and `nonfinite_share`, 0 to 1, are that tensor's. `previous_module` is the
    module that ended before it and `previous_max_abs` the largest magnitude it gave out. `parameters` lists
    weights and buffers that are not finite.
    """

    module: str
    module_class: str
    tensor: str = "output"
    dtype: str
    nonfinite_share: float
    previous_module: str | None
    previous_max_abs: float | None
    parameters: tuple[BadParameter, ...] = ()


class PageReading(Struct, frozen=True, kw_only=True):
    """What the model gave for one page. Durations in seconds, `first_token_s` from the call of generate.

    `tokens_per_s` is the rate after the first token. `nonfinite_token` is the index of the first new token
    whose logits were NaN or inf: from there on the text says nothing about the picture.
    """

    name: str
    text: str
    new_tokens: int
    first_token_s: float | None
    generate_s: float
    tokens_per_s: float | None
    nonfinite_token: int | None = None


class Loading(Struct, frozen=True, kw_only=True):
    """Weights that did not match the architecture, as transformers reports them."""

    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
    mismatched_keys: tuple[str, ...] = ()


class JobResult(Struct, frozen=True, kw_only=True):
    """What one job came to. `dtype`, `attention` and `device_name` are read off the loaded model.

    `stage` says what the job was at when it ended. `attention` joins the names by "+" where parts of the
    model differ. `load_s` is the model alone, to the last weight on the device. `peak_memory_bytes` is what
    tensors took at most on a GPU (`peak_memory_kind` "vram"; `peak_reserved_bytes` adds what the allocator
    kept; on Apple's "metal" it is what the driver holds at the end), and the process's peak resident set on a
    CPU ("rss"), of which `base_memory_bytes` were there
    before loading: the interpreter and the libraries. `start_method` is "fork" or "spawn"; a forked process
    counts of the libraries only what it touched, some 60 MB less than a fresh one here. `fork_fault` says why
    a forked process did not get as far as its device, so that a fresh one, some seconds later, took over.
    """

    model: str
    outcome: JobOutcome
    device: str
    stage: str = ""
    start_method: str | None = None
    device_name: str | None = None
    compute_capability: str | None = None
    dtype: str | None = None
    attention: str | None = None
    parameters: int | None = None
    load_s: float | None = None
    peak_memory_bytes: int | None = None
    peak_memory_kind: str | None = None
    peak_reserved_bytes: int | None = None
    base_memory_bytes: int | None = None
    loading: Loading = Loading()
    pages: tuple[PageReading, ...] = ()
    fault: WorkerFault | None = None
    numeric_fault: NumericFault | None = None
    fork_fault: WorkerFault | None = None
    exit_code: int | None = None
    signal: str | None = None
    elapsed_s: float = 0.0


class Versions(Struct, frozen=True, kw_only=True):
    """What the stack's interpreter imported. `cuda` is `torch.version.cuda`, None in a CPU build."""

    python: str
    torch: str
    transformers: str
    torchvision: str | None = None
    cuda: str | None = None
    arch_list: tuple[str, ...] = ()


class WorkerResponse(Struct, frozen=True, kw_only=True):
    """The worker's answer. `import_s` is the one import of torch and transformers that all jobs share.

    `fault` is set, `versions` None and `results` empty when that import failed or the request made no sense.
    """

    schema: int = SCHEMA
    versions: Versions | None
    import_s: float | None
    results: tuple[JobResult, ...]
    fault: WorkerFault | None = None


class Verdict(StrEnum):
    """pass: read everything; degraded: read the keywords and the nonce, not every letter; fail: did not."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    DEGRADED = "degraded"
    FAIL = "fail"


class Score(Struct, frozen=True, kw_only=True):
    """How one page was read. `cer` is edit distance over reference length; 0 is letter for letter."""

    name: str
    cer: float
    keywords_found: int
    keywords_total: int
    nonce_found: bool
    repetition: float
    text: str
    expected: str
    nonce: str


class SmokeResult(Struct, frozen=True, kw_only=True):
    """One row of `provision smoke`: the verdict on a model with its evidence.

    `cer` and `keywords_found` are of the page that was read worst; `nonce` is the first page's, `text` all pages';
    `first_token_s` and `tokens_per_s` are of the last page, when the device is warm. `causes` is what the
    exception that ended the job is known to come from.
    """

    model: str
    stack: str
    verdict: Verdict
    reason: str
    cer: float | None
    keywords_found: int
    keywords_total: int
    nonce: str
    text: str
    dtype: str | None
    attention: str | None
    device: str
    device_name: str | None
    load_s: float | None
    first_token_s: float | None
    tokens_per_s: float | None
    peak_memory_bytes: int | None
    peak_memory_kind: str | None
    torch: str | None
    transformers: str | None
    numeric_fault: NumericFault | None
    scores: tuple[Score, ...]
    causes: tuple[Cause, ...] = ()
