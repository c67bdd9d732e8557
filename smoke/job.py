"""One job from the first touch of the device to the last page, recorded as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smoke.contract import Job, Page, describe_fault, save_json
from smoke.families import Family, load_family

# The stages in which nothing has happened yet that depends on the model.
NOT_STARTED = ("starting", "importing torch", "reaching the device")


class JobRecord:
    """The job's result so far. Each update is written at once, so that a crash leaves what was known."""

    def __init__(self, job: Job, path: Path | None = None) -> None:
        self.fields: dict[str, Any] = {"model": job.model, "device": job.device, "stage": NOT_STARTED[0]}
        self._path = path

    def update(self, **fields: Any) -> None:
        """Add to the result, on disk too."""
        self.fields.update(fields)
        if self._path is not None:
            save_json(self._path, self.fields)


def run_job(job: Job, *, threads: int | None, record: JobRecord) -> None:
    """Load the model and read every page. An exception becomes the outcome `error`, at its stage."""
    try:
        record.update(stage="importing torch")
        from smoke import measure

        record.update(stage="reaching the device")
        record.update(**measure.probe_device(job.device, threads=threads))
        record.update(base_memory_bytes=measure.read_resident_bytes())
        try:
            _load_and_read(job, record)
        finally:
            record.update(**measure.read_peak_memory(job.device))
        record.update(stage="done", outcome="ran")
    except Exception as error:
        fault = record.fields.get("fault") or describe_fault(error)
        record.update(outcome="error", fault=fault)


def _load_and_read(job: Job, record: JobRecord) -> None:
    from smoke import measure

    family = load_family(job.family)
    check_model_dir(Path(job.model_dir))
    record.update(stage="loading the processor")
    processor = family.load_processor(job.model_dir, trust_remote_code=job.trust_remote_code)
    record.update(stage="loading the model")
    with measure.Stopwatch(job.device) as stopwatch:
        model, loading = family.load_model(
            job.model_dir,
            device=job.device,
            dtype=job.dtype,
            attention=job.attention,
            trust_remote_code=job.trust_remote_code,
        )
    record.update(load_s=stopwatch.elapsed_s, loading=loading, **measure.describe_model(model))
    _read_pages(family, processor, model, job, record)


def check_model_dir(folder: Path) -> None:
    """Raises FileNotFoundError, before transformers takes the path for a name on the Hub."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json, so it is no model")


def _read_pages(family: Family, processor: Any, model: Any, job: Job, record: JobRecord) -> None:
    from smoke.reading import ModelReader

    reader = ModelReader(family, processor, model, prompt=job.prompt, max_new_tokens=job.max_new_tokens)
    pages: list[dict[str, Any]] = []
    for page in job.pages:
        record.update(stage=f"reading page {page.name}")
        image = open_page(page)
        try:
            reading = reader.read(page.name, image)
        except Exception as error:
            _explain_error(reader, image, error, record)
            raise
        pages.append(reading)
        record.update(pages=pages)
        if reading["nonfinite_token"] is not None and "numeric_fault" not in record.fields:
            record.update(stage=f"looking for the origin of values that are not finite, page {page.name}")
            record.update(numeric_fault=reader.find_numeric_fault(image))


def _explain_error(reader: Any, image: Any, error: Exception, record: JobRecord) -> None:
    """Look for a numeric fault behind an exception of generate's, where the device still answers."""
    from smoke import measure

    fault = describe_fault(error)
    if measure.is_usable(reader.device):
        record.update(fault=fault, numeric_fault=reader.find_numeric_fault(image))
    else:
        said, _, advice = fault["message"].partition("\n")
        lost = f"{said}; the device is lost to this process, so no value could be looked at\n{advice}"
        record.update(fault=fault | {"message": lost.strip()})


def open_page(page: Page) -> Any:
    """The page as a PIL image, mode RGB: the picture given, else its lines drawn on the grid."""
    if page.image_path is not None:
        from PIL import Image

        with Image.open(page.image_path) as image:
            return image.convert("RGB")
    from smoke.pages.grid import render_grid

    return render_grid(page.lines)
