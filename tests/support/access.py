"""Servers that ask who is calling, and what callers show them: keys, tokens, certificates."""

import datetime
import ipaddress
import json
import tomllib
from pathlib import Path

import grpc
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from temporalio.client import Client, TLSConfig

from . import paths
from .server import Mainspring, run

NAMESPACES = ("alpha", "beta")
DAY = datetime.timedelta(days=1)


def generate() -> dict:
    """A key for the configuration, and its hash."""
    return json.loads(run([paths.mainspring_binary(), "key", "generate", "-o", "json"], True, 60).stdout)


class Guarded(Mainspring):
    """`mainspring server` with authentication; `admin` is the key that may do everything."""

    def __init__(self, directory: Path | None = None, *, settings: str = "", tls: "Authority | None" = None):
        super().__init__(directory)
        generated = generate()
        self.admin = generated["key"]
        self.tls = tls
        self.config = self.directory / "mainspring.toml"
        text = f"namespaces = {json.dumps(NAMESPACES)}\n{settings}\n"
        # What a test says of [auth] stays; the admin's key is put to it.
        head = "[auth]\nrequired = true\n" + f'admin_key_hashes = ["{generated["hash"]}"]\n'
        text = text.replace("[auth]\n", head) if "[auth]\n" in text else text + head
        if tls:
            certificate, key = tls.issue("server", server=True)
            text += f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nclient_ca = "{tls.certificate_path}"\n'
        tomllib.loads(text)
        self.config.write_text(text)

    def command(self) -> list:
        flags = ["--config", self.config, "--data-dir", self.data, "--port", str(self.port)]
        return [paths.mainspring_binary(), "server", *flags]

    def as_admin(self, *arguments, **options):
        return self.mainspring(*arguments, "--api-key", self.admin, **options)

    def create_key(self, *permissions: str, name: str = "test", by: str | None = None, expires: str | None = None) -> dict:
        words = ["key", "create", "--name", name]
        for permission in permissions:
            words += ["--permission", permission]
        if expires:
            words += ["--expires", expires]
        return self.mainspring_json(*words, "--api-key", by or self.admin)

    async def connect_with(self, key: str, namespace: str = "alpha", tls: TLSConfig | bool = False) -> Client:
        return await Client.connect(self.address, namespace=namespace, api_key=key, tls=tls)

    def whoami(self, key: str, check: bool = True):
        done = self.mainspring("whoami", "--api-key", key, "--output", "json", check=check)
        return json.loads(done.stdout) if check else done


class Api:
    """Every RPC of a server, as its reflection describes them."""

    def __init__(self, server: Mainspring):
        self.channel = grpc.insecure_channel(server.address)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        pool = DescriptorPool(database)
        open_to_all = ("grpc.health.", "grpc.reflection.")
        self.services = [
            pool.FindServiceByName(name) for name in sorted(database.get_services()) if not name.startswith(open_to_all)
        ]
        self.methods = [method for service in self.services for method in service.methods]

    def call(self, method, key: str | None, timeout_s: float = 2, **fields):
        """Calls it with a request in which only these fields are set, and gives the answer's code and message."""
        kind = message_factory.GetMessageClass(method.input_type)
        fields = {name: value for name, value in fields.items() if name in kind.DESCRIPTOR.fields_by_name}
        request = kind(**fields)
        answer = message_factory.GetMessageClass(method.output_type)
        path = f"/{method.containing_service.full_name}/{method.name}"
        coders = dict(request_serializer=kind.SerializeToString, response_deserializer=answer.FromString)
        metadata = [("authorization", f"Bearer {key}")] if key else []
        try:
            if method.client_streaming:
                self.channel.stream_unary(path, **coders)(iter([request]), timeout=timeout_s, metadata=metadata)
            elif method.server_streaming:
                list(self.channel.unary_stream(path, **coders)(request, timeout=timeout_s, metadata=metadata))
            else:
                self.channel.unary_unary(path, **coders)(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""

    def close(self):
        self.channel.close()


class Authority:
    """Issues certificates."""

    def __init__(self, directory: Path, name: str = "test authority"):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self.name, self.key).add_extension(constraints, critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.certificate_path = directory / "authority.pem"
        self.certificate_path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )

    def issue(self, name: str, *, server: bool = False, uri: str | None = None) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        names: list[x509.GeneralName] = []
        if server:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        paths_of = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        paths_of[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths_of[1].write_bytes(private_pem(key))
        return paths_of

    def config_for(self, certificate: tuple[Path, Path] | None = None) -> TLSConfig:
        """What the SDK needs to speak to a server with a certificate of this authority."""
        shown = certificate and [path.read_bytes() for path in certificate]
        return TLSConfig(
            server_root_ca_cert=self.certificate_path.read_bytes(),
            client_cert=shown[0] if shown else None,
            client_private_key=shown[1] if shown else None,
        )


class Issuer:
    """Makes tokens, with a key of one kind."""

    KEYS = {
        "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }

    def __init__(self, algorithm: str = "RS256", key_id: str | None = None):
        self.algorithm, self.key_id = algorithm, key_id
        self.key = self.KEYS[algorithm]()

    def token(self, *permissions: str, seconds: float = 3600, key=None, algorithm: str | None = None, **claims) -> str:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        claims = {"sub": "alice", "exp": expires, "permissions": list(permissions)} | claims
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.key_id} if self.key_id else None
        return jwt.encode(claims, key or self.key, algorithm or self.algorithm, headers=headers)

    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def jwk(self) -> dict:
        kind = jwt.get_algorithm_by_name(self.algorithm)
        return kind.to_jwk(self.key.public_key(), as_dict=True) | {"kid": self.key_id, "use": "sig", "alg": self.algorithm}


def private_pem(key) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)
