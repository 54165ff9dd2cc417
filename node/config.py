"""The configuration: one table of definitions that holds types, bounds, defaults and reasons.

The structs below are that table. `render_config` writes config.toml from them, `load_config`
checks a file, the environment and flags against them, so defaults, comments and checks cannot
drift apart. Flags win over the environment (ECONODE_SECTION_KEY), which wins over the file.
"""

from typing import Annotated, Literal

import msgspec

CAPABILITIES_MAX = 64
TRADES_MAX = 64
ADDRESSES_MAX = 16
PEERS_MAX = 1_000
COMMITTEES_MAX = 16
HOURS_MAX = 10 * 366 * 24

Meta = msgspec.Meta
_MIB = 1 << 20
_COMMITTEE = r"^[a-z0-9]([a-z0-9_/-]*[a-z0-9])?\Z"
_NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"

MultiaddrText = Annotated[
    str, Meta(pattern=r"^(/[^/\s]+)+$", max_length=256, description="a multiaddr: /ip4/…/tcp/…")
]
HostName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z", description="a host name in lower case"
    ),
]
PortNumber = Annotated[int, Meta(ge=0, le=65_535)]
Credits = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
StrategyName = Literal["cost_plus", "truthful", "underbid"]
LotPatterns = tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...]
_LOTS = (
    "Names of lots, with * and ? for any characters. One: each lot that it fits counts for itself."
    " Several: one lot for each, together, in combinatorial auctions."
)


class Section(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=False
):
    """Base of the sections of config.toml."""


class Network(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where this node listens and whom it dials."""

    listen: Annotated[
        tuple[MultiaddrText, ...],
        Meta(
            min_length=1,
            max_length=ADDRESSES_MAX,
            description="Addresses to listen on (multiaddr). The default is every interface at"
            " port 4710, so that peers on other machines reach this node; port 0 takes a free one.",
        ),
    ] = ("/ip4/0.0.0.0/tcp/4710",)
    announce: Annotated[
        tuple[MultiaddrText, ...],
        Meta(
            max_length=ADDRESSES_MAX,
            description="Addresses that others dial, shown by `econode id`. Empty: the listening"
            " addresses, with 0.0.0.0 replaced by this machine's own; set it behind a NAT.",
        ),
    ] = ()
    peers: Annotated[
        dict[str, MultiaddrText],
        Meta(
            max_length=PEERS_MAX,
            description="Addresses of peers beyond those in genesis.json, or instead of them when"
            ' a member has moved: "PEERID" = "MULTIADDR".',
        ),
    ] = msgspec.field(default_factory=dict)


class ApiSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local API that the commands use."""

    address: Annotated[
        str,
        Meta(
            max_length=45,
            description="The IP address that the API and the dashboard listen on. Whoever reaches"
            " them and has the token spends this node's credits, so that any but loopback needs"
            " `remote` as well; a tunnel to loopback is safer.",
        ),
    ] = "127.0.0.1"
    remote: Annotated[
        bool,
        Meta(
            description="Let `address` be reachable from other machines. Token and answers travel"
            " in the clear: only inside a container, or behind a proxy of yours with TLS.",
        ),
    ] = False
    hosts: Annotated[
        tuple[HostName, ...],
        Meta(
            max_length=ADDRESSES_MAX,
            description="Names in a browser's address bar that `remote` takes besides IP addresses"
            " and localhost, such as that of a proxy. Any other name is refused: a web page could"
            " have made it point here (DNS rebinding).",
        ),
    ] = ()
    port: Annotated[
        PortNumber,
        Meta(
            description="0 takes a free port, written to node.json where the commands find it, so"
            " that many nodes fit on one machine."
        ),
    ] = 0
    requests_per_s: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="More requests a second are refused with 429, after a burst of twice as"
            " many: a program gone wild must not starve the committee's work in the same process.",
        ),
    ] = 1_000
    requests_under_way_max: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Requests at once, event streams among them; more are refused with 429.",
        ),
    ] = 256


class Agent(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and how this node bids for work."""

    enabled: Annotated[
        bool,
        Meta(description="Bid for tasks that the [[capability]] entries below can do."),
    ] = True
    strategy: Annotated[
        StrategyName,
        Meta(
            description="How to bid where no entry below says otherwise. cost_plus asks for the"
            " cost and the margin. truthful asks for the cost where the payment rule rewards no"
            " lie, and shades where the winner is paid what it said. underbid asks for 1 credit,"
            " whatever it costs, and buys nothing."
        ),
    ] = "cost_plus"
    price_base: Annotated[
        Credits, Meta(description="What one task costs this node, whatever its size, in credits.")
    ] = 10
    price_per_kib: Annotated[
        Credits, Meta(description="What each further KiB of input costs, in credits.")
    ] = 1
    margin_ppm: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Millionths of the cost that cost_plus adds to it, or keeps of a value. A"
            " margin loses tasks whose price would have paid for the work.",
        ),
    ] = 0
    passes: Annotated[
        bool,
        Meta(
            description="Pass at once in auctions that name this node as a bidder and that no"
            " [[want]] or [[sell]] is about, so that nobody waits for it. You cannot bid there by"
            " hand then."
        ),
    ] = False
    workers: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Capabilities that run at once, each in a process of its own. One keeps"
            " the machine usable; raise it towards the number of cores.",
        ),
    ] = 1


class Limits(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one run of a capability may use. A run that needs more fails; this node stays up."""

    wall_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Seconds by the clock: ends a run that sleeps. A task's lease makes longer"
            " runs worthless: the network's work_phase_ms (15 s unless its genesis says otherwise)"
            " where its requester chose none.",
        ),
    ] = 15.0
    cpu_s: Annotated[
        int, Meta(ge=1, le=86_400, description="CPU seconds: ends an endless loop.")
    ] = 15
    memory_bytes: Annotated[
        int,
        Meta(
            ge=16 * _MIB,
            le=1 << 40,
            description="Memory of each process of a run: several fit beside the node on a small"
            " machine.",
        ),
    ] = 512 * _MIB
    input_bytes_max: Annotated[
        int, Meta(ge=1, le=64 * _MIB, description="Larger inputs are refused. 64 MiB is a blob.")
    ] = 64 * _MIB
    output_bytes_max: Annotated[
        int,
        Meta(
            ge=1,
            le=64 * _MIB,
            description="Bytes of a result: ends a flood before it fills the memory of the node.",
        ),
    ] = _MIB
    processes_max: Annotated[
        int,
        Meta(
            ge=1,
            le=65_536,
            description="Processes of a run above what the user runs already: ends a fork bomb.",
        ),
    ] = 512
    files_max: Annotated[int, Meta(ge=8, le=65_536, description="Files open at once.")] = 256
    file_bytes_max: Annotated[
        int, Meta(ge=1, le=1 << 40, description="Size of each file a run writes, in bytes.")
    ] = 64 * _MIB


class Storage(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much this node keeps."""

    blob_store_bytes_max: Annotated[
        int,
        Meta(
            ge=_MIB,
            le=1 << 50,
            description="Bytes of all inputs and results in blobs/. When full, further blobs are"
            " refused rather than old promises broken.",
        ),
    ] = 4 * 1024 * _MIB
    blob_retention_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=HOURS_MAX,
            description="Inputs and results older than this go, but for those of tasks under way."
            " 0 keeps them until the store is full: whoever asked for a result may fetch it late.",
        ),
    ] = 0


class LedgerSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long this node can prove what happened."""

    retention_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=HOURS_MAX,
            description="Committees' batches and facts older than this go, up to a certified state;"
            " at most a quarter more is kept. 0 keeps all: only who holds the log since the genesis"
            " can prove old results to others and name the members of past epochs.",
        ),
    ] = 0


class Consensus(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The committee."""

    allow_single: Annotated[
        bool,
        Meta(
            description="Run a committee of one member. It survives no fault (f = 0) and nobody"
            " checks it, so it has to be asked for."
        ),
    ] = False


class Log(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this node writes down: on standard error, and the newest lines in node.log."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(
            description="The least level that is written. info follows each task and auction, one"
            " line a step; warning keeps what its owner should look at."
        ),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Meta(
            description="text is for people. json is one object a line for programs, with the same"
            " names."
        ),
    ] = "text"
    lines_per_minute_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Of each event; what is over it is counted, and said with its next line, so"
            " that work in bulk does not push everything else out of node.log. 0: no bound.",
        ),
    ] = 600


class Committees(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Further committees of the network."""

    follow: Annotated[
        tuple[Annotated[str, Meta(pattern=_COMMITTEE, max_length=256)], ...],
        Meta(
            max_length=COMMITTEES_MAX,
            description="Names of committees to follow without being a member (`econode committee"
            " list`): their log is kept here. A node takes part in those it is a member of anyway.",
        ),
    ] = ()
    home: Annotated[
        str,
        Meta(
            pattern=rf"^\Z|{_COMMITTEE}",
            max_length=256,
            description="The committee that this node's free credits in neighbouring ones are sent"
            " to, beyond keep_free: what its agent earns elsewhere comes home. Empty: they stay.",
        ),
    ] = ""
    keep_free: Annotated[
        Credits,
        Meta(description="Credits that stay free in each other committee, for fees and deposits."),
    ] = 10_000


class Capability(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named function, bytes to bytes, that this node's agent offers; one [[capability]] each."""

    name: Annotated[
        str, Meta(pattern=_NAME, description="What requesters call it: a-z 0-9 . _ - only.")
    ]
    version: Annotated[
        str, Meta(pattern=_NAME, description="Raise it whenever the same input gives other bytes.")
    ] = "1"
    kind: Annotated[
        Literal["python", "command", "http"],
        Meta(
            description="python: a function, called with bytes; command: input on standard input,"
            " result on standard output; http: a URL of your own service that takes a POST."
        ),
    ]
    target: Annotated[
        str | tuple[str, ...],
        Meta(
            description='python: "module:function"; command: ["program", "argument", ...];'
            ' http: "http://127.0.0.1:8000/run".'
        ),
    ]
    verification: Annotated[
        Literal["exact", "judged", "accepted"],
        Meta(
            description="How results are checked. exact: others run it again and must get the same"
            " bytes. judged: a panel of agents that offer it scores them. accepted: whoever asked"
            " says what they are worth, and silence pays."
        ),
    ] = "exact"
    judge: Annotated[
        str | tuple[str, ...] | None,
        Meta(
            description="What scores results of other agents, 0 to 100: a target of any kind. It"
            ' gets a JSON object with "input" and "output" in base64, and gives a number. judged'
            " needs one."
        ),
    ] = None
    specification: Annotated[
        str,
        Meta(
            max_length=65_536,
            description="What it promises, in words. Part of its identity: nodes agree on work"
            " only if this text is the same.",
        ),
    ] = ""
    strategy: Annotated[
        StrategyName | None, Meta(description="Left out, like the next ones: as [agent] says.")
    ] = None
    price_base: Annotated[Credits | None, Meta(description="What one task of it costs.")] = None
    price_per_kib: Annotated[
        Credits | None, Meta(description="What each further KiB of its input costs.")
    ] = None
    margin_ppm: Annotated[
        Annotated[int, Meta(ge=0, le=10_000_000)] | None,
        Meta(description="Millionths of the cost that cost_plus adds."),
    ] = None


class Want(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lots that this node's agent buys in general auctions by itself; one [[want]] each."""

    lots: Annotated[LotPatterns, Meta(min_length=1, max_length=TRADES_MAX, description=_LOTS)]
    value: Annotated[Credits, Meta(description="What a lot, or all together, is worth: the most.")]
    units_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Lots, or units, that it buys in all, bids under way included.",
        ),
    ] = 1
    strategy: Annotated[
        StrategyName | None, Meta(description="Left out: as [agent] says, its margin too.")
    ] = None


class Sell(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lots that this node's agent provides where others buy by auction; one [[sell]] each."""

    lots: Annotated[LotPatterns, Meta(min_length=1, max_length=TRADES_MAX, description=_LOTS)]
    cost: Annotated[Credits, Meta(description="What a lot, or all together, costs this node.")]
    units_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Lots, or units, that it sells in all, bids under way included.",
        ),
    ] = 1
    strategy: Annotated[
        StrategyName | None, Meta(description="Left out: as [agent] says, its margin too.")
    ] = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of config.toml."""

    network: Network = msgspec.field(default_factory=Network)
    api: ApiSection = msgspec.field(default_factory=ApiSection)
    agent: Agent = msgspec.field(default_factory=Agent)
    limits: Limits = msgspec.field(default_factory=Limits)
    storage: Storage = msgspec.field(default_factory=Storage)
    ledger: LedgerSection = msgspec.field(default_factory=LedgerSection)
    consensus: Consensus = msgspec.field(default_factory=Consensus)
    committees: Committees = msgspec.field(default_factory=Committees)
    log: Log = msgspec.field(default_factory=Log)
    capability: Annotated[tuple[Capability, ...], Meta(max_length=CAPABILITIES_MAX)] = ()
    want: Annotated[tuple[Want, ...], Meta(max_length=TRADES_MAX)] = ()
    sell: Annotated[tuple[Sell, ...], Meta(max_length=TRADES_MAX)] = ()
