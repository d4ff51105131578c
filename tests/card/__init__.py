"""All that only a machine with a graphics card can measure, in the minutes that it is lent for.

``python -m tests.card``, which ``nox -s card`` runs too, gives the commands of ``steps.py``, the
most important first, with the interpreter and the packages that are there. What is done, what
failed and what is still open stands in a journal: started again, it goes on with the rest.
``python -m tests.card home FOLDER`` brings the results home.
"""
