"""What an outcome teaches: how far each affinity term misjudged the host, and what follows.

Pure: outcomes, terms and weights come in, corrected ones go out. Each outcome moves little, so that
one odd hour does not overturn what a person wrote.
"""
