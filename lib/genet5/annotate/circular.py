"""Which contigs are circular: those that the user names, or whose FASTA header says so.

Unicycler, Trycycler and Plassembler write `circular=true` into headers, NCBI's submission format and Bakta `[topology=circular]`;
genomes from NCBI's servers say nothing there. Canu's `suggestCircular=yes` does not count: its ends overlap untrimmed.

Example:
    >>> import numpy as np
    >>> is_circular(Contig("1", np.zeros(3, np.uint8), "length=3 depth=1.00x circular=true"), ("auto",))
    True
"""

from __future__ import annotations

import re
from collections.abc import Collection

from genet5.genome.io.fasta import Contig

ALL, AUTO, NONE = "all", "auto", "none"
WORDS = (ALL, AUTO, NONE)
"""What stands beside names of contigs in the setting."""

_SAYS_SO = re.compile(r"(?:^|[\s\[;,|])(?:circular=(?:true|yes|y)|topology=circular)(?:$|[\s\];,|])", re.I)  # fmt: skip


def is_circular(contig: Contig, wanted: Collection[str]) -> bool:
    """Whether genes may lie over the contig's origin.

    Args:
        contig: The contig; its header counts where `wanted` has "auto".
        wanted: Names of contigs, or "all", "auto", "none".
    """
    if ALL in wanted or contig.name in wanted:
        return True
    return AUTO in wanted and _SAYS_SO.search(contig.description) is not None
