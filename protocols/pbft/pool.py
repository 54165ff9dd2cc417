"""The request pool: verified operations that wait to be ordered.

Per account they are proposed in the order of their nonces, and accounts take turns, so one busy
client does not starve the others. Everything is bounded: operations over all, and by the nonce
window of `Application.admit` per account.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protocols.economy.operations import Operation

POOL_OPERATIONS_MAX = 20_000
TURN_OPERATIONS_MAX = 64
GATHER_MS = 12
"""How long operations that come in company wait for the rest of it, at most."""
GATHER_OPERATIONS_MAX = 64
"""More of them wait for nobody."""


@dataclass(frozen=True, slots=True)
class Request:
    """A signed operation, verified. `digest` is the SHA-256 of its statement, `data`."""

    digest: bytes
    signer: bytes
    operation: Operation
    data: bytes


Admit = Callable[[bytes, Operation], str | None]
"""Why a signer's operation cannot be batched now, or None."""


class Pool:
    """Requests by account and nonce. `get_nonce(account)` is the next nonce to execute."""

    def __init__(self, get_nonce: Callable[[bytes], int]) -> None:
        self._get_nonce = get_nonce
        self._by_account: dict[bytes, dict[int, Request]] = {}
        self._proposed: dict[bytes, int] = {}
        self._by_digest: dict[bytes, Request] = {}
        self._turns: deque[bytes] = deque()
        self._waiting: set[bytes] = set()
        self._ready_ms: dict[bytes, int] = {}
        """Since when an account's next request has been here; the oldest first."""
        self._first_ms = 0
        """Since when there has been something at all."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def get(self, digest: bytes) -> Request | None:
        return self._by_digest.get(digest)

    def requests(self) -> Iterable[Request]:
        return self._by_digest.values()

    def get_oldest_ms(self) -> int | None:
        """Since when the account that waits longest has had its next request here."""
        return next(iter(self._ready_ms.values()), None)

    def add(self, request: Request, now_ms: int) -> bool:
        """False when the pool is full, or the account's nonce is taken by another operation."""
        nonces = self._by_account.setdefault(request.signer, {})
        nonce = request.operation.nonce
        if len(self._by_digest) >= POOL_OPERATIONS_MAX or nonce in nonces:
            return False
        if not self._by_digest:
            self._first_ms = now_ms
        nonces[nonce] = request
        self._by_digest[request.digest] = request
        if nonce == self._get_nonce(request.signer):
            self._ready_ms.setdefault(request.signer, now_ms)
        if request.signer not in self._waiting:
            self._waiting.add(request.signer)
            self._turns.append(request.signer)
        return True

    def find_gathered_ms(
        self, now_ms: int, awaits_company: Callable[[Iterable[Request]], bool]
    ) -> int | None:
        """Until when what is here had better wait for more; None when it need not."""
        until_ms = self._first_ms + GATHER_MS
        if now_ms >= until_ms or len(self._by_digest) > GATHER_OPERATIONS_MAX:
            return None
        return until_ms if awaits_company(self._by_digest.values()) else None

    def take(self, count_max: int, bytes_max: int) -> list[Request]:
        """The next requests to propose; they stay in the pool until they are executed."""
        taken: list[Request] = []
        size = 0
        idle = 0
        while self._turns and idle < len(self._turns):
            account = self._turns.popleft()
            if account not in self._by_account:
                self._waiting.discard(account)
                continue
            self._turns.append(account)
            idle += 1
            for _ in range(TURN_OPERATIONS_MAX):
                request = self._get_next(account)
                if request is None:
                    break
                if len(taken) >= count_max or size + len(request.data) > bytes_max:
                    return taken
                self._proposed[account] = request.operation.nonce
                taken.append(request)
                size += len(request.data)
                idle = 0
        return taken

    def note_proposed(self, requests: Iterable[Request]) -> None:
        """Requests of an accepted proposal are not proposed again."""
        for request in requests:
            last = self._proposed.get(request.signer, 0)
            self._proposed[request.signer] = max(last, request.operation.nonce)

    def drop_refused(self, requests: Iterable[Request], admit: Admit) -> None:
        """Forget what the signers of `requests` still wait for, where the next of it is not
        admissible any more: without it nothing that follows can be executed."""
        for account in {request.signer for request in requests}:
            following = self.get_next(account)
            if following is not None and admit(account, following.operation) is not None:
                for request in self._by_account.pop(account).values():
                    del self._by_digest[request.digest]
                self._proposed.pop(account, None)
                self._ready_ms.pop(account, None)

    def get_next(self, account: bytes) -> Request | None:
        """The request with the account's next nonce."""
        return self._by_account.get(account, {}).get(self._get_nonce(account))

    def list_oldest(self, count_max: int, bytes_max: int) -> list[Request]:
        """What no accepted proposal has yet, in the order of nonces: at first of the accounts
        that wait longest. One request at least if there is any."""
        found: list[Request] = []
        size = 0
        for account in self._ready_ms:
            nonces = self._by_account[account]
            nonce = self._get_unproposed(account)
            while (request := nonces.get(nonce)) is not None:
                size += len(request.data)
                if len(found) >= count_max or (found and size > bytes_max):
                    return found
                found.append(request)
                nonce += 1
        return found

    def begin_view(self) -> None:
        """What the former primary proposed may be proposed again."""
        self._proposed.clear()

    def on_executed(self, requests: Iterable[Request], now_ms: int) -> None:
        """Drop what has been executed, and whatever can never be executed any more."""
        self._drop_executed({request.signer for request in requests}, now_ms)

    def forget_executed(self, now_ms: int) -> None:
        """Drop what can never be executed any more, whose ever it is: the state is another."""
        self._drop_executed(set(self._by_account), now_ms)

    def _drop_executed(self, accounts: set[bytes], now_ms: int) -> None:
        for account in accounts:
            nonces = self._by_account.get(account)
            if nonces is None:
                continue
            next_nonce = self._get_nonce(account)
            for nonce in [n for n in nonces if n < next_nonce]:
                del self._by_digest[nonces.pop(nonce).digest]
            self._ready_ms.pop(account, None)
            if next_nonce in nonces:
                self._ready_ms[account] = now_ms
            if not nonces:
                del self._by_account[account]
                self._proposed.pop(account, None)

    def _get_next(self, account: bytes) -> Request | None:
        return self._by_account.get(account, {}).get(self._get_unproposed(account))

    def _get_unproposed(self, account: bytes) -> int:
        """The first nonce that is neither executed nor in an accepted proposal."""
        return max(self._get_nonce(account), self._proposed.get(account, 0) + 1)
