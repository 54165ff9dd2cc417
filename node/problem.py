"""What goes wrong in front of a person or a program: one shape for the CLI and the API (RFC 9457).

A problem says what is wrong (`detail`), where (`where`: a file with key and line, a flag, a
field), and what to do about it (`remedy`). The CLI prints it, the API sends it as problem+json.
"""

from typing import Any

from identity.errors import EconodeError

TYPE_PREFIX = "urn:econode:problem:"


class Problem(EconodeError):
    """An expected failure. `type` is a stable slug; `status` is its HTTP status."""

    def __init__(
        self, type_: str, detail: str, *, where: str = "", remedy: str = "", status: int = 400
    ) -> None:
        super().__init__(detail)
        self.type = type_
        self.detail = detail
        self.where = where
        self.remedy = remedy
        self.status = status

    @property
    def title(self) -> str:
        return self.type.replace("-", " ")

    def render(self) -> str:
        """The message for people, at most three lines."""
        lines = [f"error: {self.detail}"]
        if self.where:
            lines.append(f"  where:  {self.where}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)

    def to_document(self) -> dict[str, Any]:
        """The problem+json document."""
        return {
            "type": TYPE_PREFIX + self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "where": self.where,
            "remedy": self.remedy,
        }

    @classmethod
    def from_document(cls, document: Any, status: int) -> "Problem":
        """The problem in an answer of a node's API; other programs' answers become one, too."""
        if not isinstance(document, dict) or not str(document.get("type", "")).startswith(
            TYPE_PREFIX
        ):
            return cls("unexpected-answer", f"the API answered with status {status}", status=status)

        def text(key: str) -> str:
            return str(document.get(key, ""))

        return cls(
            text("type").removeprefix(TYPE_PREFIX),
            text("detail"),
            where=text("where"),
            remedy=text("remedy"),
            status=status,
        )


def not_found(kind: str, name: str, remedy: str = "") -> Problem:
    return Problem("not-found", f"there is no {kind} {name!r}", remedy=remedy, status=404)
