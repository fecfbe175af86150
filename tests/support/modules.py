"""Mainspring's own service, for clients that do what its CLI never does. Messages come from the server's reflection."""

import hashlib
import queue
from pathlib import Path

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CHUNK_BYTES = 1024 * 1024
ANSWER_S = 60


class Upload:
    """An upload under way."""

    def __init__(self, modules: "Modules", target):
        self._message = modules.message("UploadModuleRequest")
        self._messages = queue.Queue()
        self._messages.put(self._message(target=target))
        call = modules.channel.stream_stream(
            "/mainspring.v1.ModuleService/UploadModule",
            request_serializer=self._message.SerializeToString,
            response_deserializer=modules.message("UploadModuleResponse").FromString,
        )
        self._answers = call(iter(self._messages.get, None), timeout=ANSWER_S)

    def answer(self):
        return next(self._answers)

    def received(self) -> int:
        return self.answer().received_bytes

    def send(self, content: bytes) -> None:
        for begin in range(0, len(content), CHUNK_BYTES):
            self._messages.put(self._message(chunk=content[begin : begin + CHUNK_BYTES]))

    def finish(self) -> None:
        self._messages.put(None)


class Modules:
    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address)
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def __enter__(self) -> "Modules":
        return self

    def __exit__(self, *_) -> None:
        self.channel.close()

    def message(self, name: str):
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"mainspring.v1.{name}"))

    def upload(self, module: Path) -> Upload:
        content = module.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        target = self.message("UploadTarget")(namespace="default", digest=digest, size_bytes=len(content), identity="test")
        return Upload(self, target)
