"""Plain text made safe for Markdown and LaTeX: shown as it stands, whatever letters it has."""

from __future__ import annotations

_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\|*_`[]<>#~&"} | {"\n": " "})

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "*": r"$^{*}$",
        "±": r"$\pm$",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        # A row that begins with a bracket would be read as an option of the line break before it.
        "[": "{[}",
        "]": "{]}",
        "\n": " ",
    }
)


def markdown(text: str) -> str:
    """Text that Markdown shows as it stands, in a table too."""
    return text.translate(_MARKDOWN)


def latex(text: str) -> str:
    """Text that LaTeX shows as it stands."""
    return text.translate(_LATEX)
