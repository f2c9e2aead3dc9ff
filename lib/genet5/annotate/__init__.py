"""Find the genes of a genome.

In reading order: `plan` settles everything, `genome` opens what is annotated, `windows` lists it as
batches, `engine` decodes them, with other processes (`workers`, `launch`) where there are any, and
hands fragments to their contigs (`contig`), which `stitch` and `merge` make blocks of candidates of
(`block`); `gene_score`, `overlaps` and `select` choose genes among them, `adaptation` with what the
genome's own genes teach. `annotator` is the front door from Python, `run` the command's run
with files and `journal`; `calling_config` is a model's annotate.json, which `trained_config` and
`calibrate` write.
"""
