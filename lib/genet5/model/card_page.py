"""The page that a model has on the Hugging Face Hub: README.md from its card, or from its shape."""

from __future__ import annotations

from pathlib import Path

from genet5.model.card import CARD_FILE, Figure, ModelCard, load_card

PAGE = "README.md"


def model_page(folder: Path, repo_id: str) -> str:
    """Return README.md of a model, with the metadata that the Hub reads.

    A page in the model's folder goes before its card; without either, the page states that nothing
    is known of the data and figures.

    Args:
        folder: The model's.
        repo_id: "user/model", for the examples.
    """
    card = load_card(folder) if (folder / CARD_FILE).is_file() else None
    written = folder / PAGE
    if written.is_file():
        body = written.read_text(encoding="utf-8")
        return body if body.startswith("---\n") else _metadata(card) + body
    return _metadata(card) + (_unknown(repo_id) if card is None else _body(card, repo_id))


def _metadata(card: ModelCard | None) -> str:
    licence = "" if card is None else f"license: {card.license.lower()}\n"
    return f"---\nlibrary_name: genet5\ntags:\n- biology\n- dna\n- genet5\n{licence}---\n\n"


def _unknown(repo_id: str) -> str:
    text = "Its folder has no card: training data, figures and limits are not stated."
    return f"# {repo_id.rpartition('/')[2]}\n\nA model of GeneT5. {text}\n\n{_use(repo_id)}"


def _body(card: ModelCard, repo_id: str) -> str:
    rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in card.facts.items())
    limits = "".join(f"- {limit}\n" for limit in card.limits)
    return (
        f"# {card.name}\n\n{card.summary}\n\n| | |\n|---|---|\n{rows}\n"
        f"{_use(repo_id)}\n## Figures\n\n{_figures(card.figures)}\n## Limits\n\n{limits}"
    )


def _use(repo_id: str) -> str:
    return f"```bash\ngenet5 annotate genome.fa -o genes.gff3 --model {repo_id}\n```\n"


def _figures(figures: tuple[Figure, ...]) -> str:
    lines = ["| measure | genomes | value | peer | source |", "|---|---|---|---|---|"]
    for each in figures:
        peer = "" if each.peer_value is None else f"{each.peer} {each.peer_value:.3f}"
        cells = (each.measure, each.on, f"{each.value:.3f}", peer, each.source)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
