from shiny import App, render, ui

page = ui.page_fluid(ui.input_text("text", "text"), ui.output_text("said"))


def server(input, output, session):
    @render.text
    def said():
        return f"said {input.text().upper()}"


app = App(page, server)
