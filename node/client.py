"""A client of a node's local API, for the commands and the devnet. Synchronous."""

import base64
import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, TypeVar

import httpx
import msgspec

from node import service, service_data, service_upgrades, service_views
from node.client_auctions import AuctionClient
from node.client_market import MarketClient
from node.crossing_answers import (
    Crossing,
    CrossingRequest,
    Crossings,
    Funding,
    FundingRequest,
    Fundings,
)
from node.home import Home, NodeInfo
from node.problem import Problem
from node.service_evidence import EvidenceItem, EvidenceList
from node.task_options import PLAIN, TaskOptions
from protocols.genesis import MAIN_COMMITTEE

CONNECT_S_MAX = 3.0
ANSWER_S_MAX = 60.0
SILENCE_S_MAX = 60.0
"""An event stream sends a heartbeat every 15 s; one that is silent longer is dead."""
RECONNECT_S = 0.5

T = TypeVar("T")


def connect(home: Home) -> "NodeClient":
    """A client of the node that runs on `home`. Raises Problem `not-running` if none does.

    The token is sent only to whoever says that it is this node: after a crash the port in
    node.json may belong to another program.
    """
    home.check_initialised()
    info = home.load_info()
    if info is None or not _is_alive(info.pid):
        raise not_running(home)
    client = NodeClient(info, home.load_token())
    try:
        health = client.health()
    except Problem:
        client.close()
        raise not_running(home) from None
    if health.peer_id != info.peer_id:
        client.close()
        raise not_running(home)
    return client


def not_running(home: Home) -> Problem:
    return Problem(
        "not-running",
        "the node of this home is not running",
        where=str(home.path),
        remedy=f"start it: econode start --home {home.path}",
        status=503,
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class NodeClient:
    """One method for each of the API's routes. Failures are Problems, as the API sent them.

    What is asked of a committee is asked of `committee`, by name or id; `at` gives the client of
    another one, with the same connection.
    """

    def __init__(self, info: NodeInfo, token: str, committee: str = MAIN_COMMITTEE) -> None:
        self.info = info
        self.committee = committee
        self._http = httpx.Client(
            base_url=info.api_url,
            timeout=httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            trust_env=False,  # a proxy variable must not carry the token away
        )
        self._headers = {"authorization": f"Bearer {token}"}

    def at(self, committee: str) -> "NodeClient":
        other = copy(self)
        other.committee = committee
        return other

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "NodeClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health(self) -> service.Health:
        response = self._send("GET", "/health", timeout=CONNECT_S_MAX, headers={})
        return _decode(response, service.Health)

    def status(self) -> service.Status:
        return _decode(self._send("GET", "/v1/status"), service.Status)

    def peers(self) -> service.Peers:
        return _decode(self._send("GET", "/v1/peers"), service.Peers)

    @property
    def auctions(self) -> AuctionClient:
        return AuctionClient(self._get, self._post, _decode, _quote)

    @property
    def market(self) -> MarketClient:
        return MarketClient(self._get, self._post, _decode)

    def put_blob(self, data: bytes) -> service.BlobStored:
        return _decode(self._send("PUT", "/v1/blobs", content=data), service.BlobStored)

    def submit_tasks(
        self,
        tasks: Sequence[service.TaskRequest],
        budget: int,
        duration_ms: int,
        options: TaskOptions = PLAIN,
    ) -> service.TasksSubmitted:
        batch = service.TaskBatch(
            tasks=tuple(tasks), budget=budget, duration_ms=duration_ms, options=options
        )
        return _decode(self._post("/v1/tasks", batch), service.TasksSubmitted)

    def tasks(
        self, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> service.TaskPage:
        params = {"state": state, "limit": limit, "cursor": cursor}
        return _decode(self._get("/v1/tasks", params), service.TaskPage)

    def answer_task(self, prefix: str, paid_ppm: int) -> service.Task:
        body = service.TaskAnswer(paid_ppm=paid_ppm)
        return _decode(self._post(f"/v1/tasks/{_quote(prefix)}/answer", body), service.Task)

    def cancel_task(self, prefix: str) -> service.Task:
        return _decode(self._post(f"/v1/tasks/{_quote(prefix)}/cancel"), service.Task)

    def task(self, prefix: str) -> service.Task:
        return _decode(self._get(f"/v1/tasks/{_quote(prefix)}"), service.Task)

    def result(self, prefix: str) -> bytes:
        return self._get(f"/v1/tasks/{_quote(prefix)}/result").content

    def views(self) -> tuple[int, bytes]:
        """(position, Yjs v1 update) of the views of the committee's log."""
        answer = self._get("/v1/views")
        return int(answer.headers["Econode-Position"]), answer.content

    def watch_views(self) -> Iterator[tuple[int, bytes]]:
        """(position, Yjs v1 update): the whole of the views, then what changes; without end. After
        a connection that broke the whole comes again. Raises Problem as `events` does."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                for each in self._stream("/v1/views/events", {}, service_views.ViewsUpdate):
                    yield each.position, base64.b64decode(each.update)
            time.sleep(RECONNECT_S)
            self.health()

    def stake(self, account: str | None = None) -> service.Stake:
        return _decode(self._get("/v1/stake", {"account": account}), service.Stake)

    def transfer(self, to: str, amount: int) -> service.Executed:
        body = service.Transfer(to=to, amount=amount)
        return _decode(self._post("/v1/transfers", body), service.Executed)

    def export(self, to: str, amount: int, to_committee: str) -> Crossing:
        body = CrossingRequest(to=to, amount=amount, to_committee=to_committee)
        return _decode(self._post("/v1/crossings", body), Crossing)

    def crossing(self, operation: str) -> Crossing:
        return _decode(self._get(f"/v1/crossings/{_quote(operation)}"), Crossing)

    def fund_tasks(
        self,
        tasks: Sequence[service.TaskRequest],
        budget: int,
        duration_ms: int,
        funded_by: str,
        options: TaskOptions = PLAIN,
    ) -> Funding:
        body = FundingRequest(
            tasks=tuple(tasks),
            budget=budget,
            duration_ms=duration_ms,
            funded_by=funded_by,
            options=options,
        )
        return _decode(self._post("/v1/fundings", body), Funding)

    def funding(self, prefix: str) -> Funding:
        return _decode(self._get(f"/v1/fundings/{_quote(prefix)}"), Funding)

    def fundings(self) -> Fundings:
        return _decode(self._get("/v1/fundings"), Fundings)

    def crossings(self) -> Crossings:
        return _decode(self._get("/v1/crossings"), Crossings)

    def bond(self, amount: int) -> service.Executed:
        return _decode(self._post("/v1/bonds", service.Bond(amount=amount)), service.Executed)

    def unbond(self, amount: int) -> service.Executed:
        return _decode(self._post("/v1/unbondings", service.Bond(amount=amount)), service.Executed)

    def members(self) -> service.Members:
        return _decode(self._get("/v1/members"), service.Members)

    def join_committee(self, bond: int | None = None) -> service.Executed:
        return _decode(self._post("/v1/members/join", service.Join(bond=bond)), service.Executed)

    def leave_committee(self) -> service.Executed:
        return _decode(self._send("POST", "/v1/members/leave"), service.Executed)

    def upgrades(self) -> service_upgrades.Upgrades:
        return _decode(self._get("/v1/upgrades"), service_upgrades.Upgrades)

    def consent_upgrade(self, version: int) -> service.Executed:
        body = service_upgrades.UpgradeRequest(semantics=version)
        return _decode(self._post("/v1/upgrades/consents", body), service.Executed)

    def reputation(self, agent: str | None = None, limit: int | None = None) -> service.Reputation:
        params = {"agent": agent, "limit": limit}
        return _decode(self._get("/v1/reputation", params), service.Reputation)

    def explain(self, agent: str, snapshots: int = 10) -> service_views.Explanation:
        params = {"agent": agent, "snapshots": snapshots}
        answer = self._get("/v1/reputation/explanation", params)
        return _decode(answer, service_views.Explanation)

    def find_cards(
        self,
        capability: str | None = None,
        *,
        score_min: int = 0,
        bond_min: int = 0,
        price_max: int | None = None,
        limit: int = 100,
    ) -> service_views.Cards:
        params = {
            "capability": capability,
            "score_min": score_min,
            "bond_min": bond_min,
            "price_max": price_max,
            "limit": limit,
        }
        return _decode(self._get("/v1/directory", params), service_views.Cards)

    def card(self, agent: str) -> service_views.Card:
        return _decode(self._get("/v1/directory/card", {"agent": agent}), service_views.Card)

    def stake_facts(
        self, account: str, limit: int = 20, cursor: str | None = None
    ) -> service_views.StakeFacts:
        params = {"account": account, "limit": limit, "cursor": cursor}
        return _decode(self._get("/v1/stake/facts", params), service_views.StakeFacts)

    def capabilities(self) -> service.Capabilities:
        return _decode(self._get("/v1/capabilities"), service.Capabilities)

    def set_data(self, namespace: str, key: str, value: bytes | None) -> service_data.DataWritten:
        """Set a value of the node's own, or (None) remove it."""
        params = {"namespace": namespace, "key": key}
        if value is None:
            answer = self._send("DELETE", "/v1/data", params=params)
        else:
            answer = self._send("PUT", "/v1/data", params=params, content=value)
        return _decode(answer, service_data.DataWritten)

    def get_data(
        self, namespace: str, key: str, peer: str | None = None, cursor: str | None = None
    ) -> service_data.DataPage:
        params = {"namespace": namespace, "key": key, "peer": peer, "cursor": cursor}
        return _decode(self._get("/v1/data", params), service_data.DataPage)

    def list_data(
        self,
        namespace: str,
        peer: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> service_data.DataKeys:
        params = {"namespace": namespace, "peer": peer, "cursor": cursor, "limit": limit}
        return _decode(self._get("/v1/data/keys", params), service_data.DataKeys)

    def watch_data(
        self, namespace: str, key: str, peer: str | None = None
    ) -> Iterator[service_data.DataChange]:
        """What is there under a key, then `ready`, then its changes; without end. A connection
        that broke is opened again: what changed meanwhile comes, then another `ready`. Raises
        Problem as `events` does."""
        params = {"namespace": namespace, "key": key, "peer": peer}
        shown: dict[str, service_data.DataValue] = {}
        while True:
            with contextlib.suppress(httpx.TransportError):
                changes = self._stream("/v1/data/events", params, service_data.DataChange)
                yield from service_data.sift_changes(changes, shown)
            time.sleep(RECONNECT_S)
            self.health()

    def facts(self, position: int = 0, limit: int = 100) -> service.LogPage:
        params = {"from": position, "limit": limit}
        return _decode(self._get("/v1/facts", params), service.LogPage)

    def committees(self) -> service.Committees:
        return _decode(self._send("GET", "/v1/committees"), service.Committees)

    def form_committee(
        self, name: str, members: Sequence[str], bond: int, free: int, duration_ms: int
    ) -> service.Executed:
        body = service.FormRequest(
            name=name, members=tuple(members), bond=bond, free=free, duration_ms=duration_ms
        )
        return _decode(self._post("/v1/committees", body), service.Executed)

    def consent_committee(self, committee: str) -> service.Executed:
        """`committee` is the proposal's id."""
        body = service.ConsentRequest(committee=committee)
        return _decode(self._post("/v1/committees/consents", body), service.Executed)

    def list_evidence(self, limit: int = 100) -> EvidenceList:
        return _decode(self._get("/v1/evidence", {"limit": limit}), EvidenceList)

    def show_evidence(self, prefix: str) -> EvidenceItem:
        return _decode(self._get(f"/v1/evidence/{_quote(prefix)}"), EvidenceItem)

    def get_evidence_file(self, prefix: str) -> bytes:
        return self._get(f"/v1/evidence/{_quote(prefix)}/file").content

    def submit_evidence(self, data: bytes, committee: str | None = None) -> EvidenceItem:
        """`data` is a file's; `committee` is the one that is to punish, where several can."""
        params = {} if committee is None else {"order_in": committee}
        return _decode(
            self._send("POST", "/v1/evidence", content=data, params=params), EvidenceItem
        )

    def submit_operation(self, statement: bytes) -> service.Accepted:
        response = self._send("POST", "/v1/operations", content=statement)
        return _decode(response, service.Accepted)

    def shutdown(self) -> None:
        self._send("POST", "/v1/shutdown")

    def events(self, position: int | None = None) -> Iterator[service.LogEntry]:
        """Entries as they are made, from `position` on; without end.

        A connection that broke is opened again after the last entry seen. Raises Problem
        `not-running` when the node is gone.
        """
        while True:
            with contextlib.suppress(httpx.TransportError):
                params = {"from": position}
                for entry in self._stream("/v1/events", params, service.LogEntry):
                    yield entry
                    position = entry.position + 1
            time.sleep(RECONNECT_S)
            self.health()

    def _stream(self, path: str, params: dict[str, Any], kind: type[T]) -> Iterator[T]:
        given = {key: value for key, value in params.items() if value is not None}
        given["committee"] = self.committee
        timeout = httpx.Timeout(SILENCE_S_MAX, connect=CONNECT_S_MAX)
        with self._http.stream(
            "GET", path, params=given, headers=self._headers, timeout=timeout
        ) as response:
            if response.status_code >= 400:
                response.read()
                raise _read_problem(response)
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield _decode_json(line[6:].encode(), kind)

    def _get(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        given = {key: value for key, value in (params or {}).items() if value is not None}
        return self._send("GET", path, params=given)

    def _post(
        self,
        path: str,
        body: msgspec.Struct | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx.Response:
        content = b"" if body is None else msgspec.json.encode(body)
        return self._send("POST", path, content=content, params=params or {})

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", self._headers)
        if path != "/health":
            options["params"] = {**options.get("params", {}), "committee": self.committee}
        try:
            response = self._http.request(method, path, **options)
        except httpx.TimeoutException:
            raise Problem(
                "timeout",
                f"the node did not answer {method} {path} in time",
                where=str(self._http.base_url),
                remedy="try again; `econode status` shows whether its committee makes progress",
                status=504,
            ) from None
        except httpx.TransportError as error:
            raise Problem(
                "not-running",
                f"the node cannot be reached: {error}",
                where=str(self._http.base_url),
                remedy="see whether it still runs: econode status",
                status=503,
            ) from None
        if response.status_code >= 400:
            raise _read_problem(response)
        return response


def _quote(prefix: str) -> str:
    """An id's prefix as a path segment; anything else is refused before it is sent."""
    if not prefix.isalnum() or not prefix.isascii():
        raise Problem(
            "invalid-request",
            f"{prefix!r} is not an id",
            remedy="`econode task list` or `auction list` shows the ids; first digits are enough",
        )
    return prefix


def _read_problem(response: httpx.Response) -> Problem:
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    return Problem.from_document(document, response.status_code)


def _decode(response: httpx.Response, kind: type[T]) -> T:
    return _decode_json(response.content, kind)


def _decode_json(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(
            "unexpected-answer",
            f"the node's answer is not a {kind.__name__}: {error}",
            remedy="use the command and the node of one version",
            status=502,
        ) from None
