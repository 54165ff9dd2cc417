"""Reports on a variable: members seal what they measured, then open it; the median counts."""

from msgspec.structs import replace

from crdt.facts import ReportCommitted, ReportRevealed, ReportsClosed
from crdt.facts_market import TermOutcome
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.books import Books
from protocols.economy.market_model import SealedReport, Variable
from protocols.economy.model import Refused
from protocols.economy.operations_market import CommitReport, RevealReport
from protocols.economy.variables import end_term, find_variable, settle_term


def commit_report(books: Books, signer: bytes, body: CommitReport) -> None:
    """Take a member's sealed report. Raises Refused."""
    variable = find_variable(books, body.variable, body.round)
    if variable.stage != "report":
        raise Refused("too_early" if variable.stage in ("auction", "term") else "too_late")
    if signer not in list_reporters(books, variable):
        raise Refused("not_asked")
    if any(report.member == signer for report in variable.reports):
        raise Refused("already_reported")
    reports = (*variable.reports, SealedReport(signer, body.commitment))
    variable = replace(variable, reports=tuple(sorted(reports, key=lambda each: each.member)))
    books.variables[variable.id] = variable
    books.emit(
        ReportCommitted(
            variable=variable.id, round=variable.round, member=signer, commitment=body.commitment
        )
    )
    sealed = {report.member for report in variable.reports}
    if sealed.issuperset(list_reporters(books, variable)):
        _close_reports(books, variable)


def reveal_report(books: Books, signer: bytes, body: RevealReport) -> None:
    """Open a sealed report. Raises Refused."""
    variable = find_variable(books, body.variable, body.round)
    if variable.stage != "report_reveal":
        raise Refused("too_early" if variable.stage != "auction" else "too_late")
    found = [report for report in variable.reports if report.member == signer]
    if not found or found[0].objective_ppm is not None:
        raise Refused("nothing_to_reveal")
    place = books.committee
    seal = compute_report_commitment(
        place.network,
        place.id,
        variable.id,
        variable.round,
        signer,
        body.objective_ppm,
        body.salt,
    )
    if seal != found[0].commitment:
        raise Refused("commitment_mismatch")
    opened = replace(found[0], objective_ppm=body.objective_ppm)
    reports = tuple(opened if each.member == signer else each for each in variable.reports)
    variable = replace(variable, reports=reports)
    books.variables[variable.id] = variable
    books.emit(
        ReportRevealed(
            variable=variable.id,
            round=variable.round,
            member=signer,
            objective_ppm=body.objective_ppm,
        )
    )
    if all(report.objective_ppm is not None for report in reports):
        _evaluate(books, variable)


def list_reporters(books: Books, variable: Variable) -> list[bytes]:
    """Members that may report now: all but the holder, and those that were slashed."""
    return [
        key
        for key in books.committee.members
        if key != variable.holder and not books.is_banned(key)
    ]


def pass_time(books: Books) -> None:
    """End the stages that are over, variables in the order they were opened."""
    for variable in list(books.variables.values()):
        if variable.stage == "auction" or books.time_ms < variable.deadline_ms:
            continue
        if variable.stage == "term":
            end_term(books, variable)
        elif variable.stage == "report":
            _close_reports(books, variable)
        else:
            _evaluate(books, variable)


def _close_reports(books: Books, variable: Variable) -> None:
    if len(variable.reports) < _count_needed(books):
        settle_term(books, variable, "unmeasured")
        return
    deadline_ms = books.time_ms + books.parameters.variable_report_ms
    variable = replace(variable, stage="report_reveal", deadline_ms=deadline_ms)
    books.variables[variable.id] = variable
    books.emit(ReportsClosed(variable=variable.id, round=variable.round, deadline_ms=deadline_ms))


def _evaluate(books: Books, variable: Variable) -> None:
    """The lower median of what members opened decides."""
    asked = set(list_reporters(books, variable))
    said = [
        (report.objective_ppm, report.member)
        for report in variable.reports
        if report.objective_ppm is not None and report.member in asked
    ]
    if len(said) < _count_needed(books):
        settle_term(books, variable, "unmeasured")
        return
    terms = variable.terms
    median_ppm, _ = sorted(said)[(len(said) - 1) // 2]
    right = tuple(
        member
        for objective_ppm, member in said
        if abs(objective_ppm - median_ppm) <= terms.tolerance_ppm
    )
    outcome: TermOutcome = "met" if median_ppm >= terms.objective_min_ppm else "missed"
    settle_term(books, variable, outcome, median_ppm, right)


def _count_needed(books: Books) -> int:
    """Reports of which more than half are honest, whichever members lie."""
    return 2 * books.committee.f + 1
