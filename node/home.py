"""The home directory of a node: what is where, who may read it, and that one process owns it."""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from identity import keys
from identity.errors import InvalidKey
from node.files import PRIVATE_MODE, write_atomic
from node.passphrase import PASSPHRASE_VARIABLE, ask_passphrase
from node.problem import Problem
from protocols.genesis import Genesis, InvalidGenesis, dump_genesis, parse_genesis

HOME_VARIABLE = "ECONODE_HOME"
HOME_MODE = 0o700
TOKEN_BYTES = 32
SMALL_FILE_BYTES_MAX = 64 * 1024
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """node.json: what a running node tells the commands. Removed when it stops."""

    pid: int
    peer_id: str
    network_id: str
    api_address: str
    api_port: int
    listen: tuple[str, ...]
    """Full multiaddrs with the ports that were bound, without /p2p/PEERID."""
    started_ms: int

    @property
    def api_url(self) -> str:
        """Where a program on this machine finds the API: loopback, if that is part of it."""
        address = _ANY.get(self.api_address, self.api_address)
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self.api_port}"


def find_home(flag: Path | None, environment: Mapping[str, str] | None = None) -> "Home":
    """The home that a flag, ECONODE_HOME or the default (~/.econode) names."""
    environment = os.environ if environment is None else environment
    path = flag or Path(environment.get(HOME_VARIABLE) or "~/.econode")
    return Home(path.expanduser().absolute())


class Home:
    """Paths and files of one node. Methods raise Problem, saying what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.genesis_path = path / "genesis.json"
        self.key_path = path / "node.key"
        self.votes_path = path / "votes.sqlite3"
        self.ledger_path = path / "ledger.sqlite3"
        self.blobs_path = path / "blobs"
        self.token_path = path / "api.token"
        self.info_path = path / "node.json"
        self.lock_path = path / "lock"
        self.log_path = path / "node.log"

    def is_initialised(self) -> bool:
        """True once `econode init` has ended: config.toml is what it writes last."""
        return self.config_path.exists()

    def has_history(self) -> bool:
        """True once the node has run: its genesis is then settled."""
        return self.ledger_path.exists() or self.votes_path.exists()

    def check_initialised(self) -> None:
        if not self.is_initialised():
            raise Problem(
                "no-home",
                f"{self.path} is not the home of a node",
                remedy=f"make it one: econode init --home {self.path}",
            )

    def make_folder(self) -> None:
        try:
            self.path.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(
                "unwritable",
                f"cannot make the folder: {error.strerror}",
                where=str(self.path),
                remedy="give another folder with --home",
            ) from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own this home until the end of the block, or of the process in whatever way it ends."""
        try:
            descriptor = os.open(
                self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE
            )
        except OSError as error:
            raise Problem(
                "unwritable", f"cannot open: {error.strerror}", where=str(self.lock_path)
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise Problem(
                    "home-in-use",
                    f"process {owner or '(unknown)'} is using this home",
                    where=str(self.path),
                    remedy=f"stop it (kill {owner}) or give another folder with --home",
                    status=409,
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    # --- the key

    def write_key(self, key: keys.PrivateKey, passphrase: str | None) -> None:
        write_atomic(
            self.key_path, keys.dump_private_key(key, passphrase).encode(), mode=PRIVATE_MODE
        )

    def load_key(self, ask: Callable[[], str | None] = ask_passphrase) -> keys.PrivateKey:
        """The private key. `ask` is called for the pass phrase if the file is sealed."""
        text = self._read_private(self.key_path)
        try:
            return keys.load_private_key(text, ask() if keys.is_sealed(text) else None)
        except InvalidKey as error:
            raise self._bad_key(error) from None

    def load_public_key(self) -> bytes:
        """The public key; a sealed file needs no pass phrase for it."""
        try:
            return keys.load_public_key(self._read_private(self.key_path))
        except InvalidKey as error:
            raise self._bad_key(error) from None

    def load_peer_id(self) -> str:
        return keys.compute_peer_id(self.load_public_key())

    def _bad_key(self, error: InvalidKey) -> Problem:
        return Problem(
            "invalid-key",
            str(error),
            where=str(self.key_path),
            remedy=f"give the pass phrase in {PASSPHRASE_VARIABLE}, or restore the file",
        )

    # --- the API token

    def write_token(self) -> None:
        token = secrets.token_urlsafe(TOKEN_BYTES) + "\n"
        write_atomic(self.token_path, token.encode(), mode=PRIVATE_MODE)

    def load_token(self) -> str:
        token = self._read_private(self.token_path).strip()
        if len(token) < TOKEN_BYTES:
            raise Problem(
                "invalid-token",
                "the file does not hold a token",
                where=str(self.token_path),
                remedy="remove it and run `econode start`, which writes another",
            )
        return token

    def _read_private(self, path: Path) -> str:
        """The text of a secret file, refused when others may read it."""
        try:
            with open(path, "rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                data = file.read(SMALL_FILE_BYTES_MAX)
        except FileNotFoundError:
            raise Problem(
                "no-home",
                f"there is no {path.name}",
                where=str(path),
                remedy=f"make this home first: econode init --home {self.path}",
            ) from None
        except OSError as error:
            raise Problem("unreadable", f"cannot read: {error.strerror}", where=str(path)) from None
        if mode & _OTHERS:
            raise Problem(
                "readable-secret",
                f"{path.name} can be read by other users (mode {mode:04o})",
                where=str(path),
                remedy=f"chmod 600 {path}",
            )
        return data.decode("utf-8", "replace")

    # --- genesis

    def load_genesis(self) -> Genesis:
        if not self.genesis_path.exists():
            raise Problem(
                "no-genesis",
                "this home has no genesis.json, so it belongs to no network",
                where=str(self.genesis_path),
                remedy="found a network with `econode genesis new NAME`, or take another's file: "
                "econode init --genesis FILE",
            )
        return read_genesis(self.genesis_path)

    def write_genesis(self, genesis: Genesis) -> None:
        write_atomic(self.genesis_path, dump_genesis(genesis).encode())

    def check_no_history(self) -> None:
        """Refuse to change the genesis of a node that has run."""
        if self.has_history():
            raise Problem(
                "genesis-settled",
                "this node has already run, so its genesis can no longer change",
                where=str(self.ledger_path),
                remedy="found another network in another home: econode init --home FOLDER",
                status=409,
            )

    # --- node.json

    def write_info(self, info: NodeInfo) -> None:
        write_atomic(
            self.info_path, msgspec.json.format(msgspec.json.encode(info)), mode=PRIVATE_MODE
        )

    def remove_info(self) -> None:
        self.info_path.unlink(missing_ok=True)

    def load_info(self) -> NodeInfo | None:
        """What the last started node wrote; it may have ended since without removing it."""
        try:
            return msgspec.json.decode(self.info_path.read_bytes(), type=NodeInfo)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def find_dashboard(self) -> str | None:
        """The address of the running node's dashboard, with the token; None when it never ran.
        The part behind # stays in the browser."""
        info = self.load_info()
        if info is None:
            return None
        return f"{info.api_url}/#token={self.load_token()}"


def read_genesis(path: Path) -> Genesis:
    """The genesis in any file. Raises Problem naming the file and the field at fault."""
    try:
        return parse_genesis(path.read_bytes())
    except OSError as error:
        raise Problem(
            "unreadable",
            f"cannot read the genesis: {error.strerror}",
            where=str(path),
            remedy="give the path of the genesis.json that the founder sent",
        ) from None
    except InvalidGenesis as error:
        raise Problem(
            "invalid-genesis",
            f"no network can be founded on this file: {error}",
            where=str(path),
            remedy="ask the founder for the file again; `econode genesis show` checks one",
        ) from None


def check_network(genesis: Genesis, recorded: bytes, path: Path) -> None:
    """Refuse a genesis other than the one that `path` (ledger or votes) was made with."""
    network = genesis.compute_network_id()
    if recorded != network:
        raise Problem(
            "foreign-genesis",
            f"genesis.json is of network {network.hex()[:16]}…, this file of "
            f"{recorded.hex()[:16]}…",
            where=str(path),
            remedy="put back the genesis.json that this node started with, or make another home",
            status=409,
        )
