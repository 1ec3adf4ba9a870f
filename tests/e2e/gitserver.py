"""A git server outside of the cluster: git http-backend behind Apache (http, https, with a token) and git over ssh.

Everything it runs is in the namespace of one outside client, whose public address its URLs have: pods reach it there
without a word from their type. It ends with the client. The ssh server gets an /etc/passwd of its
own, in a mount namespace of its own.
"""

import datetime
import ipaddress
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gitting import git

from berth_dev.cluster.network import NODES, Machine

HTTP, HTTPS, SSH = 8080, 8443, 2222
USER, TOKEN = "builder", "glpat-e2e-3b1f0c"
BACKEND = "/usr/lib/git-core"
MODULES = Path("/usr/lib/apache2/modules")
LOADED = (
    "mpm_prefork",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_basic",
    "alias",
    "env",
    "setenvif",
    "cgi",
    "ssl",
)
CONFIG = """
ServerRoot {folder}
ServerName git.example
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
Mutex file:{folder}
User nobody
Group nogroup
StartServers 4
Listen 0.0.0.0:{http}
Listen 0.0.0.0:{https}
SetEnv GIT_PROJECT_ROOT {folder}/repositories
SetEnv GIT_HTTP_EXPORT_ALL 1
SetEnv GIT_CONFIG_COUNT 1
SetEnv GIT_CONFIG_KEY_0 safe.directory
SetEnv GIT_CONFIG_VALUE_0 *
SetEnvIf Git-Protocol ".+" GIT_PROTOCOL=$0
ScriptAlias /git/ {backend}/git-http-backend/
<Directory {backend}>
  Require all granted
</Directory>
<LocationMatch "^/git/private[.]git/">
  AuthType Basic
  AuthName private
  AuthUserFile {folder}/users
  Require valid-user
</LocationMatch>
<VirtualHost *:{https}>
  SSLEngine on
  SSLCertificateFile {folder}/server.crt
  SSLCertificateKeyFile {folder}/server.key
</VirtualHost>
"""
PASSWD = "root:x:0:0:root:/root:/bin/sh\ngit:x:{uid}:{gid}:git:{home}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"


@dataclass(frozen=True)
class GitServer:
    """Where the repositories are."""

    machine: Machine
    folder: Path

    @property
    def certificate(self) -> str:
        """The https server's own certificate, which nobody else signed."""
        return (self.folder / "server.crt").read_text()

    @property
    def deploy_key(self) -> str:
        """Private key that opens the repositories over ssh."""
        return (self.folder / "deploy").read_text()

    @property
    def known_hosts(self) -> str:
        """The ssh server's host key, as ssh looks it up."""
        key = (self.folder / "host.pub").read_text().strip()
        return f"[{self.machine.public}]:{SSH} {key}\n"

    def http(self, repository: str) -> str:
        return f"http://{self.machine.public}:{HTTP}/git/{repository}.git"

    def https(self, repository: str) -> str:
        return f"https://{self.machine.public}:{HTTPS}/git/{repository}.git"

    def ssh(self, repository: str) -> str:
        return f"ssh://git@{self.machine.public}:{SSH}{self.folder}/repositories/{repository}.git"

    def repository(self, name: str) -> "Repository":
        """Make an empty repository."""
        bare, tree = self.folder / "repositories" / f"{name}.git", self.folder / "trees" / name
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        git(bare, "config", "uploadpack.allowFilter", "true" if name != "private" else "false")
        tree.mkdir(parents=True)
        git(tree, "init", "--quiet", "--initial-branch=main")
        git(tree, "remote", "add", "origin", str(bare))
        return Repository(self, name, tree)


@dataclass(frozen=True)
class Repository:
    """A repository on the server, with a tree to commit from."""

    server: GitServer
    name: str
    tree: Path

    def commit(self, files: Mapping[str, str], branch: str = "main", *, tag: str = "", submodule: str = "") -> str:
        """Commit files on a branch, which begins where `main` is; the commit's full name."""
        known = git(self.tree, "branch", "--list", branch).strip()
        git(self.tree, "switch", "--quiet", *([branch] if known else ["-c", branch]))
        for name, text in files.items():
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_text(text, encoding="utf-8")
        if submodule:
            path = str(self.server.folder / "repositories" / f"{submodule}.git")
            allow = ("-c", "protocol.file.allow=always")
            git(self.tree, *allow, "submodule", "--quiet", "add", path, submodule)
            git(self.tree, "config", "-f", ".gitmodules", f"submodule.{submodule}.url", f"../{submodule}.git")
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--allow-empty", "-m", f"change {', '.join(files)}")
        if tag:
            git(self.tree, "tag", "-a", tag, "-m", tag)
        git(self.tree, "push", "--quiet", "--tags", "origin", branch)
        made = git(self.tree, "rev-parse", "HEAD").strip()
        git(self.tree, "switch", "--quiet", "main")
        _readable(self.server.folder)
        return made


@contextmanager
def serving(machine: Machine) -> Iterator[GitServer]:
    """Run the servers at an outside client's addresses, with ways to the pods."""
    folder = Path(tempfile.mkdtemp(prefix="berth-git-"))
    folder.chmod(0o755)
    server = GitServer(machine, folder)
    (folder / "repositories").mkdir()
    _write_certificate(folder, machine.public)
    _write_apache(folder)
    _write_ssh(folder)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with _routes(machine), (folder / "servers.log").open("wb") as log:
            apache = ["apache2", "-DFOREGROUND", "-f", str(folder / "apache.conf")]
            mount = f"mount --bind {folder}/passwd /etc/passwd && exec dropbear -F -E -s -m -P {folder}/dropbear.pid"
            shell = f"{mount} -r {folder}/host -p {SSH}"
            for words in (apache, ["unshare", "--mount", "sh", "-c", shell]):
                # Apache ends by a signal to its whole process group.
                command = machine.command(*words)
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            for port in (HTTP, HTTPS, SSH):
                _await(machine, port)
            yield server
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)
        shutil.rmtree(folder)


def _readable(folder: Path) -> None:
    """Let those read the repositories whom the servers run as."""
    subprocess.run(["chmod", "-R", "a+rX", str(folder / "repositories")], check=True)


def _write_apache(folder: Path) -> None:
    modules = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in LOADED)
    settings = {"folder": folder, "http": HTTP, "https": HTTPS, "backend": BACKEND}
    (folder / "apache.conf").write_text(modules + CONFIG.format(**settings))
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "-stdin"], input=TOKEN, capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "users").write_text(f"{USER}:{hashed}\n")


def _write_certificate(folder: Path, address: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )


def _write_ssh(folder: Path) -> None:
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(folder / "host")], check=True, capture_output=True)
    shown = subprocess.run(
        ["dropbearkey", "-y", "-f", str(folder / "host")], check=True, capture_output=True, text=True
    ).stdout
    line = next(line for line in shown.splitlines() if line.startswith("ssh-ed25519 "))
    (folder / "host.pub").write_text(" ".join(line.split()[:2]))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "deploy")], check=True)
    shutil.copy(folder / "deploy.pub", home / ".ssh" / "authorized_keys")
    (home / ".gitconfig").write_text("[safe]\ndirectory = *\n")
    subprocess.run(["chown", "-R", "65534:65534", str(home)], check=True)
    (home / ".ssh").chmod(0o700)
    (folder / "passwd").write_text(PASSWD.format(uid=65534, gid=65534, home=home))


@contextmanager
def _routes(machine: Machine) -> Iterator[None]:
    for node in NODES:
        subprocess.run(machine.command("ip", "route", "replace", node.pods, "via", node.address), check=True)
    try:
        yield
    finally:
        for node in NODES:
            subprocess.run(machine.command("ip", "route", "delete", node.pods, "via", node.address), check=True)


def _await(machine: Machine, port: int) -> None:
    """Wait until a server listens."""
    until = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((machine.address, port), 1):
                return
        except OSError:
            assert time.monotonic() < until, f"nothing listens on port {port}"
            time.sleep(0.05)
