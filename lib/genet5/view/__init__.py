"""A genome browser as a part of an HTML page: igv.js with its data, all within the page.

igv.js is the work of the IGV team at the Broad Institute and UC San Diego (MIT licence, `igv/`);
version and origin are in `genome_view`.
"""
