"""Compiles `plaza/**/*.proto` into `gen/`: messages, gRPC stubs, type stubs and one descriptor set.

Run by hatchling when the package is built or installed in editable form, and by hand as
`python protos/build_protos.py` (that is `make protos`). Nothing under `gen/` is committed.
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GEN = HERE / "gen"


def _validate_descriptors() -> bytes:
    """A FileDescriptorSet with `buf/validate/validate.proto`, which ships in no wheel as a .proto file."""
    from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
    from protovalidate._gen.buf.validate import validate_pb

    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    return files.SerializeToString()


def build() -> None:
    """Compile everything into `gen/`, replacing what is there at once. Raises SystemExit with protoc's messages."""
    import google.rpc
    from grpc_tools import protoc

    new, old = HERE / "gen.new", HERE / "gen.old"
    shutil.rmtree(new, ignore_errors=True)
    (new / "plaza_protos").mkdir(parents=True)
    dependencies = new / "validate.binpb"
    dependencies.write_bytes(_validate_descriptors())
    wkt = str(resources.files("grpc_tools") / "_proto")
    googleapis = str(Path(google.rpc.__path__[0]).parent.parent)
    sources = sorted(str(path.relative_to(HERE)) for path in HERE.glob("plaza/**/*.proto"))
    common = ["protoc", f"-I{HERE}", f"-I{wkt}", f"-I{googleapis}", f"--descriptor_set_in={dependencies}"]
    # protoc looks for plugins on PATH; an environment that is not activated is not there.
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    common += plugins
    outputs = [f"--python_out={new}", f"--mypy_out=quiet:{new}"]
    services = [f"--grpc_python_out={new}", f"--mypy_grpc_out=quiet,only_async:{new}"]
    steps = [
        [*common, *outputs, "buf/validate/validate.proto"],
        [*common, *outputs, *services, *sources],
        [
            *common,
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={new / 'plaza_protos' / 'descriptors.binpb'}",
            *sources,
        ],
    ]
    for step in steps:
        if protoc.main(step) != 0:
            raise SystemExit("protoc failed; its messages stand above")
    dependencies.unlink()
    (new / "plaza_protos" / "py.typed").touch()
    (new / "plaza_protos" / "__init__.py").write_text(
        '"""The compiled contract of all Plaza services."""\n\n'
        "from importlib import resources\n\n\n"
        "def descriptor_set() -> bytes:\n"
        '    """The serialised FileDescriptorSet of all services, comments included."""\n'
        '    return (resources.files(__name__) / "descriptors.binpb").read_bytes()\n'
    )
    # By renaming: a process that imports meanwhile finds the old or the new, never half of it.
    shutil.rmtree(old, ignore_errors=True)
    if GEN.exists():
        GEN.rename(old)
    new.rename(GEN)
    shutil.rmtree(old, ignore_errors=True)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand without hatchling
    pass
else:

    class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
        """Compiles before every wheel and editable install."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            build()


if __name__ == "__main__":
    sys.exit(build())
