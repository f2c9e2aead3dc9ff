"""Find the genes of a genome.

In reading order: `plan` settles everything, `engine` decodes windows and hands fragments to their
contigs (`contig`), which `stitch` and `merge` make candidates of; `gene_score`, `overlaps` and
`select` choose genes among them. `annotator` is the front door from Python, `run` the command's run
with files and `journal`; `calling_config` is a model's annotate.json, which `trained_config` and
`calibrate` write.
"""
