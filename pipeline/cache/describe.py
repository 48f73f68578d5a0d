"""What a cache holds, in numbers."""

from pathlib import Path
from typing import Any

from pipeline.cache.manifest import FieldEntry, Manifest, load_manifest


def describe(folder: Path) -> dict[str, Any]:
    """A summary of the cache at `folder`, from its manifest alone; `verify` says whether it is true.

    Raises:
        CacheError: There is no cache, or its manifest cannot be trusted.
    """
    return summary(load_manifest(folder), str(folder))


def summary(manifest: Manifest, where: str) -> dict[str, Any]:
    """A summary of the cache that lies at `where`, from its manifest."""
    fields = {name: _describe_field(field) for name, field in manifest.fields.items()}
    return {
        "folder": where,
        "format": f"{manifest.format} {manifest.version}",
        "backend": manifest.backend,
        "teacher": manifest.teacher,
        "tokenizer": manifest.tokenizer,
        "settings": manifest.settings,
        "classes": manifest.classes,
        "rows": manifest.rows.count,
        "unique_inputs": manifest.rows.unique,
        "splits": manifest.rows.splits,
        "bytes": manifest.rows.bytes + sum(field["bytes"] for field in fields.values()),
        "unreferenced": {
            "shards": len(manifest.unreferenced),
            "bytes": sum(entry.bytes for entry in manifest.unreferenced),
        },
        "fields": fields,
    }


def _describe_field(field: FieldEntry) -> dict[str, Any]:
    size = sum(shard.bytes for shard in field.shards)
    rows = sum(shard.rows for shard in field.shards)
    return {
        "options": field.options,
        "identity": field.identity,
        "shards": len(field.shards),
        "bytes": size,
        "bytes_per_row": round(size / max(rows, 1)),
        "columns": {
            column.name: {"dtype": column.dtype, "axes": column.axes, "unit": column.unit}
            for column in field.columns
        },
        "error": {name: error.model_dump() for name, error in field.error.items()},
    }
