import marimo

app = marimo.App()


@app.cell
def _():
    import marimo

    text = marimo.ui.text(label="text")
    text
    return marimo, text


@app.cell
def _(marimo, text):
    marimo.md(f"said {text.value.upper()}")
    return


if __name__ == "__main__":
    app.run()
