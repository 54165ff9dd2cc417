"""A client of a node's local API, for the commands and the devnet. Synchronous."""

import base64
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import httpx

from node import service, service_data, service_upgrades, service_views
from node.client_auctions import AuctionClient
from node.client_http import CONNECT_S_MAX, HttpClient, decode, quote
from node.client_market import MarketClient
from node.crossing_answers import (
    Crossing,
    CrossingRequest,
    Crossings,
    Funding,
    FundingRequest,
    Fundings,
)
from node.home import Home
from node.problem import Problem
from node.service_evidence import EvidenceItem, EvidenceList
from node.task_options import PLAIN, TaskOptions

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


class NodeClient(HttpClient):
    """One method for each of the API's routes."""

    def health(self) -> service.Health:
        response = self._send("GET", "/health", timeout=CONNECT_S_MAX, headers={})
        return decode(response, service.Health)

    def status(self) -> service.Status:
        return decode(self._send("GET", "/v1/status"), service.Status)

    def peers(self) -> service.Peers:
        return self._get_list("/v1/peers", service.Peers, "peers")

    @property
    def auctions(self) -> AuctionClient:
        return AuctionClient(self._get, self._post, decode, quote)

    @property
    def market(self) -> MarketClient:
        return MarketClient(self._get, self._get_list, self._post, decode)

    def put_blob(self, data: bytes) -> service.BlobStored:
        return decode(self._send("PUT", "/v1/blobs", content=data), service.BlobStored)

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
        return decode(self._post("/v1/tasks", batch), service.TasksSubmitted)

    def tasks(
        self, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> service.TaskPage:
        params = {"state": state, "limit": limit, "cursor": cursor}
        return decode(self._get("/v1/tasks", params), service.TaskPage)

    def answer_task(self, prefix: str, paid_ppm: int) -> service.Task:
        body = service.TaskAnswer(paid_ppm=paid_ppm)
        return decode(self._post(f"/v1/tasks/{quote(prefix)}/answer", body), service.Task)

    def cancel_task(self, prefix: str) -> service.Task:
        return decode(self._post(f"/v1/tasks/{quote(prefix)}/cancel"), service.Task)

    def task(self, prefix: str) -> service.Task:
        return decode(self._get(f"/v1/tasks/{quote(prefix)}"), service.Task)

    def result(self, prefix: str) -> bytes:
        return self._get(f"/v1/tasks/{quote(prefix)}/result").content

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
        return self._get_list("/v1/stake", service.Stake, "accounts", {"account": account})

    def transfer(self, to: str, amount: int) -> service.Executed:
        body = service.Transfer(to=to, amount=amount)
        return decode(self._post("/v1/transfers", body), service.Executed)

    def export(self, to: str, amount: int, to_committee: str) -> Crossing:
        body = CrossingRequest(to=to, amount=amount, to_committee=to_committee)
        return decode(self._post("/v1/crossings", body), Crossing)

    def crossing(self, operation: str) -> Crossing:
        return decode(self._get(f"/v1/crossings/{quote(operation)}"), Crossing)

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
        return decode(self._post("/v1/fundings", body), Funding)

    def funding(self, prefix: str) -> Funding:
        return decode(self._get(f"/v1/fundings/{quote(prefix)}"), Funding)

    def fundings(self) -> Fundings:
        return self._get_list("/v1/fundings", Fundings, "fundings")

    def crossings(self) -> Crossings:
        return self._get_list("/v1/crossings", Crossings, "crossings")

    def bond(self, amount: int) -> service.Executed:
        return decode(self._post("/v1/bonds", service.Bond(amount=amount)), service.Executed)

    def unbond(self, amount: int) -> service.Executed:
        return decode(self._post("/v1/unbondings", service.Bond(amount=amount)), service.Executed)

    def members(self) -> service.Members:
        return self._get_list("/v1/members", service.Members, "members")

    def join_committee(self, bond: int | None = None) -> service.Executed:
        return decode(self._post("/v1/members/join", service.Join(bond=bond)), service.Executed)

    def leave_committee(self) -> service.Executed:
        return decode(self._send("POST", "/v1/members/leave"), service.Executed)

    def upgrades(self) -> service_upgrades.Upgrades:
        return decode(self._get("/v1/upgrades"), service_upgrades.Upgrades)

    def consent_upgrade(self, version: int) -> service.Executed:
        body = service_upgrades.UpgradeRequest(semantics=version)
        return decode(self._post("/v1/upgrades/consents", body), service.Executed)

    def reputation(self, agent: str | None = None, limit: int | None = None) -> service.Reputation:
        params = {"agent": agent, "limit": limit}
        return decode(self._get("/v1/reputation", params), service.Reputation)

    def explain(self, agent: str, snapshots: int = 10) -> service_views.Explanation:
        params = {"agent": agent, "snapshots": snapshots}
        answer = self._get("/v1/reputation/explanation", params)
        return decode(answer, service_views.Explanation)

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
        return decode(self._get("/v1/directory", params), service_views.Cards)

    def card(self, agent: str) -> service_views.Card:
        return decode(self._get("/v1/directory/card", {"agent": agent}), service_views.Card)

    def stake_facts(
        self, account: str, limit: int = 20, cursor: str | None = None
    ) -> service_views.StakeFacts:
        params = {"account": account, "limit": limit, "cursor": cursor}
        return decode(self._get("/v1/stake/facts", params), service_views.StakeFacts)

    def capabilities(self) -> service.Capabilities:
        return self._get_list("/v1/capabilities", service.Capabilities, "capabilities")

    def set_data(self, namespace: str, key: str, value: bytes | None) -> service_data.DataWritten:
        """Set a value of the node's own, or (None) remove it."""
        params = {"namespace": namespace, "key": key}
        if value is None:
            answer = self._send("DELETE", "/v1/data", params=params)
        else:
            answer = self._send("PUT", "/v1/data", params=params, content=value)
        return decode(answer, service_data.DataWritten)

    def get_data(
        self, namespace: str, key: str, peer: str | None = None, cursor: str | None = None
    ) -> service_data.DataPage:
        params = {"namespace": namespace, "key": key, "peer": peer, "cursor": cursor}
        return decode(self._get("/v1/data", params), service_data.DataPage)

    def list_data(
        self,
        namespace: str,
        peer: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> service_data.DataKeys:
        params = {"namespace": namespace, "peer": peer, "cursor": cursor, "limit": limit}
        return decode(self._get("/v1/data/keys", params), service_data.DataKeys)

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
        return decode(self._get("/v1/facts", params), service.LogPage)

    def committees(self) -> service.Committees:
        return self._get_list("/v1/committees", service.Committees, "committees")

    def form_committee(
        self, name: str, members: Sequence[str], bond: int, free: int, duration_ms: int
    ) -> service.Executed:
        body = service.FormRequest(
            name=name, members=tuple(members), bond=bond, free=free, duration_ms=duration_ms
        )
        return decode(self._post("/v1/committees", body), service.Executed)

    def consent_committee(self, committee: str) -> service.Executed:
        """`committee` is the proposal's id."""
        body = service.ConsentRequest(committee=committee)
        return decode(self._post("/v1/committees/consents", body), service.Executed)

    def list_evidence(self, limit: int = 100) -> EvidenceList:
        return decode(self._get("/v1/evidence", {"limit": limit}), EvidenceList)

    def show_evidence(self, prefix: str) -> EvidenceItem:
        return decode(self._get(f"/v1/evidence/{quote(prefix)}"), EvidenceItem)

    def get_evidence_file(self, prefix: str) -> bytes:
        return self._get(f"/v1/evidence/{quote(prefix)}/file").content

    def submit_evidence(self, data: bytes, committee: str | None = None) -> EvidenceItem:
        """`data` is a file's; `committee` is the one that is to punish, where several can."""
        params = {} if committee is None else {"order_in": committee}
        return decode(self._send("POST", "/v1/evidence", content=data, params=params), EvidenceItem)

    def submit_operation(self, statement: bytes) -> service.Accepted:
        response = self._send("POST", "/v1/operations", content=statement)
        return decode(response, service.Accepted)

    def prove(self, about: str, name: str) -> bytes:
        """What is certified of something, with its proof: the bytes of a `node.proven.Proven`."""
        paths: dict[str, tuple[str, dict[str, str]]] = {
            "variable": ("/v1/variables/show", {"name": name}),
            "halt": ("/v1/market/halts", {"capability": name}),
            "members": ("/v1/members", {}),
            "account": ("/v1/stake", {"account": name}),
            "reputation": ("/v1/reputation", {"agent": name}),
        }
        if about not in paths:
            rest = {"task": "", "result": "/result", "auction": "", "evidence": ""}[about]
            kind = {"auction": "auctions", "evidence": "evidence"}.get(about, "tasks")
            paths[about] = (f"/v1/{kind}/{quote(name)}{rest}", {})
        path, params = paths[about]
        return self._get(path, {**params, "proof": True}).content

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
