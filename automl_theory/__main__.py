"""`python -m automl_theory` is the command `automl-theory`."""

from automl_theory.cli import main

if __name__ == "__main__":
    main()
