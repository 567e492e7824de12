from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, TextInput

text, said = TextInput(), Div()


def say(attribute, old, new):
    said.text = f"said {new.upper()}"


text.on_change("value", say)
curdoc().add_root(column(text, said))
