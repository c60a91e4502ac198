"""How much each parameter of the search decides about the objectives, as a page without scripts and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from html import escape

from wordlength.search.pages.parts import page_html
from wordlength.search.pages.style import STYLE

SHOWN = 30
"""Parameters in sight; the others unfold."""

Importance = Mapping[str, Mapping[str, float]]
"""Objective → parameter → share, 0…1; an objective's shares sum to 1."""

MEANING = (
    "A bar tells how much a parameter decides whether a trial is among the best tenth in an objective, or the best "
    "five of few, as a share of all parameters (PED-ANOVA; Watanabe, Bansal & Hutter 2023)."
)

_STYLE = """
.importance{width:100%;max-width:980px}
.importance td{width:42%;padding-right:16px}
.importance td:empty{color:var(--soft)}
.importance .bar{display:flex;align-items:center;gap:8px}
.importance .bar i{display:block;height:12px;min-width:1px;background:var(--bar)}
.importance .bar span{font-size:.82rem;color:var(--soft)}
.importance thead th{text-align:left}
@media(max-width:720px){.importance td{width:auto;min-width:104px}.importance th[scope=row]{white-space:normal;
overflow-wrap:anywhere;max-width:40vw}}
"""


def importance_html(importance: Importance, study: str, trials: int, chance: Mapping[str, float] | None = None) -> str:
    """`importance`: objective → parameter → share 0…1, the first objective sorts; `trials`: how many it rests on;
    `chance`: objective → the largest share that comes about by chance.
    """
    title = f"{study}: importance of the parameters"
    names = _ordered(importance)
    body = _table(importance, names[:SHOWN]) if names else "<p>Not known yet: too few trials have finished.</p>"
    if names[SHOWN:]:
        rest = _table(importance, names[SHOWN:])
        body += f"<details><summary>{len(names) - SHOWN} more parameters</summary>{rest}</details>"
    basis = f"From {trials:,} trial{'' if trials == 1 else 's'}.{_by_chance(chance or {})}"
    head = f"<header><h1>{escape(title)}</h1><p>{escape(MEANING)} {basis}</p></header>"
    return page_html(title, f"{STYLE}{_STYLE}", f"{head}\n{body}")


def _by_chance(chance: Mapping[str, float]) -> str:
    if not chance:
        return ""
    limits = " and ".join(f"{100 * share:.0f} % ({escape(objective)})" for objective, share in chance.items())
    return f" <b>Shares up to about {limits} come about by chance</b>, when the objective is dealt out at random."


def importance_csv(importance: Importance) -> str:
    """A row per parameter, a column per objective; in the page's order, an unknown share is empty."""
    target = io.StringIO()
    table = csv.writer(target, lineterminator="\n")
    table.writerow(["parameter", *importance])
    for name in _ordered(importance):
        shares = (_share(importance, objective, name) for objective in importance)
        table.writerow([name, *("" if share is None else f"{share:.6g}" for share in shares)])
    return target.getvalue()


def _ordered(importance: Importance) -> list[str]:
    """All parameters, the most important for the first objective first, then for the next ones."""
    names = dict.fromkeys(name for shares in importance.values() for name in shares)
    return sorted(names, key=lambda name: [-(_share(importance, objective, name) or 0.0) for objective in importance])


def _share(importance: Importance, objective: str, name: str) -> float | None:
    share = importance[objective].get(name)
    return share if share is not None and math.isfinite(share) else None


def _table(importance: Importance, names: Sequence[str]) -> str:
    longest = max(
        (value for shares in importance.values() for value in shares.values() if math.isfinite(value)), default=0
    )
    heads = "".join(f'<th scope="col">{escape(objective)}</th>' for objective in importance)
    rows = "\n".join(
        f'<tr><th scope="row">{_breaking(name)}</th>'
        + "".join(f"<td>{_bar(_share(importance, objective, name), longest)}</td>" for objective in importance)
        + "</tr>"
        for name in names
    )
    return (
        '<div class="scroll" role="region" aria-label="importance" tabindex="0"><table class="importance">'
        f'<thead><tr><th scope="col">parameter</th>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    )


def _breaking(name: str) -> str:
    """A slot's name that may break after its layer on a narrow screen."""
    return escape(name).replace(".", ".<wbr>")


def _bar(share: float | None, longest: float) -> str:
    """The longest bar leaves room for its figure."""
    if share is None:
        return "–"
    width = 76 * max(share, 0.0) / longest if longest > 0 else 0.0
    return f'<div class="bar"><i style="width:{width:.1f}%"></i><span>{100 * share:.1f} %</span></div>'
