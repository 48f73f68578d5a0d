"""Terms (loss, weight, alignment) and their sum.

`declarations` says what each term is called, needs and accepts, and needs no torch itself. A term brings
the teacher's columns to the student's tokens (`alignment`, `attention`), calls its loss, and counts rows;
`objective` weighs and adds. A weight times the temperature's square is a term's `scale`, and only the
objective multiplies by it.
"""
